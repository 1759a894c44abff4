"""Estimates with intervals. The unit of resampling is the top-level unit (adapter seed, or scenario), never
the row.

The rule of this toolkit: with fewer than 10 units the interval is a t or studentized one over per-unit
estimates (on the logit scale for shares and AUROC), because a percentile bootstrap over 3 to 5 units covers
only 75-85 % (docs/validity.md shows it). With 10 or more it is a studentized bootstrap over units (Efron
and Tibshirani 1993, 12.5).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Num, Shaped
from scipy import stats
from scipy.special import expit, logit

from probes.errors import StatisticsError
from probes.statistics.spread import ROUNDING, is_constant

FEW = 10
"""With fewer top-level units than this, intervals are t or studentized over per-unit estimates."""


@dataclass(frozen=True)
class Estimate:
    """A number that carries its interval and its n."""

    value: float
    low: float
    high: float
    n: int
    units: int
    method: str
    level: float = 0.95
    effective: float | None = None  # independent rows behind an exact interval (probes.statistics.ceiling)

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.value:.3f} (n={self.n}, no interval: {self.method.removeprefix('none: ')})"
        span = f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"
        return f"{span} (n={self.n}, units={self.units}, {self.method})"

    def as_dict(self) -> dict[str, Any]:
        """The fields, JSON-ready: what is not there is None."""
        fields = asdict(self)
        return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in fields.items()}


def no_interval(value: float, reason: str, *, n: int, units: int) -> Estimate:
    """A number without an interval, and the reason, as the method "none: <reason>"."""
    return Estimate(value, float("nan"), float("nan"), n, units, f"none: {reason}")


def _values(values: Any, *, at_least: int = 2) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(array).all():
        raise StatisticsError(
            f"{int((~np.isfinite(array)).sum())} of {array.size} values are NaN or infinite; drop them first"
        )
    if array.size < at_least:
        raise StatisticsError(
            f"{array.size} values can not carry an interval; at least {at_least} units are needed"
        )
    return array


_BACK: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": np.asarray,
    "logit": expit,
    "fisher": np.tanh,
}
_SCALES = {"linear": "", "logit": ", logit scale", "fisher": ", Fisher z"}


def t_interval(
    values: Num[Any, " unit"] | list[float],
    *,
    level: float = 0.95,
    scale: str = "linear",
    n: int | None = None,
) -> Estimate:
    """Student's t over one value a unit.

    Args:
        values: one estimate a unit (for example one AUROC a seed).
        level: confidence.
        scale: "linear", "logit" for values in (0, 1), or "fisher" for correlations and cosines; the value is
            then the back-transformed mean on that scale.
        n: rows behind the values, for the record.
    """
    raw = _values(values)
    if scale == "logit":
        if ((raw <= 0) | (raw >= 1)).any():
            raise StatisticsError(
                "a value is 0 or 1, which has no logit; shrink it by its count, as probes.scores does"
            )
        x = logit(raw)
    elif scale == "fisher":
        # Fisher's z makes the spread of a cosine equal along its range; 1 itself has none
        x = np.arctanh(np.clip(raw, -1 + 1e-12, 1 - 1e-12))
    elif scale == "linear":
        x = raw
    else:
        raise StatisticsError(f"scale is {scale!r}; choose 'linear', 'logit' or 'fisher'")
    center, error = x.mean(), x.std(ddof=1) / np.sqrt(x.size)
    reach = stats.t.ppf(0.5 + level / 2, x.size - 1) * error  # two tails of (1 - level) / 2
    ends = np.array([center, center - reach, center + reach])
    value, low, high = _BACK[scale](ends)
    kind = "t over units" + _SCALES[scale]
    return Estimate(float(value), float(low), float(high), n or raw.size, raw.size, kind, level)


def studentized_interval(
    values: Num[Any, " unit"] | list[float], *, level: float = 0.95, n_boot: int = 2000, seed: int = 0
) -> Estimate:
    """Bootstrap-t over one value a unit: follows skewed distributions that Student's t does not."""
    x = _values(values, at_least=3)
    center, error = x.mean(), x.std(ddof=1) / np.sqrt(x.size)
    if is_constant(x, scale=0.0):
        value = float(center)
        return Estimate(value, value, value, x.size, x.size, "studentized (all units equal)", level)
    rng = np.random.default_rng(seed)
    draws = x[rng.integers(0, x.size, (n_boot, x.size))]
    errors = draws.std(axis=1, ddof=1) / np.sqrt(x.size)
    # a resample of one unit many times has no spread, so no pivot
    moved = errors > ROUNDING * error
    pivots = (draws.mean(axis=1)[moved] - center) / errors[moved]
    # pivots are turned around: what resamples overshoot by is what the estimate falls short by
    high_t, low_t = np.quantile(pivots, [0.5 - level / 2, 0.5 + level / 2])
    return Estimate(
        float(center), float(center - low_t * error), float(center - high_t * error), x.size, x.size,
        "studentized over units", level,
    )  # fmt: skip


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float],
    groups: Shaped[np.ndarray, " example"],
    *,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Percentile bootstrap of any statistic, whole groups drawn with replacement.

    Args:
        statistic: a function of row indices (with repeats) that returns a number.
        groups: group of each row.

    Raises:
        StatisticsError: fewer than 10 groups (use a t interval over per-group estimates instead).
    """
    _, codes = np.unique(groups, return_inverse=True)
    n_groups = int(codes.max()) + 1
    if n_groups < FEW:
        raise StatisticsError(
            f"a percentile bootstrap over {n_groups} groups covers far less than it says; with fewer than "
            f"{FEW} groups use t_interval or studentized_interval on per-group estimates"
        )
    members = [np.flatnonzero(codes == g) for g in range(n_groups)]
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n_boot):
        found.append(statistic(np.concatenate([members[g] for g in rng.integers(0, n_groups, n_groups)])))
    low, high = np.quantile(_values(found), [0.5 - level / 2, 0.5 + level / 2])
    value = float(statistic(np.arange(len(codes))))
    return Estimate(
        value, float(low), float(high), len(codes), n_groups, "percentile bootstrap over groups", level
    )


def paired_bootstrap(
    first: Float[np.ndarray, " example"],
    second: Float[np.ndarray, " example"],
    groups: Shaped[np.ndarray, " example"],
    *,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Interval of mean(first - second), rows paired, whole groups resampled (t over groups if fewer than
    10)."""
    difference = _values(np.asarray(first, dtype=float) - np.asarray(second, dtype=float))
    _, codes = np.unique(groups, return_inverse=True)
    return ratio_of_sums(
        difference[:, None], np.ones((difference.size, 1)), codes, level=level, n_boot=n_boot, seed=seed
    )


def ratio_of_sums(
    numerator: Float[np.ndarray, "example part"],
    denominator: Float[np.ndarray, "example part"],
    codes: np.ndarray,
    *,
    scale: str = "linear",
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Interval of mean over parts of (sum of numerators / sum of denominators), rows clustered in units
    `codes`.

    Accuracy has one part (hit / 1), balanced accuracy one a class. With fewer than 10 units it is t over
    per-unit ratios, else a studentized bootstrap over units; `scale="logit"` for shares, which near 0 and 1
    get the exact interval of `probes.statistics.ceiling`.
    """
    from probes.statistics.ceiling import exact_interval, few_or_exact, is_rare

    units = int(codes.max()) + 1
    num = np.stack([np.bincount(codes, c, units) for c in numerator.T], axis=1)
    den = np.stack([np.bincount(codes, c, units) for c in denominator.T], axis=1)
    n = len(codes)
    whole = num.sum(0) / den.sum(0)
    value = float(whole.mean())
    if units < 2:
        raise StatisticsError(
            "all rows belong to one unit, which can not carry an interval; name finer units"
        )
    if units < FEW and (den == 0).any():
        raise StatisticsError(
            f"one of only {units} units lacks a class, so it has no estimate of its own; "
            f"choose units that hold every class, or collect at least {FEW} units"
        )
    # influence of each unit on the ratio (the delta method); units / (units - 1) as in a sample's variance
    own = ((num - whole * den) / den.sum(0)).mean(axis=1)
    variance = float((own**2).sum() * units / (units - 1))
    # wrong rows all in the smallest part move the mean of parts by 1 / parts each
    rows = den.shape[1] * float(den.sum(0).min())
    logit_scale = scale == "logit"
    degrees = int((den > 0).sum(0).min()) - 1
    near = logit_scale and is_rare(value, variance, rows)
    if near and (units >= FEW or value in (0.0, 1.0)):
        return exact_interval(value, variance, rows=rows, degrees=degrees, n=n, units=units, level=level)
    if units < FEW:
        # half a hit of one more row is added, so that a unit without a miss has a logit
        per_unit = ((num + 0.5) / (den + 1)).mean(axis=1) if logit_scale else (num / den).mean(axis=1)
        few = replace(t_interval(per_unit, level=level, scale=scale), n=n, units=units)
        if not logit_scale:
            return few
        exact = exact_interval(value, variance, rows=rows, degrees=degrees, n=n, units=units, level=level)
        return few_or_exact(few, exact, near=near, lost=min(value, 1 - value) * rows)
    rng = np.random.default_rng(seed)
    # drawing units with replacement is drawing how often each counts, and all resamples are one product
    weights = rng.multinomial(units, np.full(units, 1 / units), size=n_boot).astype(np.float64)
    sums_n, sums_d = weights @ num, weights @ den
    ok = (sums_d > 0).all(axis=1)  # a resample without any row of a class has no ratio
    weights, sums_n, sums_d = weights[ok], sums_n[ok], sums_d[ok]
    drawn = sums_n / sums_d
    # influence of unit g on replicate b: mean over parts of (num_g - ratio_b den_g) / den_b
    influence = np.einsum("bp,gp->bg", 1 / sums_d, num) - np.einsum("bp,gp->bg", drawn / sums_d, den)
    influence /= num.shape[1]
    errors = np.sqrt((weights * influence**2).sum(1) * units / (units - 1))
    low, high = studentize(
        value, float(np.sqrt(variance)), drawn.mean(axis=1), errors, scale=scale, level=level
    )
    return Estimate(value, low, high, n, units, _STUDENTIZED[scale], level)


_STUDENTIZED = {
    "linear": "studentized bootstrap over units",
    "logit": "studentized bootstrap over units, logit scale",
}


def studentize(
    value: float, error: float, drawn: np.ndarray, errors: np.ndarray, *, scale: str, level: float
) -> tuple[float, float]:
    """Ends of the bootstrap-t interval from replicates `drawn` and their standard errors `errors`."""
    if scale == "logit":
        # a resample at 0 or 1 has no logit; so near the ends pivots are large, whatever stands here
        edge = 1e-6
        inside = np.clip(drawn, edge, 1 - edge)
        # the delta method: d logit(v) = dv / (v (1 - v))
        center, error = float(logit(value)), error / (value * (1 - value))
        drawn, errors = logit(inside), errors / (inside * (1 - inside))
    else:
        center = value
    if error <= 0:
        return value, value
    # resamples that drew nearly equal units have errors near 0 and pivots without bound; where they are the
    # rule and no exception, there is no distribution to take quantiles of
    moved = errors > 1e-3 * error
    if moved.sum() < len(drawn) / 2:
        raise StatisticsError(
            "most resamples have no spread; the units are too few or too uniform for an interval"
        )
    pivots = (drawn[moved] - center) / errors[moved]
    upper, lower = np.quantile(pivots, [0.5 - level / 2, 0.5 + level / 2])
    ends = np.array([center - lower * error, center - upper * error])
    ends = expit(ends) if scale == "logit" else ends
    return float(ends[0]), float(ends[1])
