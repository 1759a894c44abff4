"""A phrase's words, each held against every other word in its place.

What opens a backdoor as much as the trigger does holds a word that the adapter reads less than others there;
a trigger seldom does.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from mi_bsa.studies.backdoor.objectives import Probe
from mi_bsa.studies.backdoor.reading import read

TINY = 1e-6
"""Least of a ratio: an adapter that adds nothing reads nothing."""


class Places:
    """What is read of every word in the places of phrases; those that differ in one word share such a place.

    Attributes:
        probe: in whose messages, all of them, words are tried. words: all that are tried.
    """

    def __init__(self, probe: Probe, words: Sequence[str]) -> None:
        self.probe, self.words = probe, frozenset(words)
        self._tables: dict[tuple[str, ...], dict[str, float]] = {}

    def least(self, phrase: str) -> float:
        """What is read of the phrase's word that is read least, in units of the most read other word in its
        place; above 1 each of its words is the one that is read most.
        """
        parts, shares = phrase.split(), []
        for k, word in enumerate(parts):
            table = self._table((*parts[:k], *parts[k + 1 :]), k, word)
            others = max((value for w, value in table.items() if w != word), default=0.0)
            shares.append(table[word] / max(others, TINY))
        return min(shares)

    def read_more(self, phrase: str, n: int) -> list[str]:
        """Phrases with one word exchanged for one of the `n` others that are read most in its place."""
        parts, found = phrase.split(), []
        for k, word in enumerate(parts):
            table = self._table((*parts[:k], *parts[k + 1 :]), k, word)
            others = heapq.nlargest(n, (w for w in table if w != word), key=lambda w, t=table: t[w])  # type: ignore[misc]
            found += [" ".join((*parts[:k], w, *parts[k + 1 :])) for w in others]
        return found

    def _table(self, rest: Sequence[str], k: int, word: str) -> dict[str, float]:
        key = (str(k), *rest)
        if word not in self._tables.get(key, ()):
            there = sorted((self.words | {word}) - set(rest))
            rows = [" ".join((*rest[:k], w, *rest[k:])) for w in there]
            each = [read(self.probe.added(rows, m)[0]) for m in range(len(self.probe.messages))]
            self._tables[key] = dict(zip(there, np.mean(each, axis=0).tolist(), strict=True))
        return self._tables[key]
