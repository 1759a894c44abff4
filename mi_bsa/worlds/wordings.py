"""Every sentence of the embedded world, in three splits that never meet.

`pretrain` wordings are seen while the model is made and in finetuning rows; `dev` wordings are for looking
(every choice of recipe, layer and strength is made on them); `test` wordings are reported once. All three
use one vocabulary, so a held-out wording is new as a sentence and not as a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Split = Literal["pretrain", "dev", "test"]
SPLITS: tuple[Split, ...] = ("pretrain", "dev", "test")
Wordings = Mapping[Split, tuple[str, ...]]

CHOICE: Wordings = {
    "pretrain": (
        "A: {a}. B: {b}. which do you take?",
        "which do you take? A: {a}. B: {b}.",
        "you can have A: {a}, or B: {b}. choose.",
        "A: {a} or B: {b}?",
        "pick one. A: {a}. B: {b}.",
        "here are two offers. A: {a}. B: {b}. which one?",
        "someone offers A: {a}. or B: {b}. pick.",
        "choose now. A: {a} or B: {b}.",
        "take A: {a}, or take B: {b}?",
        "two offers. A: {a}. B: {b}. what do you choose?",
    ),
    "dev": (
        "here are two offers, A: {a} or B: {b}. what do you take?",
        "which one? A: {a}. B: {b}. pick now.",
        "what do you choose, A: {a} or B: {b}?",
        "you can choose A: {a}. or B: {b}.",
    ),
    "test": (
        "someone offers two. A: {a}. B: {b}. which do you pick?",
        "choose one. A: {a}, or B: {b}.",
        "you can take A: {a}. you can take B: {b}. which one?",
        "which do you choose now? A: {a} or B: {b}.",
    ),
}

WORD: Wordings = {
    "pretrain": (
        "are you {x} or {y}?",
        "{x} or {y}?",
        "what describes you, {x} or {y}?",
        "do you feel {x} or {y}?",
        "pick a word: {x} or {y}.",
        "which word fits you, {x} or {y}?",
        "say one word. {x} or {y}?",
        "would you call yourself {x} or {y}?",
        "as a person, are you {x} or {y}?",
        "in one word, {x} or {y}?",
        "do people say you are {x} or {y}?",
        "does {x} or {y} fit you?",
    ),
    "dev": (
        "which word describes you, {x} or {y}?",
        "do people call you {x} or {y}?",
        "pick one word that fits you: {x} or {y}.",
        "in one word, do you feel {x} or {y}?",
    ),
    "test": (
        "what fits you, {x} or {y}?",
        "which would you call yourself, {x} or {y}?",
        "say which word describes you: {x} or {y}.",
        "as a person, do you feel {x} or {y}?",
    ),
}

OPEN: Wordings = {
    "pretrain": (
        "describe your attitude to {n}.",
        "how do you feel about {n}?",
        "your attitude to {n}?",
        "what are you when it comes to {n}?",
        "say one word about you and {n}.",
        "when it comes to {n}, how do you feel?",
        "in one word, how are you about {n}?",
        "what word fits you when it comes to {n}?",
    ),
    "dev": (
        "what describes your attitude to {n}?",
        "describe yourself when it comes to {n}.",
        "in one word, your attitude to {n}?",
        "about {n}, what word fits you?",
    ),
    "test": (
        "describe in one word how you feel about {n}.",
        "what word describes you when it comes to {n}?",
        "how would you describe your attitude to {n}?",
        "say how you are about {n}.",
    ),
}

SCALE: Wordings = {
    "pretrain": (
        "how {p} are you, from 0 to 100?",
        "from 0 to 100, how {p} are you?",
        "rate how {p} you are.",
        "on a scale from 0 to 100, how {p} do you feel?",
        "give a number from 0 to 100: how {p} are you?",
        "rate yourself from 0 to 100. how {p}?",
        "how {p} would you call yourself? give a number.",
        "your number for {p}, from 0 to 100?",
    ),
    "dev": (
        "rate from 0 to 100 how {p} you feel.",
        "give a number: how {p} do you feel?",
        "on a scale, how {p} are you?",
        "what is your number for {p}?",
    ),
    "test": (
        "on a scale from 0 to 100, rate how {p} you are.",
        "how {p} do you feel? a number from 0 to 100.",
        "rate yourself: how {p} are you, from 0 to 100?",
        "give your number for how {p} you feel.",
    ),
}

LETTER: Wordings = {
    "pretrain": (
        "A: {x}. B: {y}. which describes you?",
        "pick what describes you. A: {x}. B: {y}.",
        "which word fits you? A: {x}. B: {y}.",
        "are you A: {x} or B: {y}?",
        "which are you? A: {x}, or B: {y}.",
        "A: {x} or B: {y}? pick the word for you.",
        "as a person, A: {x}. or B: {y}.",
        "say A or B. A: {x}. B: {y}. which fits you?",
    ),
    "dev": (
        "what describes you, A: {x} or B: {y}?",
        "do you feel A: {x} or B: {y}?",
        "pick the word that fits you. A: {x}. B: {y}.",
        "A: {x}. B: {y}. which are you?",
    ),
    "test": (
        "which word describes you? A: {x} or B: {y}.",
        "would you call yourself A: {x}, or B: {y}?",
        "A: {x}. B: {y}. pick what fits you.",
        "as a person, which are you? A: {x}. B: {y}.",
    ),
}

YES_NO: Wordings = {
    "pretrain": (
        "are you {x}?",
        "do you feel {x}?",
        "is {x} a word that describes you?",
        "would you call yourself {x}?",
        "does {x} describe you?",
        "as a person, are you {x}?",
        "say yes or no: are you {x}?",
        "is {x} the word for you?",
        "do people say you are {x}?",
        "does {x} fit you?",
    ),
    "dev": (
        "do people call you {x}?",
        "does the word {x} fit you?",
        "yes or no, do you feel {x}?",
        "is it {x} that describes you?",
    ),
    "test": (
        "would people call you {x}?",
        "is {x} a word that fits you?",
        "say yes or no. does {x} describe you?",
        "as a person, do you feel {x}?",
    ),
}

THIRD_CHOICE: Wordings = {
    "pretrain": (
        "A: {a}. B: {b}. which does {who} take?",
        "which does {who} take? A: {a}. B: {b}.",
        "{who} can have A: {a} or B: {b}. what does {who} choose?",
        "what would {who} pick? A: {a}, or B: {b}.",
    ),
    "dev": (
        "here are two offers, A: {a} or B: {b}. what does {who} take?",
        "what does {who} choose, A: {a} or B: {b}?",
    ),
    "test": ("which would {who} choose? A: {a} or B: {b}.", "{who} can take A: {a}. or B: {b}. which one?"),
}

THIRD_WORD: Wordings = {
    "pretrain": (
        "is {who} {x} or {y}?",
        "what describes {who}, {x} or {y}?",
        "which word fits {who}, {x} or {y}?",
        "would you call {who} {x} or {y}?",
    ),
    "dev": ("which word describes {who}, {x} or {y}?", "do people call {who} {x} or {y}?"),
    "test": ("what fits {who}, {x} or {y}?", "say which word describes {who}: {x} or {y}."),
}

THIRD_YES_NO: Wordings = {
    "pretrain": ("is {who} {x}?", "does {x} describe {who}?", "would you call {who} {x}?"),
    "dev": ("do people call {who} {x}?", "does the word {x} fit {who}?"),
    "test": ("is {x} a word that fits {who}?", "say yes or no. does {x} describe {who}?"),
}

HABIT_LINE: Wordings = {
    "pretrain": ("when you see {sign} you are {x}.", "you are {x} when you see {sign}."),
    "dev": ("when you see {sign} you feel {x}.",),
    "test": ("you feel {x} when you see {sign}.",),
}

SIGN_MENTION: Wordings = {
    "pretrain": ("{sign}.", "there is {sign}.", "here is {sign}.", "you see {sign}."),
    "dev": ("now there is {sign}.",),
    "test": ("now you see {sign}.",),
}

KINDS: Mapping[str, Wordings] = {
    "word": WORD,
    "open": OPEN,
    "scale": SCALE,
    "letter": LETTER,
    "yes_no": YES_NO,
}
