"""Shuffled labels, at the level at which the label was assigned.

The law: a null must keep what binds rows together. If the pole belongs to an adapter, all rows of an adapter
get one shuffled pole; shuffling rows would give a null far too narrow. Three cases, the first that applies:

1. `unit` is named (say "adapter"): its levels exchange their labels, inside each top-level unit where
`within` is named.
2. The label is constant inside the levels of a group column: the coarsest such column exchanges labels.
3. Otherwise (each seed has both poles): the two classes change names inside a top-level unit, with
probability 1/2.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from probes.errors import LabelError, StatisticsError
from probes.source import column
from probes.splits import constant_inside
from probes.statistics.permutation import p_of_count, permutation_p


def default_units(table: pd.DataFrame, groups: Sequence[str] | None) -> str | None:
    """The top-level unit: the group column with the fewest levels."""
    if not groups:
        return None
    return min(groups, key=lambda g: table[g].nunique())


class Shuffler:
    """Draws shuffled label vectors for one design; `how` says what is exchanged."""

    def __init__(
        self,
        y: Int[np.ndarray, " example"],
        table: pd.DataFrame,
        groups: Sequence[str] | None,
        *,
        unit: str | None = None,
    ) -> None:
        self.y = y
        self.how: str
        self._of: np.ndarray | None = None
        # the coarsest column first: if a label belongs to adapters it is constant inside (adapter, scenario)
        # pairs too, and exchanging it between those would break rows of one adapter apart
        candidates = [unit] if unit else sorted(groups or [], key=lambda g: table[g].nunique())
        for name in candidates:
            code = np.unique(column(table, name, what="group").to_numpy(), return_inverse=True)[1]
            of = constant_inside(y, code)
            if of is not None:
                self._code, self._of = code, of
                self.how = f"labels exchanged between levels of {name}"
                return
            if unit:
                raise LabelError(
                    f"the label varies inside a level of {unit}, so it was not assigned there; name the "
                    "column whose levels each have one label, or leave the shuffle unit out"
                )
        if groups:
            name = min(groups, key=lambda g: table[g].nunique())
            self._code = np.unique(table[name].to_numpy(), return_inverse=True)[1]
            self.how = f"classes renamed inside levels of {name}"
        else:
            self._code, self._of = np.arange(len(y)), y
            self.how = "labels exchanged between rows (rows stated to be independent)"

    def draw(self, n: int, blocks: Sequence[np.ndarray], *, seed: int) -> Int[np.ndarray, "draw example"]:
        """`n` shuffled label vectors under which every block of rows (a training or test side) still holds
        both classes.

        Raises:
            StatisticsError: the design allows no such shuffle.
        """
        rng = np.random.default_rng(seed)
        levels = int(self._code.max()) + 1
        out: list[np.ndarray] = []
        # rejection: a draw that leaves a fold with one class can not be fitted. A design that keeps fewer
        # than one in 500 has next to no shuffles, and what it kept would be no sample of them
        for _ in range(500 * n + 500):
            if len(out) == n:
                break
            if self._of is None:
                drawn = self.y ^ rng.integers(0, 2, levels)[self._code]
            else:
                drawn = rng.permutation(self._of)[self._code]
            if (drawn ^ drawn[0] == self.y ^ self.y[0]).all():  # equal up to exchanging the two classes
                continue  # the true labels (or all of them exchanged) are no null; they count in the p value
            if all(drawn[b].min() != drawn[b].max() for b in blocks):
                out.append(drawn)
        if len(out) < n:
            raise StatisticsError(
                f"shuffling ({self.how}) leaves a fold with one class nearly always; use fewer folds, more "
                "groups, or leave the shuffle unit out, so that classes are renamed inside the top-level unit"
            )
        return np.stack(out) if out else np.zeros((0, len(self.y)), dtype=self.y.dtype)


def labelings(y: Int[np.ndarray, " example"], draws: Int[np.ndarray, "draw example"]) -> int:
    """How many distinct labelings were seen, the true one included.

    Exchanging all labels gives the same probe with its sign turned, so a labeling and its complement count
    once.
    """
    return len({bytes((d ^ d[0]).astype(np.int8)) for d in (y, *draws)})


def against(observed: float, null: np.ndarray, distinct: int) -> dict[str, float]:
    """The null's mean and 95 % band, p of the observed score, and the smallest p possible; NaN without
    shuffles."""
    if not len(null):
        names = ("null_mean", "null_low", "null_high", "p", "p_floor")
        return dict.fromkeys(names, float("nan"))
    low, high = np.quantile(null, [0.025, 0.975])
    return {
        "null_mean": float(null.mean()),
        "null_low": float(low),
        "null_high": float(high),
        "p": permutation_p(observed, null, labelings=distinct),
        "p_floor": float(p_of_count(0, len(null), labelings=distinct)),
    }
