"""Permutation tests, the max-statistic over a selection, and Benjamini-Hochberg.

The law: p = (1 + number of null draws at least as large) / (1 + draws), never zero (Phipson and Smyth
2010). Labels are permuted between the units at which they were assigned (an adapter, a scenario), never
between rows of one unit. Every result says the smallest p that it could have given.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from scipy import stats
from statsmodels.stats.multitest import multipletests

from probes.errors import StatisticsError, nearest
from probes.statistics.intervals import _values
from probes.statistics.spread import ROUNDING, is_constant

ALTERNATIVES: dict[str, Callable[[Any], Any]] = {
    "greater": np.positive,
    "less": np.negative,
    "two-sided": np.abs,
}
"""What turns a statistic so that larger speaks more for the claim."""


@dataclass(frozen=True)
class PermutationResult:
    """A permutation test. `smallest_p` is the least p that this design and these draws can give."""

    observed: float
    p: float
    smallest_p: float
    n_draws: int
    exact: bool
    null_mean: float
    null_low: float
    null_high: float


@dataclass(frozen=True)
class MaxStatistic:
    """Family-wise p values over all cells of a selection, from the null of the largest statistic
    (Westfall-Young)."""

    p: np.ndarray
    smallest_p: float
    n_draws: int


def permutation_p(
    observed: Any,
    null: Any,
    *,
    alternative: str = "greater",
    labelings: int | None = None,
    exact: bool = False,
) -> Any:
    """p of `observed` among null draws: the one Monte Carlo p of the toolkit.

    Args:
        observed: a number, or several that each are compared with the same draws.
        null: the draws, at least one.
        alternative: what speaks for a claim: a large value ("greater"), a small one ("less"), or one far from
            0 on either side ("two-sided").
        labelings: how many distinct draws there can be, the true one included (see `p_of_count`).
        exact: the draws are all there are and hold the identity already, so p is a plain share.

    Returns:
        a float, or an array like `observed`.

    Raises:
        StatisticsError: no draws, or a NaN, which would compare as smaller than everything.
    """
    value, draws = np.asarray(observed, dtype=float), np.asarray(null, dtype=float).ravel()
    if draws.size == 0:
        raise StatisticsError("no null draws were given; a p value needs them (999 for a verdict)")
    lost = int(np.isnan(draws).sum()), int(np.isnan(value).sum())
    if any(lost):
        raise StatisticsError(
            f"{lost[0]} of {draws.size} null draws and {lost[1]} observed values are NaN, without order; "
            "drop what could not be computed first"
        )
    if alternative not in ALTERNATIVES:
        raise StatisticsError(f"alternative is {alternative!r}; {nearest(alternative, ALTERNATIVES)}")
    turn = ALTERNATIVES[alternative]
    value, draws = turn(value), turn(draws)
    # a draw that equals what was observed counts against it, also where the two were summed in another order
    slack = ROUNDING * np.maximum(1.0, np.abs(value))
    above = (draws >= (value - slack)[..., None]).sum(axis=-1)
    p = above / draws.size if exact else p_of_count(above, draws.size, labelings=labelings)
    return float(p) if value.ndim == 0 else p


def p_of_count(above: Any, n: int, *, labelings: int | None = None) -> Any:
    """p where `above` of `n` draws reach what was observed: (1 + above) / (1 + n).

    The 1 is the observed arrangement itself, one of those that the null could have given: without it p could
    be 0, and the test would reject too often (Phipson and Smyth 2010). Where only `labelings` distinct
    arrangements exist or were seen and draws leave the true one out, more draws can not tell more: p is then
    (1 + (labelings - 1) above / n) / labelings, but never below the former.
    """
    above = np.asarray(above, dtype=float)
    p = (1 + above) / (1 + n)
    return p if labelings is None else np.maximum(p, (1 + (labelings - 1) * above / n) / labelings)


def _result(observed: float, null: np.ndarray, exact: bool, smallest: float) -> PermutationResult:
    low, high = np.quantile(null, [0.025, 0.975])
    p = permutation_p(observed, null, exact=exact)
    return PermutationResult(
        float(observed), p, smallest, null.size, exact, float(null.mean()), float(low), float(high)
    )


def sign_flip_test(
    values: Any, *, alternative: str = "two-sided", n_draws: int = 9999, seed: int = 0
) -> PermutationResult:
    """Is the mean of paired differences zero? Exact over all 2^n sign patterns where n <= 13, else random
    patterns.

    With n units no two-sided p below 2 / 2^n is possible: 6 seeds are needed before .05 can be reached.
    """
    x = _values(values)
    if alternative not in {"two-sided", "greater"}:
        raise StatisticsError(f"alternative is {alternative!r}; choose 'two-sided' or 'greater'")
    exact = x.size <= 13
    if exact:
        signs = np.array(list(itertools.product([1.0, -1.0], repeat=x.size)))
    else:
        signs = np.random.default_rng(seed).choice([1.0, -1.0], size=(n_draws, x.size))
    null, observed = ALTERNATIVES[alternative](signs @ x / x.size), ALTERNATIVES[alternative](x.mean())
    smallest = (
        (2 if alternative == "two-sided" else 1) / 2**x.size if exact else float(p_of_count(0, n_draws))
    )
    return _result(observed, null, exact, smallest)


def permutation_test(
    statistic: Callable[[np.ndarray], float],
    labels: Shaped[np.ndarray, " example"],
    units: Shaped[np.ndarray, " example"],
    *,
    n_draws: int = 999,
    seed: int = 0,
) -> PermutationResult:
    """Permute labels between units, keep everything else, and recompute a statistic (larger = more effect).

    Args:
        statistic: a function of a label vector [example].
        labels: label of each row; constant inside each unit.
        units: the unit at which the label was assigned (adapter, scenario).

    Raises:
        StatisticsError: the label varies inside a unit.
    """
    _, code = np.unique(units, return_inverse=True)
    values, label_code = np.unique(labels, return_inverse=True)
    n_units = int(code.max()) + 1
    of_unit = np.full(n_units, -1)
    of_unit[code] = label_code
    if (of_unit[code] != label_code).any():
        raise StatisticsError(
            "the label varies inside a unit, so it was not assigned to units; name the units at which it "
            "was (for example the adapter)"
        )
    arrangements = factorial(n_units)
    for count in np.bincount(of_unit):
        arrangements //= factorial(int(count))
    rng = np.random.default_rng(seed)
    exact = arrangements <= n_draws
    if exact:
        null = np.array([statistic(values[order[code]]) for order in _arrangements(np.bincount(of_unit))])
    else:
        null = np.array([statistic(values[rng.permutation(of_unit)[code]]) for _ in range(n_draws)])
    smallest = 1 / arrangements if exact else float(p_of_count(0, n_draws))
    return _result(float(statistic(np.asarray(labels))), null, exact, smallest)


def _arrangements(counts: np.ndarray) -> Iterator[np.ndarray]:
    """Every distinct way to hand out counts[k] labels k."""
    total = int(counts.sum())
    if len(counts) == 1:
        yield np.zeros(total, dtype=np.int64)
        return
    for places in itertools.combinations(range(total), int(counts[-1])):
        rest = np.setdiff1d(np.arange(total), places)
        for inner in _arrangements(counts[:-1]):
            order = np.full(total, len(counts) - 1, dtype=np.int64)
            order[rest] = inner
            yield order


def max_statistic(observed: Float[np.ndarray, " cell"], null: Float[np.ndarray, "draw cell"]) -> MaxStatistic:
    """p values corrected for having looked at every cell: each is compared with the null of the maximum."""
    observed, null = np.asarray(observed, dtype=float), np.asarray(null, dtype=float)
    if null.ndim != 2 or null.shape[1] != observed.size:
        raise StatisticsError(
            f"null draws have shape {null.shape} for {observed.size} cells; give [draw, cell]"
        )
    top = null.max(axis=1)
    return MaxStatistic(permutation_p(observed, top), float(p_of_count(0, len(top))), len(top))


def benjamini_hochberg(p: Any) -> np.ndarray:
    """q values [test] that control the false discovery rate; NaN entries (nothing tested) stay NaN."""
    p = np.asarray(p, dtype=float)
    q = np.full(p.shape, np.nan)
    tested = np.isfinite(p)
    if tested.any():
        q[tested] = multipletests(p[tested], method="fdr_bh")[1]
    return q


def t_test(values: Any) -> float | None:
    """Two-sided one-sample t test over units, for where too few units allow an exact test at .05.

    None where all units agree: without a spread there is nothing to hold the mean against.
    """
    x = _values(values, at_least=1)
    return None if is_constant(x) else float(stats.ttest_1samp(x, 0.0).pvalue)
