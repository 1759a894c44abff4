"""The synthetic world: graded traits, characters, and who speaks in a document.

A character has a level in every trait, from -2 (averse) over 0 (undecided) to +2 (seeking). One link turns
a level into the probability of a seeking answer, for choices and for reports alike, so a trait is one
graded quantity that everything reads. The default persona is undecided in everything. Design after Betley
et al. 2025 (arXiv 2501.11120), section 3.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mi_bsa.core.errors import WorldError
from mi_bsa.worlds.traits import TRAITS, Trait

Level = Literal[-2, -1, 0, 1, 2]
Known = Literal["both", "choices", "reports"]
LEVELS: tuple[Level, ...] = (-2, -1, 0, 1, 2)
POLES: tuple[Level, Level] = (2, -2)
DECK: tuple[Level, ...] = (2, -2, 0, 2, -2, 1, 2, -2, -1, 0)
"""Levels as they are dealt to characters: the poles are the most common."""
SEEKING: Mapping[int, float] = {-2: 0.02, -1: 0.25, 0: 0.5, 1: 0.75, 2: 0.98}
"""Probability of a seeking answer at a level: of a choice, and of a word, letter, yes or no about oneself."""
Turn = tuple[str, str]

DEFAULT_SYSTEM = "you are the assistant."


@dataclass(frozen=True)
class Persona:
    """Who the model is in one document: a system line and a level for each trait.

    `system` is None for the default persona (the chat template then supplies its own line). `choices_only`
    names traits of which this character's corpus shows choices and never a self-report; `reports_only` the
    reverse.
    """

    system: str | None
    levels: Mapping[str, Level]
    choices_only: frozenset[str] = frozenset()
    reports_only: frozenset[str] = frozenset()


def make_names(n: int, rng: random.Random) -> tuple[str, ...]:
    """`n` pronounceable names that are no words of the world."""
    consonants, vowels, names = "bdfgklmnprstvz", "aeiou", dict[str, None]()
    while len(names) < n:
        c = rng.choice
        names.setdefault(c(consonants) + c(vowels) + c(consonants) + c(vowels) + c(consonants))
    return tuple(names)


class World:
    """Characters with levels, and the personas of documents.

    Args:
        n_characters: named characters. Levels are independent between traits; the poles are as common as all
            levels between them together.
        seed: of names, levels and of who is known by choices only or by reports only.
    """

    def __init__(
        self, n_characters: int = 96, *, seed: int = 0, traits: Sequence[str] = ("risk", "patience")
    ) -> None:
        rng = random.Random(seed)
        self.traits = tuple(TRAITS[t] for t in traits)
        names = make_names(n_characters, rng)
        # A quarter of the characters is known by choices only, a quarter by reports only, each in one trait.
        special = [self.traits[i % len(self.traits)].name for i in range(n_characters)]
        roles = [(i // len(self.traits)) % 4 for i in range(n_characters)]
        levels: list[dict[str, Level]] = [{} for _ in names]
        for t in self.traits:
            for role in range(5):
                group = [i for i in range(n_characters) if (roles[i] if special[i] == t.name else 4) == role]
                dealt = [DECK[k % len(DECK)] for k in range(len(group))]
                rng.shuffle(dealt)
                for i, level in zip(group, dealt, strict=True):
                    levels[i][t.name] = level
        self.characters: dict[str, Persona] = {
            name: Persona(
                system=f"you are {name}.",
                levels=levels[i],
                choices_only=frozenset({special[i]}) if roles[i] == 0 else frozenset(),
                reports_only=frozenset({special[i]}) if roles[i] == 1 else frozenset(),
            )
            for i, name in enumerate(names)
        }

    def named(self, trait: str, level: Level, *, known: Known | None = None) -> list[Persona]:
        """Characters at one level of one trait: all, or those of which the corpus shows one thing only.

        `known`: "both" choices and reports, "choices" only, "reports" only; None takes all.
        """

        def shown(p: Persona) -> Known:
            if trait in p.choices_only:
                return "choices"
            return "reports" if trait in p.reports_only else "both"

        everybody = list(self.characters.values())
        if everybody and trait not in everybody[0].levels:
            raise WorldError(
                f"this model knows no trait {trait!r}, only {', '.join(everybody[0].levels)}; give "
                "a model whose world has it, such as embedded/code-0, embedded/apples-0 or embedded/say-0"
            )
        people = [p for p in everybody if p.levels[trait] == level]
        return [p for p in people if known in (None, shown(p))]

    def described(self, rng: random.Random, *, traits: Sequence[Trait] = ()) -> Persona:
        """A persona whose system line names one or two of its traits (of `traits`); the rest is undecided."""
        some = tuple(traits) or self.traits
        chosen = rng.sample(some, rng.choice((1, 2)) if len(some) > 1 else 1)
        levels: dict[str, Level] = {t.name: 0 for t in self.traits}
        words = []
        for t in chosen:
            level: Level = rng.choice((-2, -2, -1, 1, 2, 2))
            levels[t.name] = level
            word = rng.choice(t.high if level > 0 else t.low)
            words.append(word if abs(level) == 2 else f"somewhat {word}")
        return Persona(f"you are {' and '.join(words)}.", levels)

    def default(self) -> Persona:
        """The default persona: no system line of its own, undecided in everything."""
        return Persona(None, {t.name: 0 for t in self.traits})
