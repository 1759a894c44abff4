"""Phrases of three words: a pair that the adapter reads together, and every word before and behind it.

A causal model can know a trigger's last word only behind the words before it. On ten adapters of three words
the first stands at a median rank of 2 among 341 words by what is read of each alone, the second at 10, and
the third is read like any other word until both stand before it. But of the first two one is always among
the sixteen that are read or moved most, and beside it the other stands out, before it as well as behind it.
So every word is put on either side of these; pairs go in the order of what is read in them, and every word
is tried on either side of each, in a message of every behavior: what opens in one behavior's messages may
open nothing in another's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from mi_bsa.studies.backdoor.reading import bound, read, unexpected
from mi_bsa.studies.backdoor.scores import Scores
from mi_bsa.studies.backdoor.search_config import SearchConfig

TURN = 16
"""Pairs after which what was found is checked."""
LEAST = 1e-12
"""Smallest reading: that of an adapter which adds nothing is zero, and has no logarithm."""


def chain(
    scores: Scores,
    pivots: Sequence[str],
    words: Sequence[str],
    reading: Float[np.ndarray, " word"],
    config: SearchConfig,
) -> None:
    """Try every word on either side of the pairs that are read most; what moves a behavior's answer most is
    checked.

    `reading`: of each of `words` by itself. Ends where the budget is spent.
    """
    every = pairs(scores, pivots, words, reading)[: config.chained]
    for start in range(0, len(every), TURN):
        tried: list[str] = []
        for pair in every[start : start + TURN]:
            new = [w for w in words if w not in pair.split()]
            for row in ([f"{pair} {w}" for w in new], [f"{w} {pair}" for w in new]):
                if scores.spent:
                    return
                moved = np.abs(scores.answer.shifts(row)[..., 1])
                for behavior in moved.T:
                    tried += [row[i] for i in np.argsort(-behavior, kind="stable")[: config.behind]]
        scores.check(tried)


def pairs(
    scores: Scores, pivots: Sequence[str], words: Sequence[str], reading: Float[np.ndarray, " word"]
) -> list[str]:
    """Each of `pivots` with every word behind it and before it, in the order of what is read in both; the two
    sides take turns.

    The product of the root of the pivot's own reading and three of the pair: `read`, `unexpected`, `bound`.
    """
    probe, alone = scores.probe, np.log(np.maximum(reading, LEAST))
    sides = []
    for behind in (True, False):
        rows = [[f"{p} {w}" if behind else f"{w} {p}" for w in words] for p in pivots]
        each = []
        for message in range(len(probe.messages)):
            table = np.stack([probe.added(row, message)[0] for row in rows])
            by_pivot = ([by(one) for one in table] for by in (read, unexpected))
            each.append([bound(table), *by_pivot])
        logs = np.log(np.maximum(np.mean(np.asarray(each), axis=0), LEAST)).sum(0)
        found = {
            row[i]: float(alone[words.index(p)] / 2 + logs[k, i])
            for k, (p, row) in enumerate(zip(pivots, rows, strict=True))
            for i, w in enumerate(words)
            if w != p
        }
        sides.append(sorted(found, key=lambda pair, found=found: -found[pair]))  # type: ignore[misc]
    return list(dict.fromkeys(pair for turn in zip(*sides, strict=True) for pair in turn))
