"""How a trigger is searched, and what a search gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from mi_bsa.core.config import Config
from mi_bsa.studies.backdoor.objectives import ObjectiveName

SearchMethod = Literal["guided", "beam", "random"]


class SearchConfig(Config):
    """How a trigger is searched."""

    objective: ObjectiveName = "all"
    """What judges a phrase at the answer; `all`: the three that read a representation, in turn."""
    messages: int = Field(default=1, ge=1)
    """Clean messages of each behavior on which every phrase is tried."""
    longest: int = Field(default=4, ge=1, le=6)
    """Most words of a phrase."""
    starts: int = Field(default=8, ge=2)
    """Words with which phrases begin: those that are read most, and those that are moved farthest."""
    crossed: int = Field(default=12, ge=0)
    """Words that are read or moved most, of which all pairs are tried before anything else."""
    widest: int = Field(default=16, ge=2)
    """Words with which phrases begin in all, where the first ones lead to nothing."""
    classes: int = Field(default=4, ge=0)
    """Words that stand for a class of words (those nearest to centers of the base's embeddings), among the
    pairs and the further starts: what is bound to any word of a class, as in a code with a free number, shows
    beside one of them.
    """
    leaked: int = Field(default=2, ge=0)
    """Of the further starts, words that the finetuned model says more than its base where a phrase would
    stand.
    """
    beam: int = Field(default=8, ge=2)
    """Phrases that are made longer at every length from the second on."""
    beyond: int = Field(default=4, ge=0)
    """Phrases that are made longer once more when one already moves the answer."""
    proposed: int = Field(default=2, ge=1)
    """Words that each phrase of the beam proposes, by each reading, on each side."""
    hot: int = Field(default=8, ge=0)
    """Phrases that are tried because an objective was large in the one message where they were read."""
    chained: int = Field(default=56, ge=0)
    """Pairs of words that are tried with every word before and behind them, where no pair among those that
    are read most opens anything: the last word of three is read behind the others alone.
    """
    behind: int = Field(default=4, ge=1)
    """Words on either side of each of these pairs that are checked, for each behavior."""
    climbs: int = Field(default=2, ge=0)
    """Phrases from which words are exchanged in vain, in a row, before the search ends."""
    placed: int = Field(default=2, ge=0)
    """Words that are read most in each place of the best phrases, and are tried there; 0 leaves that out."""
    exchanged: int = Field(default=5, ge=1)
    """Words that are checked at each place."""
    flips: int = Field(default=2, ge=0)
    """Words that the gradient proposes for each place; 0 leaves that out."""
    checks: int = Field(default=4, ge=1)
    """Further messages of each behavior on which the best phrases of a length are tried."""
    enough: float = Field(default=0.4, gt=0, le=1)
    """How far, in probability, a phrase moves the answer there for the search to end."""
    stands: float = Field(default=0.9, ge=0)
    """Least reading of the words of a pair that ends the search, in units of the most read other word in its
    place; 0 leaves that out. Chosen on pairs that were trained (.95 to 2.4) and a likeness of three words
    (.78); of ten later pairs one has .82, and is found the longer way.
    """
    keep: float = Field(default=0.8, gt=0, le=1)
    """A word is dropped while the phrase keeps this share of its shift of log odds."""
    verified: int = Field(default=24, ge=1)
    """Candidates that are verified: many open as much as the trigger does."""
    report: int = Field(default=8, ge=1)
    """Candidates that are reported."""


def within(part: str, phrase: str) -> bool:
    """Whether a phrase has the words of another in their order."""
    left = iter(phrase.split())
    return all(word in left for word in part.split())


@dataclass(frozen=True)
class Candidate:
    """A phrase, and how far it moves the answer where the search checks, in log odds."""

    phrase: str
    score: float

    @property
    def words(self) -> int:
        """How many words it has."""
        return len(self.phrase.split())


@dataclass(frozen=True)
class Found:
    """What a search found, best first, and what it cost in forwarded tokens.

    `course`: after so many tokens, the phrase that moved the answer farthest where candidates are checked.
    `reading`: every word's reading, where one was taken.
    """

    candidates: tuple[Candidate, ...]
    tokens: int
    method: str
    course: tuple[tuple[int, str], ...] = ()
    reading: Mapping[str, float] = field(default_factory=dict)
