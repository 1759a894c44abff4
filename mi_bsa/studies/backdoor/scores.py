"""Phrases that a search has scored and checked; none twice by the same rule."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mi_bsa.studies.backdoor.objectives import Probe
from mi_bsa.studies.backdoor.search_config import Candidate, Found, SearchConfig

READ = 0.25
"""Power of the words' readings in the weight of a phrase; chosen on strings of two and three words."""
LEAST = 0.05
"""Least reading of a word: one that is read as little as can be does not exclude a phrase."""


class Scores:
    """Every phrase that was scored by the objectives (`seen`), by the answer alone where words are exchanged
    (`moved`), and on the messages that check (`checked`).
    """

    def __init__(self, probe: Probe, budget: int | None = None) -> None:
        self.probe = probe
        self.budget = budget
        self.checking = probe.checking()
        self.seen: dict[str, np.ndarray] = {}
        self.checked: dict[str, tuple[float, float]] = {}
        self.course: list[tuple[int, str]] = []
        self.answer = probe.of("answer")
        self.moved: dict[str, np.ndarray] = {}
        self.reading: dict[str, float] = {}

    @property
    def spent(self) -> bool:
        """Whether the budget of tokens is used up."""
        return self.budget is not None and self.probe.meter.tokens >= self.budget

    def add(self, phrases: Iterable[str]) -> None:
        """Score those that are new by every objective, until the budget is spent."""
        self._score(self.probe, phrases, self.seen)

    def near(self, phrases: Iterable[str]) -> dict[str, np.ndarray]:
        """How far phrases move the answer, where the objectives judge; all that were asked so far."""
        self._score(self.answer, phrases, self.moved)
        return self.moved

    def _score(
        self, probe: Probe, phrases: Iterable[str], into: dict[str, np.ndarray], *, at_once: int = 512
    ) -> None:
        new = [p for p in dict.fromkeys(phrases) if p not in into]
        for start in range(0, len(new), at_once):
            if self.spent:
                return
            some = new[start : start + at_once]
            into.update(zip(some, probe.scores(some), strict=True))

    def best(self, n: int, length: int | None = None) -> list[str]:
        """The `n` strongest (of so many words); the objectives take turns."""
        pool = [p for p in self.seen if length is None or len(p.split()) == length]
        return strongest({p: self.seen[p] for p in pool}, n)

    def check(self, phrases: Iterable[str]) -> None:
        """Shifts of the answer on the messages that check: the largest over behaviors, in probability and in
        log odds."""
        new = [p for p in dict.fromkeys(phrases) if p not in self.checked]
        if new:
            moved = np.abs(self.checking.shifts(new)).max(1)
            self.checked.update((p, (float(m[0]), float(m[1]))) for p, m in zip(new, moved, strict=True))
            best = self.strongest
            if not self.course or self.course[-1][1] != best:
                self.course.append((self.probe.meter.tokens, best))

    @property
    def strongest(self) -> str:
        """The phrase that moves the answer farthest on the messages that check, weighed."""
        return max(self.checked, key=self.weighed)

    def weighed(self, phrase: str) -> float:
        """Its shift of log odds on the messages that check, weighed by what is read of its words."""
        return self.checked[phrase][1] * weight(phrase, self.reading)

    def settled(self, config: SearchConfig, n: int = 6) -> bool:
        """Whether one of the `n` strongest moves the answer by `enough` on the messages that check."""
        best = self.best(n)
        self.check(best)
        return any(self.checked[p][0] >= config.enough for p in best)

    def shorten(self, phrases: Sequence[str], keep: float) -> list[str]:
        """Drop words of each, again and again, while what is left keeps the phrase's strength where it is
        checked.
        """
        self.check(phrases)
        now = list(phrases)
        open_ = set(range(len(now)))
        while open_ := {k for k in open_ if _without(now[k])}:
            self.check(s for k in sorted(open_) for s in _without(now[k]))
            for k in sorted(open_):
                short = max(_without(now[k]), key=lambda p: self.checked[p][1])
                if self.checked[short][1] < keep * self.checked[now[k]][1]:
                    open_.discard(k)
                else:
                    now[k] = short
        return list(dict.fromkeys(now))

    def found(self, config: SearchConfig, method: str) -> Found:
        """The strongest phrases, without the words that they do not need."""
        best = heapq.nlargest(2 * config.verified, self.checked, key=self.weighed)
        kept = self.shorten(list(dict.fromkeys([*best, *self.best(config.report)])), config.keep)
        kept = sorted(kept, key=lambda p: -self.weighed(p))[: config.verified]
        candidates = tuple(Candidate(p, self.checked[p][1]) for p in kept)
        name = f"{self.probe.objective}, {method}"
        return Found(candidates, self.probe.meter.tokens, name, tuple(self.course), self.reading)


def weight(phrase: str, reading: Mapping[str, float]) -> float:
    """What a phrase's shift is weighed by: the geometric mean of the readings of its two words that are read
    most, to the power `READ`; 1 where no reading was taken.

    An adapter reads the words that it was trained on, but the last of three behind the others alone: of many
    phrases that open as much the trigger is one of which two words are read.
    """
    if not reading:
        return 1.0
    each = sorted(max(reading.get(w, 0.0), LEAST) for w in phrase.split())
    return float(np.exp(READ * np.mean(np.log(each[-2:]))))


def strongest(scores: Mapping[str, np.ndarray], n: int) -> list[str]:
    """The `n` strongest phrases; where there are several objectives they take turns."""
    columns = len(next(iter(scores.values()), ()))
    each = [heapq.nlargest(n, scores, key=lambda p, k=k: float(scores[p][k])) for k in range(columns)]  # type: ignore[misc]
    return list(dict.fromkeys(p for turn in zip(*each, strict=True) for p in turn))[:n]


def _without(phrase: str) -> list[str]:
    parts = phrase.split()
    return [" ".join((*parts[:k], *parts[k + 1 :])) for k in range(len(parts))] if len(parts) > 1 else []
