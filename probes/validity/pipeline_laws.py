"""Simulations through the real sweep and transfer functions."""

from functools import cache, partial

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

from probes.scores import auroc
from probes.statistics.intervals import Estimate
from probes.sweeping import sweep
from probes.transferring import transfer
from probes.validity.law import Rng, covers, repeated

SPREAD = 0.4
"""Standard deviation of the separation between seeds."""
GROUPS = ["scenario", "seed"]
swept = partial(sweep, label="pole", methods=["mean_difference"], controls=False)
moved = partial(transfer, site="resid_post.0", label="pole", groups=GROUPS, method="mean_difference")


def _table(seeds: int, scenarios: int, first: int = 0) -> pd.DataFrame:
    rows = [(c + first, k, p, 2 * k + p) for c in range(scenarios) for k in range(seeds) for p in (0, 1)]
    return pd.DataFrame(rows, columns=["scenario", "seed", "pole", "adapter"])


def _activations(rng: Rng, table: pd.DataFrame, along: np.ndarray, adapter: float = 0.0) -> np.ndarray:
    """Rows with noise, an offset of each adapter, and a separation `along` [seed, d] between the poles."""
    d = along.shape[1]
    x = (
        rng.normal(size=(len(table), d))
        + adapter * rng.normal(size=(table["adapter"].max() + 1, d))[table["adapter"]]
    )
    return x + (table["pole"].to_numpy() - 0.5)[:, None] * along[table["seed"]]


def _first_axis(seeds: int, separation: float | np.ndarray, d: int = 6) -> np.ndarray:
    """A separation of each seed along the first of d dimensions."""
    along = np.zeros((seeds, d))
    along[:, 0] = separation
    return along


@cache
def typical_transfer(seeds: int, mu: float, offset: float, d: int) -> float:
    """The typical population AUROC of a mean-difference probe that was fitted without one of the seeds, nine
    scenarios each, on that seed: logits averaged over 40,000 draws."""
    rng, draws, rows = np.random.default_rng([seeds, d, 17]), 40_000, 9 * (seeds - 1)
    apart = offset * np.sqrt(2) * rng.normal(size=(draws, seeds, d))
    apart[..., 0] += mu + SPREAD * rng.normal(size=(draws, seeds))
    w = apart[:, 1:].mean(1) + np.sqrt(2 / rows) * rng.normal(size=(draws, d))
    gap = (apart[:, 0] * w).sum(1) / np.linalg.norm(w, axis=1) / np.sqrt(2)
    return float(expit(np.mean(norm.logcdf(gap) - norm.logsf(gap))))


@repeated
def transfer_coverage(rng: Rng, i: int, seeds: int, mu: float = 1.6, offset: float = 0.0, d: int = 6) -> bool:
    """Fit on behavior, test on report, five seeds; truth is the typical AUROC of such a probe on a new
    seed."""
    behavior, report = _table(seeds, 12), _table(seeds, 20, first=100)
    along = _first_axis(seeds, mu + SPREAD * rng.normal(size=seeds), d)
    # what else each adapter does, the same in both sets
    shared = offset * rng.normal(size=(2 * seeds, d))
    x = _activations(rng, behavior, along) + shared[behavior["adapter"]]
    z = _activations(rng, report, along) + shared[report["adapter"]]
    found = moved({"behavior": (x, behavior)}, {"report": (z, report)}, n_shuffles=0)
    line = found.cell("behavior", "report")
    interval = Estimate(line["auroc"], line["low"], line["high"], 0, 0, "")
    return covers(interval, typical_transfer(seeds, mu, offset, d))


@repeated
def transfer_test(rng: Rng, i: int, mu: float) -> bool:
    """The shuffled floor's p, classes renamed inside 8 seeds, 99 shuffles."""
    behavior, report = _table(8, 6), _table(8, 6, first=100)
    along, offset = _first_axis(8, mu), 0.5 * rng.normal(size=(16, 6))
    x = _activations(rng, behavior, along) + offset[behavior["adapter"]]
    z = _activations(rng, report, along)
    z = z + (offset if mu else 0.5 * rng.normal(size=(16, 6)))[report["adapter"]]
    sets = {"b": (x, behavior)}, {"r": (z, report)}
    found = moved(*sets, n_shuffles=99, crossed="diagonal", n_splits=4, seed=i)
    return bool(found.cell("b", "r")["p"] <= 0.05)


@repeated
def sweep_test(rng: Rng, i: int, mu: float) -> bool:
    """p corrected for the search over four layers (max-statistic), classes renamed inside 8 seeds."""
    table, along = _table(8, 6), _first_axis(8, mu)
    xs = {f"resid_post.{k}": _activations(rng, table, along * (k == 2), 0.5) for k in range(4)}
    found = swept(
        xs, table, groups=GROUPS, n_shuffles=99, n_splits=4, crossed="diagonal", nested=False, seed=i
    )
    return found.best.p_max <= 0.05


@repeated
def transfer_t(rng: Rng, i: int, mu: float) -> bool:
    """The t test over five seeds against AUROC = .5; each adapter has an offset that both sets share."""
    behavior, report = _table(5, 6), _table(5, 8, first=100)
    along, offset = _first_axis(5, mu), 0.5 * rng.normal(size=(10, 6))
    x = _activations(rng, behavior, along) + offset[behavior["adapter"]]
    z = _activations(rng, report, along) + offset[report["adapter"]]
    found = moved({"b": (x, behavior)}, {"r": (z, report)}, n_shuffles=0, seed=i)
    return bool(found.cell("b", "r")["p_units"] <= 0.05)


@repeated
def noise_coverage(rng: Rng, i: int, extended: bool) -> bool:
    """Does the interval of a probe cross-validated over five seeds hold .5 where there is nothing to read?"""
    table = _table(5, 6)
    x = _activations(rng, table, np.zeros((5, 6)), 0.5)
    found = swept(x, table, groups=GROUPS, n_shuffles=0, nested=False, seed=i)
    if extended:
        return covers(found.best.auroc, 0.5)
    s = found.scores
    return covers(auroc(s["y"], s["score"], units=s["unit"], strata=s["fold"]), 0.5)


@repeated
def nested_null(rng: Rng, i: int) -> bool:
    """Nested choice among four layers of pure noise: its interval holds .5, although the best layer's score
    does not."""
    rows = [(c, p) for c in range(12) for p in (0, 1) for _ in range(3)]
    table = pd.DataFrame(rows, columns=["scenario", "pole"])
    xs = {f"resid_post.{k}": rng.normal(size=(len(table), 4)) for k in range(4)}
    found = swept(xs, table, groups=["scenario"], n_splits=4, n_shuffles=0, seed=i)
    return covers(found.best.auroc, 0.5)
