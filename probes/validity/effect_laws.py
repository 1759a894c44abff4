"""Simulations of means, ratios, mediation, grouped rows, and of the tests."""

from __future__ import annotations

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
from probes.validity.law import Rng, covers


def over_units(units: int, interval: Callable[[np.ndarray, int], Estimate], skewed: bool = False) -> Callable:
    def run(rng: Rng, n: int) -> np.ndarray:
        out = []
        for i in range(n):
            x = rng.exponential(size=units) if skewed else 1 + rng.normal(size=units)
            out.append(covers(interval(x, i), 1.0))
        return np.array(out)

    return run


def fieller_coverage(rng: Rng, n: int) -> np.ndarray:
    out = []
    for _ in range(n):
        both = rng.multivariate_normal([0.6, 1.0], [[0.02, 0.01], [0.01, 0.03]], size=5)
        try:
            out.append(covers(fieller(both[:, 0], both[:, 1]), 0.6))
        except StatisticsError:
            out.append(True)  # unbounded: the ratio is not reported, and an unbounded set covers
    return np.array(out)


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


def mediation_coverage(part: str, truth: float, items: str) -> Callable[[Rng, int], np.ndarray]:
    def run(rng: Rng, n: int) -> np.ndarray:
        out = []
        for _ in range(n):
            runs = mediation_runs(rng, 5, 30, 0.3)
            found = mediation(*runs, items="random")
            out.append(covers(getattr(found, part), truth))
        return np.array(out)

    return run


def mediation_fixed(rng: Rng, n: int) -> np.ndarray:
    """Items fixed: the same 30 items in every simulated study, seeds drawn anew."""
    item_effect = 0.2 * np.random.default_rng(11).normal(size=30)
    truth = 0.3 + item_effect.mean()
    out = []
    for _ in range(n):
        base = np.zeros((5, 30))
        nie = 0.3 + item_effect + 0.15 * rng.normal(size=(5, 1)) + 0.3 * rng.normal(size=(5, 30))
        out.append(covers(mediation(base, base + nie, base, base + nie, items="fixed").nie, truth))
    return np.array(out)


def grouped_rows(kind: str) -> Callable[[Rng, int], np.ndarray]:
    def run(rng: Rng, n: int) -> np.ndarray:
        out = []
        for i in range(n):
            y, s, u = _rows(rng, 20, 8, mu=2.0, shift=0.3)
            sd = np.sqrt(1 + 0.3**2)
            low, high = norm.cdf(1.0 / sd), norm.cdf(1.0 / np.sqrt(1 + 0.3**2 + TAU**2))
            if kind == "accuracy":
                out.append(covers(accuracy(y, s, threshold=1.0, units=u, seed=i), (low + high) / 2))
            elif kind == "balanced":
                out.append(covers(balanced_accuracy(y, s, threshold=1.0, units=u, seed=i), (low + high) / 2))
            elif kind == "recall":
                found = recall_at_fpr(s[y == 1], rng.normal(size=1000), fpr=0.05, units=u[y == 1], seed=i)
                truth = norm.sf((found.threshold - 2.0) / np.sqrt(1 + 0.3**2 + TAU**2))
                out.append(covers(found.recall, float(truth)))
            else:
                other = s + 0.5 * rng.normal(size=len(s)) - 0.1
                out.append(covers(paired_bootstrap(s, other, u, seed=i), 0.1))
        return np.array(out)

    return run


def rejects(
    test: Callable[[np.ndarray], float | None], units: int, mean: float
) -> Callable[[Rng, int], np.ndarray]:
    def run(rng: Rng, n: int) -> np.ndarray:
        found = [test(mean + rng.normal(size=units)) for _ in range(n)]
        return np.array([p is not None and p <= 0.05 for p in found])

    return run


def adapters_test(mean: float) -> Callable[[Rng, int], np.ndarray]:
    def run(rng: Rng, n: int) -> np.ndarray:
        unit = np.repeat(np.arange(10), 12)
        y = unit % 2
        out = []
        for i in range(n):
            x = rng.normal(size=120) + rng.normal(size=10)[unit] + mean * y
            level = np.bincount(unit, x) / 12

            def gap(labels: np.ndarray, level: np.ndarray = level) -> float:
                of = labels[::12] == 1
                return float(level[of].mean() - level[~of].mean())

            out.append(permutation_test(gap, y, unit, n_draws=199, seed=i).p <= 0.05)
        return np.array(out)

    return run


def max_test(mean: float) -> Callable[[Rng, int], np.ndarray]:
    def run(rng: Rng, n: int) -> np.ndarray:
        out = []
        for _ in range(n):
            x = rng.normal(size=(16, 1)) * 0.7 + rng.normal(size=(16, 20))
            x[:, 3] += mean
            signs = rng.choice([1.0, -1.0], size=(199, 16))
            root = np.sqrt(16)
            observed = x.mean(0) / x.std(0, ddof=1) * root
            drawn = signs @ x / 16
            spread = np.sqrt(np.maximum(((x**2).mean(0) - drawn**2) * 16 / 15, 1e-12))
            out.append(max_statistic(observed, drawn / spread * root).p.min() <= 0.05)
        return np.array(out)

    return run


def bh_test(share: float) -> Callable[[Rng, int], np.ndarray]:
    def run(rng: Rng, n: int) -> np.ndarray:
        z = rng.normal(size=(n, 20)) + 3.0 * (np.arange(20) < 20 * share)
        return np.array([bool((benjamini_hochberg(norm.sf(row)) <= 0.05).any()) for row in z])

    return run


def tost(mean: float) -> Callable[[Rng, int], np.ndarray]:
    def run(rng: Rng, n: int) -> np.ndarray:
        return np.array(
            [equivalence(mean + 0.06 * rng.normal(size=6), bound=0.1).equivalent for _ in range(n)]
        )

    return run


def cosine_test(cosine: float) -> Callable[[Rng, int], np.ndarray]:
    def run(rng: Rng, n: int) -> np.ndarray:
        out = []
        for _ in range(n):
            a, b = rng.normal(size=(2, 64))
            a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
            mixed = cosine * a + np.sqrt(1 - cosine**2) * b
            out.append(
                compare(Direction(a, "resid_post.0"), Direction(mixed, "resid_post.0")).analytic_p <= 0.05
            )
        return np.array(out)

    return run
