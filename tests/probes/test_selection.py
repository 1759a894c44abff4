"""Choices inside outer folds: no test row of a fold takes part, and what folds share is fitted once."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from probes import solver
from probes.fits import Fold, Job, held_out, held_out_folds
from probes.scores import auroc_many
from probes.selection import inner_folds, inner_scores
from probes.splits import check_no_leak, group_codes, grouped_splits


def design(scenarios=20, seeds=10):
    """Scenarios x seeds x poles, and the label."""
    rows = [(s, k, p) for s in range(scenarios) for k in range(seeds) for p in (0, 1)]
    table = pd.DataFrame(rows, columns=["scenario", "seed", "pole"])
    return table, table["pole"].to_numpy()


def made(groups, n_splits, crossed="full", **size):
    """Outer folds of a design, and the fits inside them."""
    table, y = design(**size)
    splits = grouped_splits(table, groups, n_splits=n_splits, labels=y, crossed=crossed)
    return table, y, splits, inner_folds(table, y, splits, groups, crossed, 0)


@pytest.mark.parametrize(
    ("groups", "n_splits", "crossed", "fits", "each"),
    [
        (["scenario"], 5, "full", 10, 4),
        (["scenario", "seed"], 5, "full", 100, 16),
        (["scenario", "seed"], 5, "diagonal", 10, 4),
        (None, 5, "full", 10, 4),
        (["scenario"], 2, "full", 6, 3),  # without both of two folds nothing is left
        (["scenario"], 3, "full", 9, 3),  # without two of three folds a third of the rows would be left
        (["scenario"], 10, "full", 30, 3),  # 45 pairs
    ],
)
def test_inner_folds_share_nothing_with_what_they_choose_for(groups, n_splits, crossed, fits, each):
    """Training rows, scored rows and the outer fold's test rows are of different groups, in every column; no
    training set is fitted twice, they are no smaller than an outer fold's own would be, and every outer fold
    has equally many."""
    table, y, splits, inner = made(groups, n_splits, crossed)
    codes = group_codes(table, groups)
    for fold in inner:
        assert len(fold.tests) == len(fold.of) == len(set(fold.of))
        for k, test in zip(fold.of, fold.tests, strict=True):
            check_no_leak(codes, fold.train, test)
            check_no_leak(codes, fold.train, splits[k].test)
            check_no_leak(codes, test, splits[k].test)
    assert len(inner) == len({fold.train.tobytes() for fold in inner}) == fits
    assert np.bincount([k for fold in inner for k in fold.of]).tolist() == [each] * len(splits)
    share = (2 / 3 * (n_splits - 1) / n_splits) ** (2 if crossed == "full" and len(groups or "1") == 2 else 1)
    if crossed == "full":
        assert np.mean([len(fold.train) for fold in inner]) >= 0.9 * share * len(table)


@pytest.mark.parametrize("method", ["logistic", "mean_difference"])
def test_a_shared_fit_says_what_one_for_each_fold_says(method):
    """Mean inner AUROC of each outer fold, against fits made for that fold alone."""
    table, y, splits, inner = made(["scenario", "seed"], 4, scenarios=8, seeds=4)
    x = np.random.default_rng(0).normal(size=(len(y), 6)) + 0.4 * y[:, None]
    grid = (0.1, 1.0) if method == "logistic" else (float("nan"),)
    found = inner_scores(method, x, y, inner, grid, "cpu")
    assert found.shape == (len(grid), len(splits))
    for k in (0, 6):
        mine = [(f.train, t) for f in inner for of, t in zip(f.of, f.tests, strict=True) if of == k]
        jobs = [Job(x[train], y[train][:, None], [x[test]]) for train, test in mine]
        alone = [
            auroc_many(y[test], values[:, 0])
            for (_, test), (values,) in zip(mine, held_out(method, jobs, penalties=grid), strict=True)
        ]
        np.testing.assert_allclose(found[:, k], np.mean(alone, axis=0), atol=1e-4)


def test_memory_does_not_grow_with_the_number_of_folds(monkeypatch):
    """Rows of a few folds are copied at a time; sixty folds hold no more than six, and say the same as
    all at once."""
    monkeypatch.setattr(solver, "BUDGET", 60_000)  # three training sets of this size together
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(500, 48)).astype(np.float32), rng.integers(0, 2, size=(1, 500))
    folds = []
    for _ in range(60):
        order = rng.permutation(500)
        folds.append(Fold(order[:400], [order[400:420]]))

    def peak(some):
        tracemalloc.start()
        total = [block[0].sum() for block in held_out_folds("mean_difference", x, y, some, penalties=[1.0])]
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return total, top

    peak(folds[:3])
    few, many = peak(folds[:6]), peak(folds)
    assert many[1] < 1.1 * few[1]
    assert many[1] < 8 * x.nbytes
    whole = held_out("mean_difference", [Job(x[f.train], y[:, f.train].T, [x[f.tests[0]]]) for f in folds])
    np.testing.assert_allclose(many[0], [block[0].sum() for block in whole])
