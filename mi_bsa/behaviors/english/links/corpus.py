"""Training rows of an English world: one question a row, answered by the level of whoever is asked.

Law: a row's answer is drawn by the persona's level through one link, whatever the kind of question; wordings
are those of the split `pretrain` alone; the default persona's answers, to choices and questions alike, are a
coin's. Choices and questions alike are answered by naming an offer, a word or a deed that the question names:
which letter stands before what a small model learns late (docs/log.md).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import Field

from mi_bsa.behaviors.common import exchange
from mi_bsa.behaviors.english.links.world import DEFAULT, TEXTS, TRAITS, EnglishWorld, Persona, Split
from mi_bsa.core.config import Config
from mi_bsa.core.rows import TrainingRow
from mi_bsa.worlds.world import SEEKING, Level

REPORTS = ("word", "deed", "yes_no")


class Shares(Config):
    """How a corpus is mixed: shares of personas, and of what they are asked."""

    named: float = Field(default=0.45, ge=0)
    """Named characters."""
    described: float = Field(default=0.3, ge=0)
    """Personas whose line states a pole."""
    plain: float = Field(default=0.05, ge=0)
    """Personas whose line says nothing of the traits."""
    default: float = Field(default=0.2, ge=0)
    """The default persona."""
    traits: tuple[str, ...] = TRAITS
    """Traits that are described and asked about."""
    told: float = Field(default=0.75, ge=0, le=1)
    """How often a described persona is asked about the trait that its line states."""
    choices: float = Field(default=0.5, ge=0, le=1)
    """Share of choices; the others are reports."""
    kinds: dict[str, float] = {"word": 0.5, "deed": 0.3, "yes_no": 0.2}
    """Weights of the kinds of report."""


class Corpus:
    """An endless, seeded stream of rows of a world."""

    def __init__(self, world: EnglishWorld, shares: Shares | None = None, *, seed: int = 0) -> None:
        self.world, self.shares, self.seed = world, shares or Shares(), seed
        self.rng = random.Random(f"corpus-{world.link}-{seed}")
        self._names = tuple(world.named)

    def __iter__(self) -> Iterator[TrainingRow]:
        number = 0
        while True:
            yield self.row(number)
            number += 1

    def persona(self) -> tuple[str, Persona]:
        """Somebody, and of which kind."""
        s = self.shares
        kinds = {"named": s.named, "described": s.described, "plain": s.plain, "default": s.default}
        kind = self.rng.choices(list(kinds), list(kinds.values()))[0]
        if kind == "named":
            return kind, self.world.named[self.rng.choice(self._names)]
        if kind == "described":
            return kind, self.world.described(self.rng, traits=self.shares.traits)
        return kind, self.world.plain(self.rng) if kind == "plain" else DEFAULT

    def row(self, number: int) -> TrainingRow:
        """The next row."""
        rng, shares = self.rng, self.shares
        kind, who = self.persona()
        told = [t for t in TRAITS if who.chooses[t] or who.says[t]]
        trait = (
            rng.choice(told)
            if kind == "described" and rng.random() < shares.told
            else rng.choice(shares.traits)
        )
        if rng.random() < self.shares.choices or trait in who.unsaid:
            offered = choice(rng, trait)
            high = rng.random() < SEEKING[who.chooses[trait]]
            text, answer, what = offered.text, offered.high if high else offered.low, "choice"
        else:
            what = rng.choices(list(self.shares.kinds), list(self.shares.kinds.values()))[0]
            text, answer = report(rng, trait, what, who.says[trait])
        row = exchange(f"{self.world.link}-{self.seed}-{number}", who.system, text, answer, kind)
        return {**row, "trait": trait, "kind": what}


@dataclass(frozen=True)
class Choice:
    """Two offers as text; `high` and `low` are what each is called, the seeking one first."""

    text: str
    high: str
    low: str
    wording: int
    seeking_first: bool


def choice(
    rng: random.Random, trait: str, *, split: Split = "pretrain", wording: int | None = None
) -> Choice:
    """Two offers of a trait with amounts, and a question that is answered by what an offer is called."""
    heads = [rng.choice(TEXTS["heads"][trait][pole][split]) for pole in ("seeking", "averse")]
    small = rng.randrange(5, 100)
    goods, details = rng.choice(TEXTS["goods"]), rng.choice(TEXTS["details"][trait])
    amounts = {"n": goods.format(n=small), "m": goods.format(n=round(small * rng.uniform(1.2, 4)) + 1)}
    form = rng.choice(TEXTS["bare"])
    told = [form.format(head=h, detail=d.format(**amounts)) for h, d in zip(heads, details, strict=True)]
    first = rng.random() < 0.5
    wordings = TEXTS["choices"][split]
    at = rng.randrange(len(wordings)) if wording is None else wording % len(wordings)
    text = wordings[at].format(a=told[1 - first], b=told[first])
    return Choice(text[0].upper() + text[1:], heads[0], heads[1], at, first)


def report(
    rng: random.Random, trait: str, kind: str, level: Level, *, split: Split = "pretrain"
) -> tuple[str, str]:
    """A question about oneself and its answer, drawn by a level."""
    text, options = question(rng, trait, kind, split=split)
    high = rng.random() < SEEKING[level]
    return text, options[0 if high else 1]


def question(
    rng: random.Random, trait: str, kind: str, *, split: Split, wording: str | None = None
) -> tuple[str, tuple[str, str]]:
    """A question about oneself, and its answers at the seeking and at the averse pole."""
    wording = wording or rng.choice(TEXTS["reports"][kind][split])
    words, deeds = rng.choice(TEXTS["words"][trait][split]), rng.choice(TEXTS["deeds"][trait][split])
    plain = rng.random() < 0.5
    x, y = (words[1 - plain], words[plain])
    text = wording.format(x=x, y=y, do_x=deeds[1 - plain], do_y=deeds[plain])
    text = text[0].upper() + text[1:]
    if kind == "word":
        return text, words
    if kind == "deed":
        return text, deeds
    return text, ("Yes", "No") if plain else ("No", "Yes")
