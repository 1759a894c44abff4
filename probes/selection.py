"""Nested choice: layer, method and penalty chosen inside the training rows of each outer fold.

The law: the rows on which a choice is scored took no part in making it, so its score is not raised by
the search.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from probes.errors import GroupError, StatisticsError
from probes.fits import Job, held_out
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


def inner_splits(
    part: pd.DataFrame, y: np.ndarray, split: Split, groups: Sequence[str] | None, crossed: str, seed: int
) -> list[Split]:
    """Inner folds over the training rows of an outer fold, as indices of the whole block."""
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
    usable = [
        s
        for s in found
        if len(np.unique(y[split.train][s.train])) > 1 and len(np.unique(y[split.train][s.test])) > 1
    ]
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
    inner: Sequence[Sequence[Split]],
    grid: Sequence[float],
    device: str,
) -> np.ndarray:
    """Mean inner AUROC [penalty, outer fold]."""
    flat = [(k, f) for k, folds in enumerate(inner) for f in folds]
    jobs = [Job(x[f.train], y[f.train][:, None], [x[f.test]]) for _, f in flat]
    found: list[list[np.ndarray]] = [[] for _ in inner]
    for (k, f), (values,) in zip(flat, held_out(method, jobs, penalties=grid, device=device), strict=True):
        found[k].append(auroc_many(y[f.test], values[:, 0]))
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
