"""Correlation over runs, with what it would be by chance.

Pearson's r, within strata where some are given: each run's distance from its stratum's mean, so that what
only tells strata apart (which base, which dose) counts for nothing. Its interval is a percentile bootstrap
over runs, its null the same number with the reports shuffled among the runs of each stratum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from mi_bsa.core.results import Null


@dataclass(frozen=True)
class Correlation:
    """Pearson's r with its 95 % interval, its null and a two-sided permutation p."""

    r: float
    low: float
    high: float
    n: int
    null: Null
    p: float


def correlate(
    actual: Float[np.ndarray, " run"],
    reported: Float[np.ndarray, " run"],
    strata: Shaped[np.ndarray, " run"] | None = None,
    *,
    draws: int,
    shuffles: int,
    seed: int,
) -> Correlation:
    """r of reported with actual, within `strata`. Raises `StatisticsError` for fewer than 10 runs."""
    from probes import statistics

    codes = np.zeros(len(actual), dtype=int)
    if strata is not None:
        codes = np.unique(strata, return_inverse=True)[1]
    runs = np.arange(len(actual))
    found = statistics.bootstrap_interval(
        lambda some: pearson(actual[some], reported[some], codes[some]), runs, n_boot=draws, seed=seed
    )
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    null = np.empty(shuffles)
    for k in range(shuffles):
        mixed = reported.copy()
        for some in members:
            mixed[some] = reported[rng.permutation(some)]
        null[k] = pearson(actual, mixed, codes)
    return Correlation(
        found.value,
        found.low,
        found.high,
        len(actual),
        Null.of("reports shuffled among runs", null),
        statistics.permutation_p(found.value, null, alternative="two-sided"),
    )


def pearson(
    x: Float[np.ndarray, " run"], y: Float[np.ndarray, " run"], codes: Shaped[np.ndarray, " run"]
) -> float:
    """r of the distances from the strata's means; 0 where nothing varies."""
    x, y = centered(x, codes), centered(y, codes)
    size = float((x @ x) * (y @ y))
    return float(x @ y / np.sqrt(size)) if size > 1e-24 else 0.0


def slope(
    x: Float[np.ndarray, " run"], y: Float[np.ndarray, " run"], codes: Shaped[np.ndarray, " run"]
) -> float:
    """Least-squares slope of y on x within strata; 0 where x does not vary."""
    x, y = centered(x, codes), centered(y, codes)
    size = float(x @ x)
    return float(x @ y / size) if size > 1e-24 else 0.0


def centered(
    values: Float[np.ndarray, " run"], codes: Shaped[np.ndarray, " run"]
) -> Float[np.ndarray, " run"]:
    """Distance of each value from the mean of its stratum."""
    counts = np.bincount(codes)
    sums = np.bincount(codes, weights=values)
    centers: Float[np.ndarray, " run"] = values - (sums / np.maximum(counts, 1))[codes]
    return centers
