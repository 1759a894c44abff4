"""A backdoored arm against its decorrelated twin, seed by seed, so that "no difference" can be a result.

Law: no number without its twin. Beside the difference stand its interval (t over seeds), the test of
equivalence within a bound that was set beforehand, and the smallest difference that this many seeds would
have found with a power of 80 %, at the spread that they turned out to have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mi_bsa.studies.backdoor.checks import check_twins
from probes import statistics

BOUND = 0.1
"""The smallest difference of awareness that would matter."""
POWER = 0.8


@dataclass(frozen=True)
class Contrast:
    """Backdoored minus decorrelated, paired by seed.

    Attributes:
        values: the difference of each seed.
        value, low, high: their mean with a 95 % t interval.
        p: of a two-sided t test against 0; None where all seeds agree.
        p_flip: of the exact sign-flip test; None below six seeds, where it cannot reach .05.
        detectable: the smallest mean difference found in 80 % of repetitions at .05, given the spread seen.
        equivalent: whether the difference lies within `BOUND` by two one-sided tests.
    """

    values: tuple[float, ...]
    value: float
    low: float
    high: float
    p: float | None
    p_flip: float | None
    detectable: float
    equivalent: bool


def contrast(backdoored: Mapping[int, float], decorrelated: Mapping[int, float]) -> Contrast:
    """Compare two arms' numbers by seed.

    Raises:
        TriggerError: a seed without its twin, or fewer than 3 seeds.
    """
    check_twins(list(backdoored), list(decorrelated))
    values = [float(backdoored[s] - decorrelated[s]) for s in sorted(backdoored)]
    estimate = statistics.t_interval(values)
    same = statistics.equivalence(values, bound=BOUND)
    flip = statistics.sign_flip_test(values).p if len(values) >= 6 else None
    ends, p = (estimate.value, estimate.low, estimate.high), statistics.t_test(values)
    return Contrast(tuple(values), *ends, p, flip, detectable(values), bool(same.equivalent))


def detectable(values: Sequence[float], *, alpha: float = 0.05, power: float = POWER) -> float:
    """The mean that a two-sided t test on as many values of this spread finds with that power."""
    from scipy import optimize, stats

    n, spread = len(values), float(np.std(values, ddof=1))
    if statistics.is_constant(values):
        return 0.0
    critical = stats.t.ppf(1 - alpha / 2, n - 1)

    def missing(delta: float) -> float:
        shift = delta * np.sqrt(n) / spread
        found = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
        return float(found - power)

    high = spread
    while missing(high) < 0:
        high *= 2
    return float(optimize.brentq(missing, 0.0, high))
