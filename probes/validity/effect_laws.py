"""Simulations of means, ratios, mediation, grouped rows, and of the tests."""

from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from probes.comparison import compare
from probes.directions import Direction
from probes.errors import StatisticsError
from probes.scores import accuracy, balanced_accuracy, recall_at_fpr
from probes.statistics.equivalence import equivalence
from probes.statistics.intervals import Estimate, paired_bootstrap
from probes.statistics.mediation import mediation
from probes.statistics.permutation import benjamini_hochberg, max_statistic, permutation_test
from probes.statistics.ratios import fieller
from probes.validity.auroc_laws import TAU, _rows
from probes.validity.law import Rng, Simulation, covers, repeated


@repeated
def over_units(
    rng: Rng, i: int, units: int, interval: Callable[[np.ndarray, int], Estimate], skewed: bool = False
) -> bool:
    x = rng.exponential(size=units) if skewed else 1 + rng.normal(size=units)
    return covers(interval(x, i), 1.0)


@repeated
def fieller_coverage(rng: Rng, i: int) -> bool:
    both = rng.multivariate_normal([0.6, 1.0], [[0.02, 0.01], [0.01, 0.03]], size=5)
    try:
        return covers(fieller(both[:, 0], both[:, 1]), 0.6)
    except StatisticsError:
        return True  # unbounded: the ratio is not reported, and an unbounded set covers


def mediation_runs(rng: Rng, units: int, items: int, indirect: float) -> list[np.ndarray]:
    """Off, on, on with the mediator off, off with it on; effects vary over seeds and over items."""

    def effect(mean: float) -> np.ndarray:
        return (
            mean
            + 0.15 * rng.normal(size=(units, 1))
            + 0.2 * rng.normal(size=(1, items))
            + 0.3 * rng.normal(size=(units, items))
        )

    base = rng.normal(size=(units, items))
    direct, through = effect(0.4), effect(indirect)
    return [base, base + direct + through, base + direct, base + through]


@repeated
def mediation_coverage(rng: Rng, i: int, part: str, truth: float) -> bool:
    found = mediation(*mediation_runs(rng, 5, 30, 0.3), items="random")
    return covers(getattr(found, part), truth)


@repeated
def mediation_fixed(rng: Rng, i: int) -> bool:
    """Items fixed: the same 30 items in every simulated study, seeds drawn anew."""
    item_effect = 0.2 * np.random.default_rng(11).normal(size=30)
    base = np.zeros((5, 30))
    nie = 0.3 + item_effect + 0.15 * rng.normal(size=(5, 1)) + 0.3 * rng.normal(size=(5, 30))
    found = mediation(base, base + nie, base, base + nie, items="fixed")
    return covers(found.nie, 0.3 + item_effect.mean())


@repeated
def grouped_rows(rng: Rng, i: int, kind: str) -> bool:
    y, s, u = _rows(rng, 20, 8, mu=2.0, shift=0.3)
    far = np.sqrt(1 + 0.3**2 + TAU**2)
    half = (norm.cdf(1.0 / np.sqrt(1 + 0.3**2)) + norm.cdf(1.0 / far)) / 2
    if kind == "accuracy":
        return covers(accuracy(y, s, threshold=1.0, units=u, seed=i), half)
    if kind == "balanced":
        return covers(balanced_accuracy(y, s, threshold=1.0, units=u, seed=i), half)
    if kind == "recall":
        found = recall_at_fpr(s[y == 1], rng.normal(size=1000), fpr=0.05, units=u[y == 1], seed=i)
        return covers(found.recall, float(norm.sf((found.threshold - 2.0) / far)))
    other = s + 0.5 * rng.normal(size=len(s)) - 0.1
    return covers(paired_bootstrap(s, other, u, seed=i), 0.1)


@repeated
def rejects(rng: Rng, i: int, test: Callable[[np.ndarray], float | None], units: int, mean: float) -> bool:
    p = test(mean + rng.normal(size=units))
    return p is not None and p <= 0.05


@repeated
def adapters_test(rng: Rng, i: int, mean: float) -> bool:
    unit = np.repeat(np.arange(10), 12)
    y = unit % 2
    level = np.bincount(unit, rng.normal(size=120) + rng.normal(size=10)[unit] + mean * y) / 12

    def gap(labels: np.ndarray) -> float:
        of = labels[::12] == 1
        return float(level[of].mean() - level[~of].mean())

    return permutation_test(gap, y, unit, n_draws=199, seed=i).p <= 0.05


@repeated
def max_test(rng: Rng, i: int, mean: float) -> bool:
    x = rng.normal(size=(16, 1)) * 0.7 + rng.normal(size=(16, 20))
    x[:, 3] += mean
    drawn = rng.choice([1.0, -1.0], size=(199, 16)) @ x / 16
    spread = np.sqrt(np.maximum(((x**2).mean(0) - drawn**2) * 16 / 15, 1e-12))
    observed = x.mean(0) / x.std(0, ddof=1) * np.sqrt(16)
    return bool(max_statistic(observed, drawn / spread * np.sqrt(16)).p.min() <= 0.05)


def bh_test(share: float) -> Simulation:
    def run(rng: Rng, n: int) -> list[bool]:
        z = rng.normal(size=(n, 20)) + 3.0 * (np.arange(20) < 20 * share)
        return [bool((benjamini_hochberg(norm.sf(row)) <= 0.05).any()) for row in z]

    return run


@repeated
def tost(rng: Rng, i: int, mean: float) -> bool:
    return equivalence(mean + 0.06 * rng.normal(size=6), bound=0.1).equivalent


@repeated
def cosine_test(rng: Rng, i: int, cosine: float) -> bool:
    a, b = rng.normal(size=(2, 64))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    one, other = (Direction(v, "resid_post.0") for v in (a, cosine * a + np.sqrt(1 - cosine**2) * b))
    return compare(one, other).analytic_p <= 0.05
