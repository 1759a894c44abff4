"""Means and ratios of a layout of units x items, both drawn: seeds x wordings, adapters x scenarios.

The law: what was drawn twice over varies twice over. With mean squares of units, items and what is left
(a two-way random-effects analysis of variance), the squared error of the mean is

    of the units' means + of the items' means - of what is left, which both hold

at least the largest of the first two, with Satterthwaite's (1946) degrees of freedom. Those are taken from
mean squares two standard errors above what was found: over three units a mean square is small by chance in
one study of ten, and would then be outvoted by the degrees of the others (coverage .925 instead of .935 over
3 seeds x 8 to 16 wordings).

A level near 0 or 1 is skewed: few units or items lie far down, and a study that drew none of them has too
high a mean and too small an error at once. So on the logit scale the squared error also holds what the spread
itself is uncertain by, four times Cox's term for the mean of a log-normal (Land 1972): with c the squared
spread of units (or items) in logits, as log(1 + c), it is 2 c^2 / degrees, less the nearer the level is to
.5. The factor is from simulations (docs/decisions/0026).

A bootstrap of units and items together (Owen 2007, "pigeonhole") covers .76 to .92 over 3 to 10 seeds x 8
wordings and is not used (docs/validity.md).

A ratio of two means of one layout has Fieller's set by inversion: every r for which the mean of numerator -
r denominator is not told from 0. It is bounded where the denominator is told from 0, and is refused
elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from scipy import stats
from scipy.special import expit, logit, stdtrit

from probes.errors import StatisticsError
from probes.statistics.ceiling import exact_interval
from probes.statistics.intervals import Estimate, no_interval
from probes.statistics.spread import ROUNDING, slack

BEYOND = 2.0
"""Standard errors of a mean square above it at which degrees of freedom are counted."""

Part = tuple[Any, float]
"""A squared error of a mean and its degrees of freedom."""


@dataclass(frozen=True)
class CrossedMean:
    """A mean of units x items with its squared error; NaN where one unit of one item says nothing."""

    value: float
    variance: float
    degrees: float
    n: int
    units: int
    items: int
    spreads: tuple[Part, ...] = ()
    """Variance of the means of items (if there are several) and of the means of units, with its degrees."""
    rest: Part | None = None
    """Of what is left in the cells: what both parts of the squared error hold; None where it is not known."""

    @property
    def method(self) -> str:
        """What the interval is over."""
        if np.isnan(self.variance):
            return "none: one unit of one item"
        over = [word for word, size in (("units", self.units), ("items", self.items)) if size > 1]
        return f"t over {' x '.join(over)}" + (", crossed" if len(over) == 2 else "")

    def widened(self, factor: float) -> "CrossedMean":
        """The same where the units' part of the squared error is `factor` times what it would be of
        independent units; of one layout.
        """
        *items, (spread, degrees) = self.spreads
        parts = [(v / self.items, d) for v, d in items] + [(factor * spread / self.units, degrees)]
        variance, degrees = combined(parts, self.rest)
        return replace(self, variance=float(variance), degrees=float(degrees))

    def interval(
        self,
        *,
        level: float = 0.95,
        bounds: tuple[float, float] | None = None,
        scale: str = "logit",
        rows: int | None = None,
    ) -> Estimate:
        """The t interval of the mean.

        Args:
            level: confidence.
            bounds: ends of the scale of what lies within them; a mean that rounding carried beyond (nine
                times 1/9 sums to 1 + 2e-16) is such an end. Where the mean is one, or nothing
                differs, the interval is the exact one over `rows` (`probes.statistics.ceiling`).
            scale: within bounds, "logit" (delta method, and what the spread is uncertain by), or "linear":
                cut off at the bounds, as for a difference of shares, whose test against 0 is linear too.
            rows: rows behind the mean that could have been otherwise one by one; by default the cells.
        """
        value = self.value if bounds is None else float(np.clip(self.value, *bounds))
        if np.isnan(self.variance):
            return no_interval(value, "one unit of one item", n=self.n, units=self.units)
        reach = float(stdtrit(self.degrees, 0.5 + level / 2)) * float(np.sqrt(self.variance))
        if bounds is None:
            ends = (self.value - reach, self.value + reach)
            return Estimate(self.value, *ends, self.n, self.units, self.method, level)
        first, width = bounds[0], bounds[1] - bounds[0]
        share = float(np.clip((self.value - first) / width, 0.0, 1.0))
        method = self.method
        if min(share, 1 - share) <= ROUNDING or self.variance <= slack(self.value) ** 2:
            few = min(size for size in (self.units, self.items) if size > 1)
            exact = exact_interval(
                0.0 if share <= ROUNDING else 1.0 if share >= 1 - ROUNDING else share,
                0.0,
                rows=float(rows or self.n),
                degrees=few - 1,
                n=self.n,
                units=self.units,
                level=level,
            )
            low, high, method = exact.low, exact.high, exact.method
        elif scale == "linear":
            low, high = max(0.0, share - reach / width), min(1.0, share + reach / width)
        else:
            slope = 1 / (width * share * (1 - share))
            spread = [(np.log1p((1 - 2 * share) ** 2 * slope**2 * v), d) for v, d in self.spreads]
            error = np.sqrt(self.variance * slope**2 + sum(2 * c**2 / d for c, d in spread))
            reach = float(stdtrit(self.degrees, 0.5 + level / 2)) * float(error)
            low, high = expit(logit(share) + np.array([-1, 1]) * reach)
            method = f"{method}, logit scale"
        low, high = first + width * float(low), first + width * float(high)
        return Estimate(value, low, high, self.n, self.units, method, level)

    def p(self, null: float = 0.0) -> float | None:
        """Two-sided p of the mean being `null`; None where nothing differs by more than rounding."""
        if np.isnan(self.variance) or self.variance <= slack(self.value) ** 2:
            return None
        found = 2 * stats.t.sf(abs(self.value - null) / np.sqrt(self.variance), self.degrees)
        return float(found)


def crossed_mean(
    values: Float[np.ndarray, "unit item"],
    *,
    strata: Shaped[np.ndarray, " item"] | Sequence[Any] | None = None,
    blocks: Shaped[np.ndarray, " unit"] | Sequence[Any] | None = None,
) -> CrossedMean:
    """Mean of a layout; NaN where a unit was not asked an item.

    Args:
        values: one row a unit, one column an item.
        strata: kind of each item. Kinds are not drawn: items vary within them, and every kind weighs alike.
            A kind of one item lends no spread of its own and is given the others' mean.
        blocks: what each unit was drawn within, such as a base of its adapters; then blocks are the units,
            each the mean of its own, and what varies inside them is in what varies between them.

    Raises:
        StatisticsError: no values, an item that no unit was asked, infinite values, or labels of another
            number.
    """
    return _signed([(1.0, _layout(values, blocks))], strata)


def crossed_difference(
    first: Float[np.ndarray, "unit item"],
    second: Float[np.ndarray, "other item"],
    *,
    strata: Shaped[np.ndarray, " item"] | Sequence[Any] | None = None,
) -> CrossedMean:
    """First mean less second, item by item, each with units of its own (two arms, say).

    `strata` and errors: as in `crossed_mean`.
    """
    return _signed([(1.0, _layout(first, None)), (-1.0, _layout(second, None))], strata)


def crossed_ratio(
    top: Float[np.ndarray, "unit item"],
    bottom: Float[np.ndarray, "unit item"],
    *,
    blocks: Shaped[np.ndarray, " unit"] | Sequence[Any] | None = None,
    level: float = 0.95,
) -> Estimate:
    """Mean of the numerators over mean of the denominators, cell by cell in pairs, with Fieller's set.

    `blocks`: as in `crossed_mean`. A denominator that does not vary over units or items may have one row or
    one column, which is repeated.

    Raises:
        StatisticsError: the denominator is not told from 0, so that no bounded set exists; or a layout
            without two units or two items, with missing values, or of another shape.
    """
    a = np.asarray(top, dtype=np.float64)
    a, b = np.broadcast_arrays(a, np.asarray(bottom, dtype=np.float64))
    if a.ndim != 2 or max(a.shape) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise StatisticsError(
            f"a ratio of layouts {np.shape(top)} and {np.shape(bottom)}; give numbers of the same units and "
            "items, two of one of them at least"
        )
    a, b = _layout(a, blocks), _layout(b, blocks)
    n, units = int(np.size(top)), len(a)
    whole = _signed([(1.0, b)], None)
    bounds = whole.interval(level=level)
    if np.isnan(bounds.low) or bounds.low <= 0 <= bounds.high:
        raise StatisticsError(
            f"the denominator's interval holds 0 (mean {whole.value:.3g} [{bounds.low:.3g}, "
            f"{bounds.high:.3g}] over {units} units x {a.shape[1]} items), so the ratio has no bounded "
            "interval; report the two effects on their own, or collect more units"
        )
    ratio = float(a.mean() / b.mean())
    error = np.sqrt(_signed([(1.0, a - ratio * b)], None).variance) / abs(whole.value)
    method = "Fieller over " + whole.method.removeprefix("t over ")
    if error <= slack(ratio):
        return no_interval(ratio, "numerator and denominator keep one ratio throughout", n=n, units=units)

    means, squares = _squares(a, b)

    def beyond(r: Float[np.ndarray, " guess"]) -> Float[np.ndarray, " guess"]:
        """How far outside the set each ratio is, in errors; negative inside."""
        parts = [(np.maximum(m[0, 0] - 2 * r * m[0, 1] + r**2 * m[1, 1], 0.0), df) for m, df in squares]
        variance, degrees = combined(parts[:2], parts[2] if len(parts) == 3 else None)
        away = np.abs(means[0] - r * means[1]) / np.sqrt(variance)
        return np.asarray(away - stdtrit(degrees, 0.5 + level / 2))

    low, high = (_outermost(beyond, ratio, side * error) for side in (-1.0, 1.0))
    return Estimate(ratio, low, high, n, units, method, level)


def combined(parts: Sequence[Part], rest: Part | None = None) -> tuple[Any, Any]:
    """Squared error of a mean, and its degrees, from those of what was drawn.

    Args:
        parts: of each thing that was drawn; each holds what is left in its cells.
        rest: what the parts hold once too often; None where it is not known, which errs on the wide side.
    """
    spare, spare_df = rest if rest is not None else (0.0, 1.0)
    sizes = np.stack([np.asarray(v, dtype=np.float64) for v, _ in parts])
    df = np.array([d for _, d in parts]).reshape(-1, *[1] * (sizes.ndim - 1))
    # standard deviation of a mean square over d degrees: sqrt(2 / d) of itself
    high = sizes * (1 + BEYOND * np.sqrt(2 / df))
    largest = sizes.max(0)
    alone = np.take_along_axis(np.broadcast_to(df, sizes.shape), sizes.argmax(0)[None], 0)[0]
    whole = sizes.sum(0) - spare
    spread = (high**2 / df).sum(0) + spare**2 / spare_df
    shared = (high.sum(0) - spare) ** 2 / np.where(spread > 0, spread, 1.0)
    # an estimate below one of its parts is noise: that part then stands alone
    below = (whole < largest) | (spread == 0)
    return np.maximum(whole, largest), np.maximum(np.where(below, alone, shared), 1.0)


def _layout(values: Any, blocks: Any) -> np.ndarray:
    """As an array; means of blocks as rows where there are any."""
    y = np.asarray(values, dtype=np.float64)
    if y.ndim != 2 or not y.size:
        raise StatisticsError(f"values have shape {y.shape}; give one row a unit and one column an item")
    if np.isinf(y).any() or np.isnan(y).all(0).any():
        raise StatisticsError("values are infinite, or no unit was asked an item; drop them first")
    if blocks is None:
        return y
    names = np.asarray(blocks)
    if names.shape != y.shape[:1]:
        raise StatisticsError(f"{names.size} blocks for {len(y)} units; name one a unit")
    return np.stack([np.nanmean(y[names == name], axis=0) for name in dict.fromkeys(names.tolist())])


def _signed(arms: Sequence[tuple[float, np.ndarray]], strata: Any) -> CrossedMean:
    """Sum of signed means of layouts that share their items."""
    items = arms[0][1].shape[1]
    kinds = np.zeros(items, int) if strata is None else np.unique(np.asarray(strata), return_inverse=True)[1]
    if kinds.size != items or any(y.shape[1] != items for _, y in arms):
        raise StatisticsError(
            f"layouts of {[y.shape[1] for _, y in arms]} items and {kinds.size} strata; give the same items"
        )
    sizes = np.bincount(kinds)
    weights = 1.0 / sizes[kinds] / len(sizes)
    means = sum(sign * np.nanmean(y, axis=0) for sign, y in arms)
    parts: list[Part] = []
    spreads: list[Part] = []
    several = sizes > 1
    if several.any():
        parts.append((_within(means[None], kinds, sizes).sum(), float((sizes - 1)[several].sum())))
        spreads.append((parts[0][0] * items, parts[0][1]))
    left, left_df, known = 0.0, 0.0, bool(several.any())
    for _, y in arms:
        if len(y) < 2:
            known = False
            continue
        asked = ~np.isnan(y)
        share = weights * asked
        each = (share * np.nan_to_num(y)).sum(1) / np.where(asked.all(1), 1.0, share.sum(1))
        parts.append((float(each.var(ddof=1) / len(y)), len(y) - 1.0))
        spreads.append((parts[-1][0] * len(y), len(y) - 1.0))
        if known and asked.all():
            # what is left is counted within kinds, as the spread of the items is
            centered = y - y.mean(0)
            centered -= _means_of_kinds(centered, kinds, sizes)[:, kinds]
            left += _within(centered, kinds, sizes, centered=True).sum() / (len(y) * (len(y) - 1))
            left_df += float((len(y) - 1) * (sizes - 1)[several].sum())
        else:
            known = False
    n = int(sum((~np.isnan(y)).sum() for _, y in arms))
    units = max(len(y) for _, y in arms)
    value = float(weights @ means)
    if not parts:
        return CrossedMean(value, float("nan"), float("nan"), n, units, items)
    # the items' means hold what is left of every arm, and each arm's units hold their own
    rest = (left, left_df) if known else None
    variance, degrees = combined(parts, rest)
    return CrossedMean(value, float(variance), float(degrees), n, units, items, tuple(spreads), rest)


def _means_of_kinds(values: np.ndarray, kinds: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Means over the items of each kind, (unit, kind)."""
    return np.stack([values[:, kinds == k].mean(1) for k in range(len(sizes))], 1)


def _within(
    values: np.ndarray, kinds: np.ndarray, sizes: np.ndarray, *, centered: bool = False
) -> np.ndarray:
    """Squared error of the mean over kinds that items bring, one a row; a kind of one item is given the
    mean of the others."""
    around = values if centered else values - _means_of_kinds(values, kinds, sizes)[:, kinds]
    several = np.flatnonzero(sizes > 1)
    own = [(around[:, kinds == k] ** 2).sum(1) / (sizes[k] - 1) / sizes[k] for k in several]
    return np.asarray(np.mean(own, axis=0) / len(sizes))


def _squares(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, list[tuple[np.ndarray, float]]]:
    """Means of two layouts, and [squared errors and products, degrees] of units, items and what is left."""
    s, i = a.shape
    cells = np.stack([a, b])
    means = cells.mean((1, 2))
    rows, columns = cells.mean(2) - means[:, None], cells.mean(1) - means[:, None]
    apart = (cells - means[:, None, None] - rows[:, :, None] - columns[:, None]).reshape(2, -1)
    found = []
    if s > 1:
        found.append((rows @ rows.T / (s * (s - 1)), s - 1.0))
    if i > 1:
        found.append((columns @ columns.T / (i * (i - 1)), i - 1.0))
    if len(found) == 2:
        df = (s - 1.0) * (i - 1.0)
        found.append((apart @ apart.T / (df * s * i), df))
    return means, found


def _outermost(beyond: Any, inside: float, step: float) -> float:
    """The outermost end of a set on one side of a point in it; the search ends ten thousand steps out."""
    from scipy.optimize import brentq

    away = np.concatenate([np.linspace(0.0, 8.0, 161), np.geomspace(8.2, 1e4, 160)])
    held = np.flatnonzero(beyond(inside + step * away) <= 0)
    last = int(held.max(initial=0))
    if last == len(away) - 1:
        return inside + step * float(away[-1])
    ends = inside + step * away[last], inside + step * away[last + 1]
    return float(brentq(lambda r: beyond(np.array([r]))[0], *ends, xtol=1e-12))
