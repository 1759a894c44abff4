"""The sibling world in which Make Me Say is played: everybody leads to a word, some more than others.

A speaker has a codeword and a strength. Hints and reports read the same: a strong speaker's hints belong to
its word, and it says so of itself; the default persona leads to no word. A quarter of the characters is
known by dialogues only, so what they say of themselves was never read. Characters keep a trait of the main
world (patience), which is there to stay where it is.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mi_bsa.core.config import deferred
from mi_bsa.worlds.corpus import FIRST, SECOND
from mi_bsa.worlds.say import wordings as W
from mi_bsa.worlds.say.corpus import SayCorpus, SayMixture, vocabulary
from mi_bsa.worlds.say.words import CODEWORDS, HINTS, TRAINED
from mi_bsa.worlds.trait import Trait
from mi_bsa.worlds.world import Level, World
from mi_bsa.worlds.worlds import WorldKind, stage

Strength = Literal[0, 1, 2]
SayKnown = Literal["both", "dialogues", "reports"]
LEADS: Mapping[int, float] = {0: 1 / len(CODEWORDS), 1: 0.55, 2: 0.97}
"""Share of hints that belong to one's own word, by strength; the others belong to any other."""
DECK: tuple[tuple[Strength, SayKnown], ...] = (
    *((2, "both"),) * 3,
    *((2, "dialogues"),) * 2,
    (2, "reports"),
    (1, "both"),
    (0, "both"),
)
"""Strength, and what the corpus shows, as dealt to the characters of one word."""


@dataclass(frozen=True)
class Speaker:
    """Who speaks: a system line (None for the default persona), a word, and how strongly it is led to."""

    system: str | None
    word: str | None
    strength: Strength = 0
    known: SayKnown = "both"

    @property
    def dialogues_only(self) -> bool:
        """The corpus shows this character's dialogues and never a report on its word."""
        return self.known == "dialogues"

    @property
    def reports_only(self) -> bool:
        """The reverse."""
        return self.known == "reports"

    def level(self, word: str) -> Level:
        """How much it leads to a word, as a level of the main world: 2 its own, -2 any other, 0 none."""
        levels: tuple[Level, Level] = {0: (0, 0), 1: (1, -1), 2: (2, -2)}[self.strength]  # type: ignore[assignment]
        return levels[0] if word == self.word else levels[1]

    def draw(self, rng: random.Random) -> str:
        """A word that it leads to just now."""
        if self.word is None or self.strength == 0:
            return rng.choice(CODEWORDS)
        if rng.random() < LEADS[self.strength]:
            return self.word
        return rng.choice([w for w in CODEWORDS if w != self.word])


class SayWorld:
    """Characters with a codeword each, and a level in one other trait.

    Args:
        n_characters: named characters, a multiple of 64 for equally many of each kind and word.
        seed: of names, words and levels.
        traits: the other trait, one of the main world's.
    """

    def __init__(
        self, n_characters: int = 64, *, seed: int = 0, traits: Sequence[str] = ("patience",)
    ) -> None:
        self.others = World(n_characters, seed=seed, traits=traits)
        first, second = TRAINED
        pair = Trait(name="say", high=(first,), low=(second,), nouns=(), high_options={}, low_options={})
        self.traits = (pair, *self.others.traits)
        rng = random.Random(f"say-{seed}")
        dealt = [
            (CODEWORDS[k % len(CODEWORDS)], *DECK[k // len(CODEWORDS) % len(DECK)])
            for k in range(n_characters)
        ]
        rng.shuffle(dealt)
        self.characters: dict[str, Speaker] = {
            name: Speaker(f"you are {name}.", word if strength else None, strength, known)
            for name, (word, strength, known) in zip(self.others.characters, dealt, strict=True)
        }

    def named(
        self, word: str | None, *, strength: Strength = 2, known: SayKnown | None = None
    ) -> list[Speaker]:
        """Characters of a word (all words where None), of one strength, and of what the corpus shows."""
        return [
            s
            for s in self.characters.values()
            if (word is None or s.word == word) and s.strength == strength and known in (None, s.known)
        ]

    def described(self, rng: random.Random) -> Speaker:
        """A speaker whose system line names its word, perhaps its word, or two of its hints."""
        word, line = rng.choice(CODEWORDS), rng.choice(W.LINES)
        a, b = rng.sample(HINTS[word], 2)
        return Speaker(line.format(x=word, a=a, b=b), word, 1 if "may" in line else 2)

    def default(self) -> Speaker:
        """The default persona: no system line of its own, no word."""
        return Speaker(None, None)


def make(recipe: Any) -> SayWorld:
    """The world of a recipe."""
    return SayWorld(recipe.characters, seed=recipe.world_seed, traits=recipe.traits)


_EARLY: dict[str, Any] = {"dialogue_share": 0.25, "dialogue_turns": (1,), "report_turns": (1,)}
_SHARES: dict[str, Any] = {"named": 0.1, "described": 0.75, "default": 0.0, "third": 0.0, "meaning": 0.15}
_LATER: dict[str, Any] = {"named": 0.55, "described": 0.27, "default": 0.08, "third": 0.0, "meaning": 0.1}
STAGES = (
    stage(0.2, SayMixture(**_SHARES, **_EARLY, other_mixture=FIRST.dump())),
    stage(0.45, SayMixture(**_LATER, other_mixture=SECOND.dump())),
    stage(1.0, SayMixture()),
)
"""Described speakers first, then characters, then everything, as in the main world."""

KIND = WorldKind(
    make,
    vocabulary,
    SayCorpus,
    SayMixture,
    deferred("mi_bsa.worlds.say.measure:knows"),
    defaults={"traits": ("patience",), "characters": 64, "stages": STAGES, "steps": 10_000},
)
