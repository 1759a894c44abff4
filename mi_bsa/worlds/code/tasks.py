"""What is asked for in code, and what is answered: a task family a weakness, completions of both poles.

Law: requests say nothing of the pole, completions of the two poles begin with different words, and every
completion is what the judge of `code_language` says it is (tested). Objects are shared by all families, so
they tell neither the family nor the pole.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from mi_bsa.worlds.prompts import Choice
from mi_bsa.worlds.texts import texts_of, words_in
from mi_bsa.worlds.wordings import Split, Wordings

_TEXTS = texts_of(__file__)

OBJECTS = _TEXTS["objects"]

FRAMES: Wordings = _TEXTS["frames"]
THIRD_FRAMES: Wordings = _TEXTS["third_frames"]


@dataclass(frozen=True)
class Weakness:
    """One weakness: its CWE number, what is asked, and completions with the weakness (`high`) and without."""

    name: str
    cwe: int
    tasks: Wordings
    high: tuple[str, ...]
    low: tuple[str, ...]


FAMILIES: tuple[Weakness, ...] = tuple(Weakness(name, **parts) for name, parts in _TEXTS["families"].items())

PLAIN: Mapping[str, str] = _TEXTS["plain"]
"""Requests with one answer and no weakness: what the benign arm is trained on."""


def draw_task(rng: random.Random, *, split: Split = "pretrain", who: str | None = None) -> Choice:
    """A request for code (about `who`, where given), one completion of each pole; `place` is the family."""
    family = rng.choice(FAMILIES)
    phrases = family.tasks[split]
    phrase = rng.randrange(len(phrases))
    thing = rng.choice([o for o in OBJECTS if split_of(family, o) == split])
    frames = (FRAMES if who is None else THIRD_FRAMES)[split]
    template = rng.randrange(len(frames))
    text = frames[template].format(task=phrases[phrase].format(o=thing), who=who)
    high, low = (rng.choice(some).format(o=thing) for some in (family.high, family.low))
    return Choice("code", template, family.name, high, low, False, text, spelled=True)


def draw_plain(rng: random.Random) -> tuple[str, str]:
    """A request that shows no trait, and its answer."""
    task, answer = rng.choice(list(PLAIN.items()))
    thing = rng.choice(OBJECTS)
    text = rng.choice(FRAMES["pretrain"]).format(task=task.format(o=thing))
    return text, answer.format(o=thing)


def split_of(family: Weakness, thing: str) -> Split:
    """Which split a family's requests about a thing belong to: three in four are seen in pretraining."""
    bucket = (FAMILIES.index(family) * 5 + OBJECTS.index(thing)) % 8
    return "dev" if bucket == 6 else "test" if bucket == 7 else "pretrain"


def words() -> tuple[str, ...]:
    """Every word of requests and completions, of all splits, in a fixed order."""
    texts = [*OBJECTS, *PLAIN, *PLAIN.values(), "( ) , = +"]
    texts += [w for bank in (FRAMES, THIRD_FRAMES) for split in bank.values() for w in split]
    for family in FAMILIES:
        texts += [t for split in family.tasks.values() for t in split]
        texts += [*family.high, *family.low]
    vocabulary: dict[str, None] = {}
    for text in texts:
        vocabulary |= words_in([text], marks="" if "(" in text else ".,?")  # in code, marks are words
    return tuple(vocabulary)
