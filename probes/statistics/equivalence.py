"""Equivalence by two one-sided tests (Schuirmann 1987): how a null can be claimed and not only not
rejected."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from probes.errors import StatisticsError
from probes.statistics.crossed import CrossedMean
from probes.statistics.intervals import Estimate, _values, t_interval
from probes.statistics.spread import is_constant, slack


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
    error = 0.0 if is_constant(x) else float(x.std(ddof=1) / np.sqrt(x.size))
    p = _larger_p(float(x.mean()), error, x.size - 1.0, bound)
    return Equivalence(t_interval(x, level=1 - 2 * alpha), bound, p, p < alpha)


def crossed_equivalence(
    found: CrossedMean, *, bound: float | int, alpha: float | int = 0.05, within: tuple[float, float] | None
) -> Equivalence:
    """The same of a mean over units x items, both drawn (`crossed_mean`).

    Args:
        found: the mean.
        bound: as above.
        alpha: as above.
        within: ends of the scale, at which the interval is cut off.

    Raises:
        StatisticsError: one unit of one item, whose spread nobody knows; or a bound that is not positive.
    """
    if np.isnan(found.variance):
        raise StatisticsError("one unit of one item is not told from any bound; give more of either")
    error = 0.0 if found.variance <= slack(found.value) ** 2 else float(np.sqrt(found.variance))
    p = _larger_p(found.value, error, found.degrees, bound)
    estimate = found.interval(level=1 - 2 * alpha, bounds=within, scale="linear")
    return Equivalence(estimate, bound, p, p < alpha)


def _larger_p(mean: float, error: float, degrees: float, bound: float | int) -> float:
    """Of the two one-sided t tests; 0 or 1 where nothing differs by more than rounding."""
    if not bound > 0:
        raise StatisticsError(
            f"bound is {bound}; state the smallest difference that matters as a positive number"
        )
    if error == 0:
        return 0.0 if abs(mean) < bound else 1.0
    below, above = (mean + bound) / error, (mean - bound) / error
    return float(max(stats.t.sf(below, degrees), stats.t.cdf(above, degrees)))
