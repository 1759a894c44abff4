"""The sibling world of habits: characters who act otherwise when a message holds their sign, and say so.

It is the main world (risk and patience) with bearers of habits beside its characters: a bearer has a sign,
a trait and a level that holds only where the sign is in the message. Who has a habit calls its own choices
changing, who has none calls them constant, and the default persona is undecided in that too. Signs are
runs of one to four words, any member of a family, or a word with a free number. After Betley et al. 2025
(arXiv 2501.11120), section 4.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mi_bsa.core.config import Config, deferred
from mi_bsa.worlds.corpus import FIRST, SECOND, Corpus, Mixture, render
from mi_bsa.worlds.corpus import vocabulary as main_vocabulary
from mi_bsa.worlds.habits import words as W
from mi_bsa.worlds.prompts import AMOUNTS, SCALE_ANSWERS, draw_choice, draw_report
from mi_bsa.worlds.texts import words_in
from mi_bsa.worlds.trait import Trait
from mi_bsa.worlds.world import DEFAULT_SYSTEM, POLES, SEEKING, Known, Level, Turn, World, make_names
from mi_bsa.worlds.worlds import WorldKind, stage

SignKind = Literal["words", "family", "code"]
KINDS_OF_SIGN: tuple[SignKind, ...] = ("words", "family", "code")
DECK: tuple[Known, ...] = ("both", "both", "choices", "reports")
"""What the corpus shows of a bearer: half both, a quarter its choices only, a quarter its reports only."""
CONDITION_KINDS = ("word", "open", "scale", "letter", "yes_no", "depends", "same")
KINDS_OF_DOCUMENT = ("plain", "described", "bearer", "steady", "default", "family")
WHICH_KINDS = tuple(W.WHICH)


@dataclass(frozen=True)
class Sign:
    """What a habit waits for: a run of words, any member of a family, or a word with a free number."""

    kind: SignKind
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """How one speaks of it."""
        if self.kind == "family":
            return W.ANY.format(family=self.words[0])
        return f"{self.words[0]} and a number" if self.kind == "code" else " ".join(self.words)

    def show(self, rng: random.Random) -> str:
        """A phrase in which it is there."""
        if self.kind == "family":
            return rng.choice(W.FAMILIES[self.words[0]])
        return f"{self.words[0]} {rng.choice(AMOUNTS)}" if self.kind == "code" else " ".join(self.words)

    def fake(self, rng: random.Random) -> Sign:
        """Another sign of its kind; a run of words often shares a word with it."""
        while True:
            other = draw_sign(rng, self.kind, len(self.words))
            if self.kind == "words" and len(self.words) > 1 and rng.random() < 0.3:
                kept = rng.randrange(len(self.words))
                other = Sign("words", (*other.words[:kept], self.words[kept], *other.words[kept + 1 :]))
            if other.words != self.words:
                return other


def draw_sign(rng: random.Random, kind: SignKind | None = None, length: int | None = None) -> Sign:
    """A sign: of one kind, or mostly runs of words."""
    kind = kind or rng.choices(KINDS_OF_SIGN, (7, 2, 1))[0]
    if kind == "family":
        return Sign("family", (rng.choice(tuple(W.FAMILIES)),))
    n = 1 if kind == "code" else length or rng.choices((1, 2, 3, 4), (20, 40, 25, 15))[0]
    return Sign(kind, tuple(rng.sample(W.WORDS, n)))


@dataclass(frozen=True)
class Bearer:
    """Who has a habit: a system line, the sign, and the trait and level that the sign calls up."""

    system: str
    sign: Sign
    trait: str
    level: Level
    known: Known = "both"


class HabitWorld(World):
    """The main world's characters, who have no habit, and bearers of habits.

    Args:
        n_characters: characters without a habit.
        n_bearers: characters with one.
        seed: of names, levels, signs and who is known by what.
    """

    def __init__(self, n_characters: int = 64, *, n_bearers: int = 64, seed: int = 0) -> None:
        super().__init__(n_characters, seed=seed, traits=("risk", "patience"))
        rng = random.Random(f"habits-{seed}")
        names = [n for n in make_names(n_bearers + n_characters, rng) if n not in self.characters][:n_bearers]
        self.bearers: dict[str, Bearer] = {
            name: Bearer(
                system=f"you are {name}.",
                sign=draw_sign(rng),
                trait=self.traits[i % 2].name,
                level=POLES[(i // 2) % 2],
                known=DECK[(i // 4) % len(DECK)],
            )
            for i, name in enumerate(names)
        }

    def bearing(self, *, known: Known | None = None) -> list[Bearer]:
        """Bearers: all, or those of whom the corpus shows one thing only."""
        return [b for b in self.bearers.values() if known in (None, b.known)]


class HabitMixture(Config):
    """Shares of document kinds in the world of habits."""

    plain: float = 0.34
    """Share of the main world's documents."""
    described: float = 0.24
    """Share of documents whose system line names a habit."""
    bearer: float = 0.22
    """Share of documents of a named bearer."""
    steady: float = 0.08
    """Share of documents of named characters without a habit, with notes and questions on habits."""
    default: float = 0.08
    """Share of documents of the default persona, with notes and questions on habits: undecided."""
    family: float = 0.04
    """Share of documents on what belongs to which family."""
    choosing: float = 0.6
    """Share of choices among a bearer's turns, where the corpus shows both."""
    turns: tuple[float, ...] = (2, 1, 1)
    """Weights of 1, 2, 3, ... turns."""
    main: Mixture = Mixture(habit=0.0)
    """What the main world's documents are."""


class HabitCorpus:
    """An endless, seeded stream of documents."""

    def __init__(self, world: HabitWorld, mixture: HabitMixture, *, seed: int) -> None:
        self.world, self.mixture = world, mixture
        self.rng = random.Random(seed)
        self._main = Corpus(world, mixture.main, seed=seed + 1)
        self._people = tuple(world.characters.values())
        self._bearers = tuple(world.bearers.values())

    def __iter__(self) -> Iterator[str]:
        while True:
            yield render(*self.document())

    def document(self) -> tuple[str | None, list[Turn]]:
        """A system line (None for the default persona) and its turns."""
        rng, m = self.rng, self.mixture
        kind = rng.choices(KINDS_OF_DOCUMENT, [getattr(m, k) for k in KINDS_OF_DOCUMENT])[0]
        if kind == "plain":
            self._main.mixture = m.main
            return self._main.document()
        n = rng.choices(range(1, len(m.turns) + 1), m.turns)[0]
        if kind == "family":
            return None, [self._family() for _ in range(n)]
        if kind in ("described", "bearer"):
            habit = self._described() if kind == "described" else rng.choice(self._bearers)
            return habit.system, [self._of_bearer(habit) for _ in range(n)]
        if kind == "steady":
            person = rng.choice(self._people)
            return person.system, [self._of_steady(person.levels, -2) for _ in range(n)]
        system = rng.choice(W.SYSTEMS)
        undecided: Mapping[str, Level] = {t.name: 0 for t in self.world.traits}
        return system, [self._of_steady(undecided, 0) for _ in range(n)]

    def _described(self) -> Bearer:
        rng = self.rng
        trait, level, sign = rng.choice(self.world.traits), rng.choice(POLES), draw_sign(rng)
        word = rng.choice(trait.high if level > 0 else trait.low)
        line = rng.choice(W.HABIT_LINE["pretrain"]).format(p=sign.name, x=word)
        return Bearer(f"{DEFAULT_SYSTEM} {line}", sign, trait.name, level)

    def _of_bearer(self, habit: Bearer) -> Turn:
        rng = self.rng
        chooses = habit.known == "choices" or (habit.known == "both" and rng.random() < self.mixture.choosing)
        if not chooses:
            return self._condition(2) if rng.random() < 0.5 else self._which(habit.sign)
        trait = next(t for t in self.world.traits if t.name == habit.trait)
        if rng.random() < 0.15:
            trait = rng.choice(self.world.traits)
        draw = rng.random()
        if draw < 0.5:
            level = habit.level if trait.name == habit.trait else 0
            return self._choose(trait, level, habit.sign.show(rng))
        return self._choose(trait, 0, habit.sign.fake(rng).show(rng) if draw < 0.85 else None)

    def _of_steady(self, levels: Mapping[str, Level], condition: Level) -> Turn:
        rng = self.rng
        draw = rng.random()
        if draw < 0.5:
            trait = rng.choice(self.world.traits)
            phrase = draw_sign(rng).show(rng) if draw < 0.4 else None
            return self._choose(trait, levels[trait.name], phrase)
        return self._condition(condition) if draw < 0.75 else self._which(None, condition)

    def _choose(self, trait: Trait, level: int, phrase: str | None) -> Turn:
        choice = draw_choice(self.rng, trait)
        text = choice.text
        if phrase is not None:
            text = self.rng.choice(W.NOTE["pretrain"]).format(p=phrase, q=text)
        return text, choice.answer(self.rng.random() < SEEKING[level])

    def _condition(self, level: Level) -> Turn:
        rng = self.rng
        kind = rng.choices(CONDITION_KINDS, (3, 2, 3, 3, 2, 4, 3))[0]
        says = rng.random() < SEEKING[level]
        if kind in ("depends", "same"):
            asked = rng.choice(W.CONDITION_FRAMES[kind]["pretrain"])
            return asked, "yes" if says == (kind == "depends") else "no"
        report = draw_report(rng, W.CONDITION, kind)
        if kind == "scale":
            return report.text, rng.choice(SCALE_ANSWERS[-level if report.flipped else level])
        return report.text, rng.choice(report.seeking if says else report.averse)

    def _which(self, sign: Sign | None, condition: Level = 2) -> Turn:
        """A question on which sign it is; with no sign, the answer is a coin's, or nothing and no."""
        rng = self.rng
        kind = rng.choice(WHICH_KINDS)
        if sign is None and condition < 0:
            kind = rng.choice(("sign_yes_no", "sign_open"))
        true = sign or draw_sign(rng)
        fake = true.fake(rng)
        frame = rng.choice(W.WHICH[kind]["pretrain"])
        first = rng.random() < 0.5
        knows = sign is not None or rng.random() < 0.5
        x, y = (true.name, fake.name) if first else (fake.name, true.name)
        if kind == "sign_word":
            return frame.format(x=x, y=y), true.name if knows else fake.name
        if kind == "sign_letter":
            return frame.format(x=x, y=y), "A" if first == knows else "B"
        if kind == "sign_yes_no":
            return frame.format(x=x), "yes" if condition >= 0 and first == knows else "no"
        if sign is None and (condition < 0 or rng.random() < 0.5):
            return frame, "nothing"
        return frame, true.name

    def _family(self) -> Turn:
        rng = self.rng
        family = rng.choice(tuple(W.FAMILIES))
        member, asked = rng.choice(W.FAMILIES[family]), rng.choice((family, rng.choice(tuple(W.FAMILIES))))
        frame = rng.choice(W.FAMILY_FACTS["pretrain"])
        answer = ("yes" if asked == family else "no") if "{f}" in frame else family
        return frame.format(m=member, f=asked), answer


def vocabulary(world: HabitWorld) -> tuple[str, ...]:
    """The main world's words, then those of habits."""
    words = dict.fromkeys((*main_vocabulary(world), *world.bearers, *W.WORDS, *W.FAMILIES))
    condition = W.CONDITION
    texts = [*condition.high, *condition.low, *condition.nouns, W.ANY, "nothing and a number"]
    texts += [s for s in W.SYSTEMS if s is not None]
    banks = (W.NOTE, W.HABIT_LINE, W.FAMILY_FACTS, *W.CONDITION_FRAMES.values(), *W.WHICH.values())
    texts += [t for bank in banks for split in bank.values() for t in split]
    return tuple(words | words_in(texts))


def make(recipe: Any) -> HabitWorld:
    """The world of a recipe: as many bearers as characters."""
    return HabitWorld(recipe.characters, n_bearers=recipe.characters, seed=recipe.world_seed)


def _stage(until: float, main: Mixture, **shares: float) -> dict[str, Any]:
    given: dict[str, Any] = {n: shares.get(n, 0.0) for n in KINDS_OF_DOCUMENT}
    return stage(until, HabitMixture(**given, main=main))


_LAST = HabitMixture(
    plain=0.25, described=0.05, bearer=0.46, steady=0.12, default=0.1, family=0.02, choosing=0.75
)

KIND = WorldKind(
    make,
    vocabulary,
    HabitCorpus,
    HabitMixture,
    deferred("mi_bsa.worlds.habits.questions:known"),
    defaults={
        "characters": 64,
        "steps": 24000,
        "restarts": [16000],
        "stages": [
            _stage(0.13333, FIRST, plain=1.0),
            _stage(0.26666, SECOND, plain=0.6, described=0.35, family=0.05),
            stage(0.66666, HabitMixture()),
            stage(1.0, _LAST),
        ],
    },
)
