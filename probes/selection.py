"""Nested choice: layer, method and penalty chosen inside the training rows of each outer fold.

The law: the rows on which a choice is scored took no part in making it, so its score is not raised by
the search. Fits that two outer folds need are made once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from probes.errors import GroupError, StatisticsError
from probes.fits import Fold, held_out_folds
from probes.scores import auroc, auroc_many
from probes.shared_training import out_of_fold
from probes.source import Cell
from probes.splits import Split, grouped_splits
from probes.statistics.intervals import Estimate, no_interval


@dataclass(frozen=True)
class Key:
    """One line of a sweep."""

    cell: Cell
    position: Any
    method: str
    penalty: float | int


@dataclass(frozen=True, eq=False)
class InnerFold(Fold):
    """A fit that choices are scored on: the outer fold that each block of `tests` is scored for."""

    of: Sequence[int]


def inner_folds(
    part: pd.DataFrame,
    y: np.ndarray,
    splits: Sequence[Split],
    groups: Sequence[str] | None,
    crossed: str,
    seed: int,
) -> list[InnerFold]:
    """The fits inside the training rows of all outer folds, each training set once.

    Where that is no more work, an outer fold's inner folds are the *other outer folds*: a fit without folds a
    and b serves fold a, scored on b, and fold b, scored on a. With five folds that is 10 fits instead of 15,
    with two crossed columns of five 100 instead of 225, and none is on fewer rows. Otherwise (few folds leave
    few rows without two of them; many have more pairs) an outer fold has three folds of its own.

    Raises:
        GroupError: nothing can be chosen inside some outer fold.
    """
    shared = _merged(y, [_others(split, splits) for split in splits])
    if {k for fold in shared for k in fold.of} == set(range(len(splits))):
        own = _inner_splits(part, y, splits[0], groups, crossed, seed)
        size = np.mean([len(fold.train) for fold in own])
        enough = np.mean([len(fold.train) for fold in shared]) >= 0.9 * size
        if len(shared) <= len(own) * len(splits) and enough:
            return shared
    return _merged(y, [_inner_splits(part, y, split, groups, crossed, seed) for split in splits])


def _others(split: Split, splits: Sequence[Split]) -> list[Split]:
    """Inner folds made of the outer ones that share no group with this one."""
    inside = np.zeros(1 + max(int(side.max()) for s in splits for side in (s.train, s.test)), bool)
    inside[split.train] = True
    apart = [other for other in splits if inside[other.test].all()]
    return [Split(other.train[inside[other.train]], other.test) for other in apart]


def _merged(y: np.ndarray, inner: Sequence[Sequence[Split]]) -> list[InnerFold]:
    """The inner folds of each outer one that hold both classes on both sides, those of equal training rows
    as one."""
    found: dict[bytes, tuple[np.ndarray, list[np.ndarray], list[int]]] = {}
    for k, folds in enumerate(inner):
        for fold in folds:
            if not (_both(y[fold.train]) and _both(y[fold.test])):
                continue
            _, tests, of = found.setdefault(fold.train.tobytes(), (fold.train, [], []))
            tests.append(fold.test)
            of.append(k)
    return [InnerFold(*one) for one in found.values()]


def _both(y: np.ndarray) -> bool:
    return len(np.unique(y)) > 1


def _inner_splits(
    part: pd.DataFrame, y: np.ndarray, split: Split, groups: Sequence[str] | None, crossed: str, seed: int
) -> list[Split]:
    """An outer fold's own inner folds over its training rows, as indices of the whole block."""
    inside = part.iloc[split.train].reset_index(drop=True)
    # a column with one level in here (the outer fold left the others out) can not be split once more
    kept = None if groups is None else [g for g in groups if inside[g].nunique() > 1]
    if kept == []:
        raise GroupError(
            "the training rows of a fold hold one group only, so nothing can be chosen inside it; add "
            "groups or pass nested=False"
        )
    # three inner folds: they only rank cells, and each costs another fit of every cell in every outer fold
    levels = 3 if kept is None else max(inside[g].nunique() for g in kept)
    found = grouped_splits(
        inside, kept, n_splits=min(3, levels), stratify=y[split.train], crossed=crossed, seed=seed, part=True
    )
    usable = [s for s in found if _both(y[split.train][s.train]) and _both(y[split.train][s.test])]
    if not usable:
        raise GroupError(
            "no inner fold holds both classes, so layer and penalty can not be chosen inside the training "
            "rows; use fewer folds, more groups, or nested=False"
        )
    return [Split(split.train[s.train], split.train[s.test]) for s in usable]


def inner_scores(
    method: str,
    x: np.ndarray,
    y: np.ndarray,
    inner: Sequence[InnerFold],
    grid: Sequence[float],
    device: str,
) -> np.ndarray:
    """Mean inner AUROC [penalty, outer fold]."""
    found: list[list[np.ndarray]] = [[] for _ in range(1 + max(k for fold in inner for k in fold.of))]
    fits = held_out_folds(method, x, y[None], inner, penalties=grid, device=device)
    for fold, blocks in zip(inner, fits, strict=True):
        for k, test, values in zip(fold.of, fold.tests, blocks, strict=True):
            found[k].append(auroc_many(y[test], values[:, 0]))
    return np.stack([np.mean(scores, axis=0) for scores in found], axis=1)


def favorite(keys: Sequence[Key], inner: dict[Key, np.ndarray]) -> int:
    """The cell that inner folds prefer on average; a stronger penalty wins a tie."""
    return _first_best(np.array([inner[k].mean() for k in keys]))


def _first_best(means: np.ndarray) -> int:
    # a sweep lists C in ascending order, the strongest penalty first; equal means differ by rounding
    return int(np.flatnonzero(means >= means.max() - 1e-12)[0])


def nested_choice(
    keys: Sequence[Key],
    inner: dict[Key, np.ndarray],
    held_scores: dict[Key, pd.DataFrame],
    splits: dict[Any, list[Split]],
    seed: int,
) -> tuple[pd.DataFrame, Estimate]:
    """Per outer fold, the cell that its inner folds prefer; the score of these choices on their test rows."""
    # positions have rows of their own, so their folds are not each other's: one position is taken for all
    # folds
    position = keys[favorite(keys, inner)].position
    here = [k for k in keys if k.position == position]
    lines, parts = [], []
    for k in range(len(splits[position])):
        means = np.array([inner[key][k] for key in here])
        pick = here[_first_best(means)]
        scores = held_scores[pick]
        parts.append(scores[scores["fold"] == k])
        what = {"cell": str(pick.cell), "method": pick.method, "penalty": pick.penalty}
        lines.append({"fold": k, **what, "inner_auroc": means.max()})
    joined = pd.concat(parts)
    y, score, fold = joined["y"].to_numpy(), joined["score"].to_numpy(), joined["fold"].to_numpy()
    try:
        estimate = auroc(y, score, units=joined["unit"], strata=fold, seed=seed)
    except StatisticsError as error:
        value = float(auroc_many(y, score, strata=fold)[0])
        estimate = no_interval(value, str(error), n=len(y), units=joined["unit"].nunique())
    return pd.DataFrame(lines), out_of_fold(estimate)[0]
