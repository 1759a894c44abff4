"""Simulations of AUROC: units with their own separation and offset, truth by quadrature."""

from collections.abc import Callable

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from probes.scores import auroc, auroc_many
from probes.statistics.intervals import Estimate
from probes.validity.law import Rng, Simulation, covers, repeated

MU, TAU, SHIFT = 1.2, 0.35, 0.6
Draw = Callable[[Rng, int], list[tuple[Estimate, float]]]
"""Intervals of so many runs, each with the truth."""


def _rows(
    rng: Rng, units: int, per_class: int, mu: float = MU, tau: float = TAU, shift: float = SHIFT
) -> tuple:
    """Scores where each unit has its own separation (sd tau) and its own offset (sd shift)."""
    y = np.tile(np.repeat([0, 1], per_class), units)
    u = np.repeat(np.arange(units), 2 * per_class)
    s = (
        rng.normal(size=len(y))
        + y * (mu + tau * rng.normal(size=units))[u]
        + shift * rng.normal(size=units)[u]
    )
    return y, s, u


def _pooled_truth(units: int) -> float:
    inside, across = norm.cdf(MU / np.sqrt(2 + TAU**2)), norm.cdf(MU / np.sqrt(2 + TAU**2 + 2 * SHIFT**2))
    return float(inside / units + across * (1 - 1 / units))


def _typical_truth() -> float:
    b = np.polynomial.hermite_e.hermegauss(60)
    values = logit(norm.cdf((MU + TAU * b[0]) / np.sqrt(2)))
    return float(expit((values * b[1]).sum() / b[1].sum()))


@repeated
def auroc_units(rng: Rng, i: int, units: int, per_class: int) -> bool:
    y, s, u = _rows(rng, units, per_class)
    return covers(auroc(y, s, units=u, seed=i), _typical_truth() if units < 10 else _pooled_truth(units))


@repeated
def auroc_independent(rng: Rng, i: int, rows: int) -> bool:
    y = np.arange(rows) % 2
    return covers(auroc(y, rng.normal(size=rows) + MU * y, seed=i), float(norm.cdf(MU / np.sqrt(2))))


@repeated
def auroc_one_class_units(rng: Rng, i: int, units: int, per_unit: int) -> bool:
    u = np.repeat(np.arange(units), per_unit)
    y = u % 2
    s = rng.normal(size=len(y)) + MU * y + 0.3 * rng.normal(size=units)[u]
    return covers(auroc(y, s, units=u, seed=i), float(norm.cdf(MU / np.sqrt(2 + 2 * 0.3**2))))


@repeated
def auroc_percentile(rng: Rng, i: int, units: int, per_class: int) -> bool:
    """The percentile bootstrap over few seeds that this toolkit refuses."""
    y, s, _ = _rows(rng, units, per_class)
    each = auroc_many(y.reshape(units, -1), s.reshape(units, -1))
    drawn = each[rng.integers(0, units, (1000, units))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return bool(low <= _typical_truth() <= high)


@repeated
def near_ceiling(
    rng: Rng,
    i: int,
    units: int,
    per_unit: int,
    truth: float,
    *,
    correlation: float = 0.0,
    one_class: bool = False,
) -> tuple[Estimate, float]:
    """An interval at a true AUROC near 1, with the truth.

    Rows of one unit and class share a part of their noise (`correlation`). Units hold both classes in turn,
    or one class each.
    """
    u = np.repeat(np.arange(units), per_unit)
    y = u % 2 if one_class else np.arange(units * per_unit) % 2
    shared = rng.normal(size=(units, 2))[u, y]
    noise = np.sqrt(1 - correlation) * rng.normal(size=len(y)) + np.sqrt(correlation) * shared
    return auroc(y, noise + np.sqrt(2) * norm.ppf(truth) * y, units=u, seed=i), truth


@repeated
def lumps(rng: Rng, i: int, units: int, per_unit: int, wrong: float) -> tuple[Estimate, float]:
    """The same where a share of rows is wholly wrong and the rest never is: no spread tells of it."""
    u = np.repeat(np.arange(units), per_unit)
    y = np.arange(units * per_unit) % 2
    bad = rng.random(len(y)) < wrong
    scores = 20.0 * (y ^ bad) + rng.normal(size=len(y))
    # both rows right: won; both wrong: lost; one wrong: a tie of the noise
    return auroc(y, scores, units=u, seed=i), (1 - wrong) ** 2 + wrong * (1 - wrong)


CEILING: dict[str, Draw] = {
    "AUROC .95, 10 units x 4 rows": near_ceiling(10, 4, 0.95),
    "AUROC .95, 10 units x 8 rows, correlation .6": near_ceiling(10, 8, 0.95, correlation=0.6),
    "AUROC .95, 20 units of one class x 4 rows, correlation .6": near_ceiling(
        20, 4, 0.95, correlation=0.6, one_class=True
    ),
    "AUROC .98, 10 units of one class x 4 rows": near_ceiling(10, 4, 0.98, one_class=True),
    "AUROC .98, 30 units x 4 rows": near_ceiling(30, 4, 0.98),
    "AUROC .98, 30 units x 4 rows, correlation .9": near_ceiling(30, 4, 0.98, correlation=0.9),
    "AUROC .98, 60 units x 2 rows, errors in lumps": lumps(60, 2, 0.02),
    "AUROC .99, 25 units x 4 rows, errors in lumps": lumps(25, 4, 0.01),
    "AUROC .99, 60 units of one class x 4 rows, correlation .9": near_ceiling(
        60, 4, 0.99, correlation=0.9, one_class=True
    ),
    "AUROC .99, 100 units x 1 row": near_ceiling(100, 1, 0.99, one_class=True),
    "AUROC .999, 20 units x 8 rows, correlation .6": near_ceiling(20, 8, 0.999, correlation=0.6),
    "AUROC .999, 100 units x 4 rows": near_ceiling(100, 4, 0.999),
    "AUROC .5, 10 units x 4 rows": near_ceiling(10, 4, 0.5),
    "AUROC .5, 30 units x 4 rows, correlation .6": near_ceiling(30, 4, 0.5, correlation=0.6),
}
"""Where the intervals near the ceiling are measured; at .5 for comparison."""


def ceiling_law(draw: Draw) -> Simulation:
    """Hits of one of the above; an interval that leaves [0, 1] or begins at the estimate is a miss."""

    def run(rng: Rng, n: int) -> np.ndarray:
        return np.array(
            [
                covers(e, truth) and 0 <= e.low <= e.value <= e.high <= 1
                and (e.low < e.value or e.value == 0) and (e.value < e.high or e.value == 1)
                for e, truth in draw(rng, n)
            ]
        )  # fmt: skip

    return run
