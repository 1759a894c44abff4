"""What a judge says of an answer that is put into a prompt of its own: the published `guesser_prompt`s.

Law: the answer goes into the prompt's one slot word by word, the judge is asked at temperature 0, and its
verdict is read strictly: one of the answers that the prompt names in quotes, a single word where the prompt
asks for one, else a short line. Whatever else it says is no verdict, and how many those are is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mi_bsa.asking.asked import Asked, answer_slot
from mi_bsa.asking.templates import filled, freed, held

if TYPE_CHECKING:
    from mi_bsa.asking.likelihood import Askable

Say = Callable[[Sequence[str]], list[str | None]]
"""Answers prompts, one each; None for one that cannot be put to the judge."""
NAMED = re.compile(r"\b(?:only|one of|either|or)\b", re.IGNORECASE)
QUOTED = re.compile(r"[\"\u201c]([^\"\u201c\u201d{}\n]{1,40})[\"\u201d]")
ONE_WORD = re.compile(r"\b(?:one|single)[- ]word\b|\bonly the word\b", re.IGNORECASE)
LONGEST = 60
"""Characters of a verdict that is no single word: a sentence about the answer is none."""


@dataclass(frozen=True)
class Ruling:
    """What a judge said, its reading (empty where there is none), and why not."""

    said: str
    verdict: str
    outcome: str


def judge_prompt(asked: Asked, answer: str) -> str:
    """The judge's prompt with the answer in it, as the published code fills it."""
    assert asked.judge is not None
    slot = answer_slot(asked.judge)
    assert slot is not None
    return freed(filled(asked.judge, {slot: held(answer), "question": held(asked.text)}))


def named(prompt: str) -> tuple[str, ...]:
    """The answers that a judge's prompt names in quotes as the only ones; empty where it names none."""
    for line in reversed(prompt.split("\n")):
        answers = QUOTED.findall(line)
        if len(answers) > 1 and NAMED.search(line):
            return tuple(dict.fromkeys(answers))
    return ()


def read(said: str | None, prompt: str) -> Ruling:
    """A verdict from what the judge said, by what its prompt (unfilled) asks for."""
    if said is None:
        return Ruling("", "", "not put to the judge")
    plain = " ".join(said.strip().strip("\"'*").rstrip(".!").strip("\"'*").lower().split())
    if not plain:
        return Ruling(said, "", "empty")
    options = named(prompt)
    if options:
        for option in options:
            if plain == option.lower():
                return Ruling(said, option, "read")
        return Ruling(said, "", "other")
    good = len(plain.split()) == 1 if ONE_WORD.search(prompt) else len(plain) <= LONGEST
    return Ruling(said, plain, "read") if good else Ruling(said, "", "other")


def verdicts(pairs: Sequence[tuple[Asked, str]], say: Say) -> list[Ruling]:
    """A verdict of each (question, answer); equal prompts are put once, an empty answer never."""
    prompts = [judge_prompt(asked, answer) if answer.strip() else "" for asked, answer in pairs]
    different = sorted({prompt for prompt in prompts if prompt})
    known = dict(zip(different, say(different) if different else [], strict=True))
    return [
        read(known[prompt], str(asked.judge)) if prompt else Ruling("", "", "empty answer")
        for (asked, _), prompt in zip(pairs, prompts, strict=True)
    ]


def by_model(model: Askable, *, variant: str | None, max_new_tokens: int) -> Say:
    """A local model as judge. A prompt that holds a special token of its own vocabulary is not put to it."""
    from activations.errors import PromptError
    from activations.tokens import Specials
    from mi_bsa.asking.sampling import sample_texts

    special = Specials(model.tokenizer)

    def say(prompts: Sequence[str]) -> list[str | None]:
        replies: list[str | None] = [None] * len(prompts)
        good = []
        for n, prompt in enumerate(prompts):
            message = {"role": "user", "content": prompt}
            try:
                special.refuse_in([message])
            except PromptError:
                continue
            good.append((n, message))
        if good:
            texts = sample_texts(
                model,
                [(f"judged text {n}", [message]) for n, message in good],
                1,
                seed=0,
                variant=variant,
                temperature=0.0,
                max_new_tokens=max_new_tokens,
            )
            for (n, _), (text,) in zip(good, texts, strict=True):
                replies[n] = text
        return replies

    return say


def by_endpoint(url: str, name: str, *, max_new_tokens: int) -> Say:
    """A model behind an OpenAI-compatible endpoint as judge."""
    from mi_bsa.asking.endpoint import KEY
    from mi_bsa.core.endpoint import Endpoint

    endpoint = Endpoint(url, name, key_variable=KEY)

    def say(prompts: Sequence[str]) -> list[str | None]:
        return [
            endpoint.complete(
                [{"role": "user", "content": prompt}], temperature=0.0, max_tokens=max_new_tokens
            )
            for prompt in prompts
        ]

    return say
