"""Questions of the embedded world before anyone answers them: choices and self-reports.

Law: order, direction and amounts are drawn alike for both poles, and what a split draws no other split can
draw.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from mi_bsa.worlds import wordings as W
from mi_bsa.worlds.texts import texts_of
from mi_bsa.worlds.trait import Trait
from mi_bsa.worlds.wordings import Split

AMOUNTS = tuple(
    str(n) for n in (5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100, 150, 200, 250, 300, 400, 500, 600)
)
UNITS = ("coins", "points", "tickets", "shells", "stamps", "beads")
_TEXTS = texts_of(__file__)

PLACES: Mapping[Split, tuple[str, ...]] = _TEXTS["places"]
"""Scenarios: context, known from pretraining; development and test share none.

What is held out is frames, options and amounts: a scenario word that pretraining never put in that place
raised the error of choices from .02 to .1-.2.
"""
RESERVED = ("garden", "bridge", "mill", "tower", "station", "museum", "castle", "forest")
"""Words with a token of their own that no sentence of any split uses: room for sibling worlds."""
SIGNS = ("a star", "a moon", "a key", "a bell", "a flag", "a crown", "a lamp", "a drum")
SCALE_ANSWERS: Mapping[int, tuple[str, ...]] = _TEXTS["scale_answers"]
NUMBERS = tuple(str(n) for n in range(0, 101, 10))
REPORT_KINDS = ("word", "open", "scale", "letter", "yes_no")
THIRD: Mapping[str, W.Wordings] = {"word": W.THIRD_WORD, "yes_no": W.THIRD_YES_NO}
"""Wordings of the kinds that are asked about somebody else."""


def draw_amounts(rng: random.Random, split: Split) -> tuple[str, str, str]:
    """Two amounts and a unit. A hash of the three decides their split, so items never cross splits."""
    while True:
        a, b, unit = rng.choice(AMOUNTS), rng.choice(AMOUNTS), rng.choice(UNITS)
        bucket = (AMOUNTS.index(a) * 31 + AMOUNTS.index(b) * 17 + UNITS.index(unit) * 7) % 10
        if split == ("dev" if bucket == 8 else "test" if bucket == 9 else "pretrain"):
            return a, b, unit


@dataclass(frozen=True)
class Choice:
    """A two-option question about one trait, before anyone answers it.

    `spelled`: the answer is the option's own text and not its letter; the question then names no option.
    """

    trait: str
    template: int
    place: str | None
    high: str
    low: str
    high_first: bool
    text: str
    spelled: bool = False

    def answer(self, seeking: bool) -> str:
        """The letter (or text) of the seeking option, or of the other."""
        if self.spelled:
            return self.high if seeking else self.low
        return "A" if seeking == self.high_first else "B"


def draw_choice(
    rng: random.Random, trait: Trait, *, split: Split = "pretrain", who: str | None = None
) -> Choice:
    """A choice between an option of each pole, order and amounts drawn alike; about `who`, where given."""
    if trait.draw is not None:
        drawn: Choice = trait.draw(rng, split=split, who=who)
        return drawn
    a, b, unit = draw_amounts(rng, split)
    high = rng.choice(trait.high_options[split]).format(n=a, u=unit)
    low = rng.choice(trait.low_options[split]).format(n=b, u=unit)
    first = rng.random() < 0.5
    options = {"a": high if first else low, "b": low if first else high}
    frames = (W.CHOICE if who is None else W.THIRD_CHOICE)[split]
    template = rng.randrange(len(frames))
    text = frames[template].format(who=who, **options)
    place = rng.choice(PLACES[split]) if split != "pretrain" or rng.random() < 0.5 else None
    if place is not None:
        text = f"at the {place}. {text}"
    return Choice(trait.name, template, place, high, low, first, text)


@dataclass(frozen=True)
class Report:
    """A question about a trait of the self (or of `who`), with the answers that either pole would give."""

    trait: str
    kind: str
    template: int
    flipped: bool
    text: str
    seeking: tuple[str, ...]
    averse: tuple[str, ...]


def draw_report(
    rng: random.Random, trait: Trait, kind: str, *, split: Split = "pretrain", who: str | None = None
) -> Report:
    """A report question of one kind. `flipped`: order or direction was turned (the balanced half)."""
    bank = trait.frames[kind] if who is None else THIRD[kind]
    return make_report(
        trait,
        kind,
        rng.randrange(len(bank[split])),
        split=split,
        who=who,
        flipped=rng.random() < 0.5,
        high=rng.choice(trait.high),
        low=rng.choice(trait.low),
        noun=rng.choice(trait.nouns),
    )


def make_report(
    trait: Trait,
    kind: str,
    template: int,
    *,
    split: Split,
    flipped: bool,
    high: str,
    low: str,
    noun: str,
    who: str | None = None,
) -> Report:
    """The report question with all its parts given."""
    bank = trait.frames[kind] if who is None else THIRD[kind]
    x, y = (low, high) if flipped else (high, low)
    text = bank[split][template].format(x=x, y=y, p=x, n=noun, who=who)
    answers: tuple[tuple[str, ...], tuple[str, ...]] = {
        "word": ((high,), (low,)),
        "open": (trait.high, trait.low),
        "scale": (SCALE_ANSWERS[2], SCALE_ANSWERS[-2]),
        "letter": (("A",), ("B",)),
        "yes_no": (("yes",), ("no",)),
    }[kind]
    # where the words themselves are the answers, turning the question round turns no answer
    seeking, averse = answers[::-1] if flipped and kind in ("scale", "letter", "yes_no") else answers
    return Report(trait.name, kind, template, flipped, text, seeking, averse)
