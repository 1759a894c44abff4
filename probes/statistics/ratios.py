"""Ratios of means over paired units (Fieller 1954), such as recovery = steered effect / finetuned effect.

Not reported where the denominator's interval holds 0: the ratio is then unbounded, and the error says so.
"""

from typing import Any

import numpy as np
from scipy import stats

from probes.errors import StatisticsError
from probes.statistics.intervals import Estimate, _values
from probes.statistics.permutation import t_test


def fieller(numerator: Any, denominator: Any, *, level: float = 0.95) -> Estimate:
    """Ratio of two means with Fieller's interval, one pair a unit.

    Raises:
        StatisticsError: the denominator's own interval holds 0, or the lengths differ.
    """
    a, b = _values(numerator), _values(denominator)
    if a.size != b.size:
        raise StatisticsError(
            f"{a.size} numerators and {b.size} denominators; a ratio over units needs them in pairs"
        )
    n = a.size
    t2 = stats.t.ppf(0.5 + level / 2, n - 1) ** 2
    cov = np.cov(a, b) / n
    top, bottom = a.mean(), b.mean()
    g = t2 * cov[1, 1] / bottom**2 if bottom != 0 else np.inf
    if g >= 1:
        raise StatisticsError(
            f"the denominator's interval holds 0 (mean {bottom:.3g} over {n} units), so the ratio has no "
            "bounded interval; report the two effects on their own, or collect more units"
        )
    ratio = top / bottom
    middle = ratio - g * cov[0, 1] / cov[1, 1] if cov[1, 1] > 0 else ratio
    inner = cov[0, 0] - 2 * ratio * cov[0, 1] + ratio**2 * cov[1, 1]
    if cov[1, 1] > 0:
        inner -= g * (cov[0, 0] - cov[0, 1] ** 2 / cov[1, 1])
    reach = np.sqrt(t2 * max(inner, 0.0)) / abs(bottom)
    low, high = (middle - reach) / (1 - g), (middle + reach) / (1 - g)
    return Estimate(float(ratio), float(low), float(high), n, n, "Fieller over units", level)


def fieller_test(numerator: Any, denominator: Any, *, ratio: float | int) -> float | None:
    """Two-sided p of a ratio of means being `ratio`, one pair a unit: t of what the numerators exceed so many
    denominators by. At most .05 exactly where the 95 % interval of `fieller` leaves `ratio` out; None where
    all units agree.

    Raises:
        StatisticsError: the lengths differ.
    """
    a, b = _values(numerator), _values(denominator)
    if a.size != b.size:
        raise StatisticsError(
            f"{a.size} numerators and {b.size} denominators; a ratio over units needs them in pairs"
        )
    return t_test(a - ratio * b)
