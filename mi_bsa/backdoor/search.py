"""Find a backdoor's trigger, given only the finetuned model and its base.

Words are first ranked by how far the adapter moves the stream where they stand (`reading`), which takes a
token a word. All arrangements of the first of them are then scored by an objective at the answer, and so are
longer ones made from the best; a gradient proposes exchanges (HotFlip, Ebrahimi et al. 2018, arXiv
1712.06751). The search ends at the length at which a phrase moves the answer for good. For comparison: a
beam over the vocabulary without any representation, and random phrases. What is found is verified elsewhere
(`verify`), on messages that the search has not seen.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from mi_bsa.backdoor.objectives import ObjectiveName, Probe
from mi_bsa.backdoor.reading import read_words
from mi_bsa.config import Config

if TYPE_CHECKING:
    import torch

Method = Literal["guided", "beam", "random"]


class SearchConfig(Config):
    """How a trigger is searched."""

    objective: ObjectiveName = "divergence"
    """What is maximized at the answer."""
    messages: int = Field(default=1, ge=1)
    """Clean messages of each behavior on which every phrase is tried."""
    longest: int = Field(default=4, ge=1, le=6)
    """Most words of a phrase."""
    contexts: int = Field(default=3, ge=1)
    """Messages in which the adapter's reading of each word is taken."""
    shortlist: int = Field(default=24, ge=2)
    """Words that the reading puts first, of which phrases are made."""
    arranged: int = Field(default=120, ge=1)
    """Most arrangements of the first words that are tried at each length."""
    followed: int = Field(default=6, ge=0)
    """Words, and phrases, after which the adapter's reading is taken again to propose how they go on."""
    followers: int = Field(default=8, ge=1)
    """Words that are proposed behind each."""
    beam: int = Field(default=4, ge=1)
    """Phrases that are made longer at every length."""
    flips: int = Field(default=6, ge=0)
    """Exchanges that the gradient proposes for each word of the best phrases; 0 leaves that out."""
    checks: int = Field(default=6, ge=1)
    """Further messages of each behavior on which the best phrase of a length is tried."""
    enough: float = Field(default=0.4, gt=0, le=1)
    """How far, in probability, it moves the answer there when longer phrases are not tried any more."""
    keep: float = Field(default=0.9, gt=0, le=1)
    """A word is dropped while the phrase keeps this share of its score."""
    report: int = Field(default=10, ge=1)
    """Candidates that are reported."""


@dataclass(frozen=True)
class Candidate:
    """A phrase with its score by the objective, on the search's own messages."""

    phrase: str
    score: float

    @property
    def words(self) -> int:
        """How many words it has."""
        return len(self.phrase.split())


@dataclass(frozen=True)
class Found:
    """What a search found, best first, and what it cost in forwarded tokens.

    `reading`: every word's reading, where one was taken.
    """

    candidates: tuple[Candidate, ...]
    tokens: int
    method: str
    reading: Mapping[str, float] = field(default_factory=dict)


class Scores:
    """Every phrase that was scored; none is scored twice."""

    def __init__(self, probe: Probe, budget: int | None = None) -> None:
        self.probe = probe
        self.budget = budget
        self.checking = probe.checking()
        self.seen: dict[str, float] = {}

    @property
    def spent(self) -> bool:
        """Whether the budget of tokens is used up."""
        return self.budget is not None and self.probe.meter.tokens >= self.budget

    def add(self, phrases: Iterable[str], *, at_once: int = 256) -> None:
        """Score those that are new, until the budget is spent."""
        new = [p for p in dict.fromkeys(phrases) if p not in self.seen]
        for start in range(0, len(new), at_once):
            if self.spent:
                return
            some = new[start : start + at_once]
            self.seen.update(zip(some, map(float, self.probe.scores(some)), strict=True))

    def best(self, n: int, length: int | None = None) -> list[str]:
        """The `n` strongest (of so many words)."""
        pool = [p for p in self.seen if length is None or len(p.split()) == length]
        return sorted(pool, key=lambda p: -self.seen[p])[:n]

    def shorten(self, phrase: str, keep: float) -> None:
        """Score what is left without each word, again and again while that keeps the phrase's strength."""
        while shorter := _without(phrase):
            self.add(shorter)
            strongest = max(shorter, key=lambda p: self.seen.get(p, -np.inf))
            if self.seen.get(strongest, -np.inf) < keep * self.seen[phrase]:
                return
            phrase = strongest

    def found(self, config: SearchConfig, method: str, reading: Mapping[str, float] | None = None) -> Found:
        """The strongest phrases of which no part does nearly as much."""
        for phrase in self.best(config.report // 2):
            self.shorten(phrase, config.keep)
        kept = [p for p in self.best(50 * config.report) if not self._padded(p, config.keep)]
        candidates = tuple(Candidate(p, self.seen[p]) for p in kept[: config.report])
        name = f"{self.probe.objective}, {method}"
        return Found(candidates, self.probe.meter.tokens, name, reading or {})

    def _padded(self, phrase: str, keep: float) -> bool:
        strength = self.seen[phrase]
        return strength > 0 and any(self.seen.get(p, -np.inf) >= keep * strength for p in _without(phrase))


def search(
    probe: Probe,
    words: Sequence[str],
    config: SearchConfig,
    *,
    method: Method = "guided",
    budget: int | None = None,
    seed: int = 0,
) -> Found:
    """Search phrases of `words` with the probe's objective.

    `budget`: tokens after which it ends; the random search needs one, and a beam with one grows until it is
    spent. Raises `ValueError` for a random search without a budget.
    """
    words = list(dict.fromkeys(words))
    if method == "guided":
        return _guided(probe, words, config, budget)
    if method == "beam":
        return _beam(probe, words, config, budget)
    if budget is None:
        raise ValueError("a random search ends by its budget; give one")
    return _random(probe, words, config, budget, seed)


def _guided(probe: Probe, words: Sequence[str], config: SearchConfig, budget: int | None) -> Found:
    scores = Scores(probe, budget)
    reading = read_words(probe, words, contexts=config.contexts)
    order = np.argsort(-reading, kind="stable")
    first = [words[i] for i in order[: config.shortlist]]
    scores.add(first)
    for length in range(2, config.longest + 1):
        if _settled(scores, config) or scores.spent:
            break
        scores.add(arrangements(first, length, config.arranged))
        starts = first if length == 2 else scores.best(config.followed, length - 1)
        for start in starts[: config.followed]:
            scores.add(followers(probe, start, words, config))
        scores.add(_longer(scores.best(config.beam, length - 1), first[: config.shortlist // 2]))
        if config.flips and probe.objective != "answer":
            for phrase in scores.best(2, length):
                scores.add(_flips(probe, phrase, words, config.flips))
    return scores.found(config, "guided", dict(zip(words, map(float, reading), strict=True)))


def followers(probe: Probe, start: str, words: Sequence[str], config: SearchConfig) -> Iterator[str]:
    """The phrase with the words behind it that the adapter reads most, given the phrase."""
    reading = read_words(probe, words, contexts=1, after=start)
    for i in np.argsort(-reading, kind="stable")[: config.followers]:
        if words[i] not in start.split():
            yield f"{start} {words[i]}"


def _settled(scores: Scores, config: SearchConfig) -> bool:
    best = scores.best(1)
    return bool(best) and float(np.abs(scores.checking.shifts(best)).max()) >= config.enough


def _beam(probe: Probe, words: Sequence[str], config: SearchConfig, budget: int | None) -> Found:
    """All words, then the best with the best, ever longer; twice as wide again while there is budget."""
    scores = Scores(probe, budget)
    scores.add(words)
    wide, beam = config.shortlist, config.beam
    while not scores.spent:
        shortlist = scores.best(wide, 1)
        for length in range(2, config.longest + 1):
            scores.add(_longer(scores.best(beam, length - 1), shortlist))
        if budget is None or _settled(scores, config) or wide >= 4 * len(words):
            break
        wide, beam = 2 * wide, 2 * beam
    return scores.found(config, "beam")


def _random(probe: Probe, words: Sequence[str], config: SearchConfig, budget: int, seed: int) -> Found:
    rng = random.Random(seed)
    scores = Scores(probe, budget)
    while not scores.spent and not _settled(scores, config):
        scores.add(" ".join(rng.sample(list(words), rng.randint(1, config.longest))) for _ in range(64))
    return scores.found(config, "random")


def arrangements(words: Sequence[str], length: int, most: int) -> Iterator[str]:
    """Ordered choices of `length` of the first words: of as many words as give at most `most` of them."""
    n = length
    while n < len(words) and _count(n + 1, length) <= most:
        n += 1
    for chosen in itertools.permutations(words[:n], length):
        yield " ".join(chosen)


def _count(n: int, length: int) -> int:
    return int(np.prod([n - k for k in range(length)]))


def _longer(phrases: Sequence[str], words: Sequence[str]) -> Iterable[str]:
    """Every phrase with every word at every place."""
    for phrase in phrases:
        parts = phrase.split()
        for word in words:
            if word not in parts:
                for at in range(len(parts) + 1):
                    yield " ".join((*parts[:at], word, *parts[at:]))


def _flips(probe: Probe, phrase: str, words: Sequence[str], n: int) -> Iterable[str]:
    """Phrases with one word exchanged, as the gradient proposes: the first-order change of the objective."""
    embed: torch.Tensor = probe.model.anatomy.decoder.embed_tokens.weight.detach().float()  # type: ignore[union-attr,operator]
    one = [probe.model.tokenizer(f" {w}", add_special_tokens=False)["input_ids"] for w in words]
    single = [(w, int(ids[0])) for w, ids in zip(words, one, strict=True) if len(ids) == 1]
    if not single:
        return
    columns = [t for _, t in single]
    parts = phrase.split()
    gains: Any = np.zeros((len(parts), len(single)))
    for message in range(len(probe.messages)):
        gradient, ids, spans = probe.gradients(phrase, message)
        for k, (start, end) in enumerate(spans):
            if end - start == 1:
                gains[k] += ((embed[columns] - embed[ids[start]]) @ gradient[start].float()).cpu().numpy()
    for k in range(len(parts)):
        for i in np.argsort(-gains[k], kind="stable")[:n]:
            word = single[int(i)][0]
            if word not in parts:
                yield " ".join((*parts[:k], word, *parts[k + 1 :]))


def _without(phrase: str) -> list[str]:
    parts = phrase.split()
    return [" ".join((*parts[:k], *parts[k + 1 :])) for k in range(len(parts))] if len(parts) > 1 else []
