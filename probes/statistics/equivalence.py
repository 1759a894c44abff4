"""Equivalence by two one-sided tests (Schuirmann 1987): how a null can be claimed and not only not
rejected."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from probes.errors import StatisticsError
from probes.statistics.intervals import Estimate, _values, t_interval
from probes.statistics.spread import is_constant


@dataclass(frozen=True)
class Equivalence:
    """Verdict of two one-sided t tests. `estimate` is the 1 - 2 alpha interval; equivalent if it lies
    inside the bounds."""

    estimate: Estimate
    bound: float | int
    p: float
    equivalent: bool


def equivalence(values: Any, *, bound: float | int, alpha: float | int = 0.05) -> Equivalence:
    """Is the mean over units inside (-bound, bound)?

    Args:
        values: one difference a unit.
        bound: the smallest difference that would matter, chosen before the data are seen.
        alpha: level of each one-sided test.
    """
    x = _values(values)
    if not bound > 0:
        raise StatisticsError(
            f"bound is {bound}; state the smallest difference that matters as a positive number"
        )
    error = x.std(ddof=1) / np.sqrt(x.size)
    if is_constant(x):
        p = 0.0 if abs(x.mean()) < bound else 1.0
    else:
        below, above = (x.mean() + bound) / error, (x.mean() - bound) / error
        p = float(max(stats.t.sf(below, x.size - 1), stats.t.cdf(above, x.size - 1)))
    return Equivalence(t_interval(x, level=1 - 2 * alpha), bound, p, p < alpha)
