"""Phrases of three words, read from left to right: a pair that the adapter reads, and every word behind it.

A causal model can know a trigger's last word only behind the words before it. On ten adapters of three words
the first stands at a median rank of 2 among 341 words by what is read of each alone, the second at 10, and
at 9 behind the first; the third is read like any other word until both stand before it, and then moves the
answer most or nearly so. So pairs are put in the order of what is read in them, and every word is tried
behind each, in a message of every behavior: what opens in one behavior's messages may open nothing in
another's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from mi_bsa.studies.backdoor.reading import read, unexpected
from mi_bsa.studies.backdoor.scores import Scores
from mi_bsa.studies.backdoor.search_config import SearchConfig

TURN = 16
"""Pairs after which what was found is checked."""
LEAST = 1e-12
"""Smallest reading: that of an adapter which adds nothing is zero, and has no logarithm."""


def chain(
    scores: Scores,
    firsts: Sequence[str],
    words: Sequence[str],
    reading: Float[np.ndarray, " word"],
    config: SearchConfig,
) -> None:
    """Try every word behind the pairs that are read most; what moves a behavior's answer most is checked.

    `reading`: of each of `words` by itself. Ends where the budget is spent.
    """
    every = pairs(scores, firsts, words, reading)[: config.chained]
    for start in range(0, len(every), TURN):
        tried: list[str] = []
        for pair in every[start : start + TURN]:
            if scores.spent:
                return
            row = [f"{pair} {w}" for w in words if w not in pair.split()]
            moved = np.abs(scores.answer.shifts(row)[..., 1])
            for behavior in moved.T:
                tried += [row[i] for i in np.argsort(-behavior, kind="stable")[: config.behind]]
        scores.check(tried)


def pairs(
    scores: Scores, firsts: Sequence[str], words: Sequence[str], reading: Float[np.ndarray, " word"]
) -> list[str]:
    """Each of `firsts` with every word behind it, in the order of what is read in both.

    The product of the first word's reading, the second's behind it (`read`, and the root of `unexpected`) and
    the root of the second's by itself.
    """
    probe, alone = scores.probe, np.log(np.maximum(reading, LEAST))
    found: dict[str, float] = {}
    for first in firsts:
        row = [f"{first} {w}" for w in words]
        added = [probe.added(row, m)[0] for m in range(len(probe.messages))]
        behind, far = (
            np.log(np.maximum(np.mean([by(one) for one in added], axis=0), LEAST))
            for by in (read, unexpected)
        )
        each = alone[words.index(first)] + behind + far / 2 + alone / 2
        found |= {p: float(x) for p, w, x in zip(row, words, each, strict=True) if w != first}
    return sorted(found, key=lambda p: -found[p])
