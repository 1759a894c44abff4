"""Grouped splits: a test fold shares no group with its training rows, in any group column.

The law: for every group column and every fold, the set of groups among test rows and among training rows is
disjoint; `check_no_leak` raises otherwise. Nested columns (template inside scenario) give ordinary grouped
folds over connected blocks. Crossed columns (every scenario under every adapter seed) have one connected
block: there a fold is a pair (scenario fold, seed fold), tested on the rows in both and trained on the rows
in neither, and every row is tested once.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from probes.errors import GroupError, LabelError, LeakageError
from probes.source import column


@dataclass(frozen=True, eq=False)
class Split:
    """Row indices of one fold."""

    train: np.ndarray
    test: np.ndarray


def group_codes(table: pd.DataFrame, groups: Sequence[str] | None, *, part: bool = False) -> np.ndarray:
    """Integer codes [row, group column]; each row its own group where `groups` is None.

    Args:
        table: the row table.
        groups: one or several group columns; None states that rows are independent.
        part: the table is a part (a fold, a position) of one whose groups were looked at already: groups of
            one row each are no fault in it.

    Raises:
        GroupError: a column is missing, every group is a single row, or rows that were said to be independent
            are of one example.
    """
    if groups is None:
        refuse_repeats(table, remedy="groups=['{0}'] (--groups {0})")
        return np.arange(len(table))[:, None]
    if isinstance(groups, str):
        groups = [groups]
    if not groups:
        raise GroupError(
            "no group columns were named; name them, or pass groups=None to state that rows are independent"
        )
    codes = np.stack([pd.factorize(column(table, g, what="group"))[0] for g in groups], axis=1)
    if not part and all(len(np.unique(c)) == len(table) for c in codes.T):
        raise GroupError(
            f"every group of {', '.join(groups)} is a single row, so grouping protects nothing; name the "
            "column that rows share (scenario, template, seed), or state that rows are independent with "
            "groups=None (--groups none)"
        )
    return codes


def refuse_repeats(table: pd.DataFrame, *, remedy: str) -> None:
    """Refuse rows that are said to be independent and are of one example, or of one prompt word by word.

    The columns that tell are a store's own: `example`, `id` and `prompt`; a table without them can not tell.
    An `id` that is a mere row number says nothing across caches of different prompts, so it counts within
    one prompt only.

    Raises:
        GroupError: an example repeats; `remedy` says what to give, with the column's name in place of {0}.
    """
    for name in ("example", "id", "prompt"):
        if name not in table:
            continue
        values = table[name]
        if name == "id" and "prompt" in table:
            numbered = values.astype(str).str.fullmatch(r"\d+")
            values = values[~numbered]  # those of one prompt are found by the prompt
        counts = values.value_counts()
        if not len(counts) or counts.iloc[0] < 2:
            continue
        wider = name
        if "prompt" in table and name != "prompt" and table["prompt"].nunique() < table[name].nunique():
            wider = "prompt"  # examples of one text: they too are one row seen twice
        raise GroupError(
            f"the rows are not independent: {int((counts > 1).sum())} values of {name!r} stand in several "
            f"rows ({str(counts.index[0])[:40]!r} in {int(counts.iloc[0])}); give "
            f"{remedy.format(wider)}, or keep one row an example"
        )


def check_no_leak(
    codes: np.ndarray, train: np.ndarray, test: np.ndarray, *, names: Sequence[str] | None = None
) -> None:
    """Raise LeakageError where training and test rows share a group in any column of `codes` [row,
    column]."""
    for j in range(codes.shape[1]):
        shared = np.intersect1d(codes[train, j], codes[test, j])
        if len(shared):
            name = names[j] if names else f"column {j}"
            raise LeakageError(
                f"{len(shared)} groups of {name} stand on both sides of the split; "
                "split by group (probes.grouped_splits), or drop the shared rows from training"
            )


def _classes_of_levels(codes: np.ndarray, labels: np.ndarray | None) -> np.ndarray | None:
    """The label of each level, if every level holds one label only."""
    if labels is None:
        return None
    code, values = (np.unique(column, return_inverse=True)[1] for column in (codes, labels))
    of = constant_inside(values, code)
    return of if of is not None and len(np.unique(of)) > 1 else None


def constant_inside(y: np.ndarray, code: np.ndarray) -> np.ndarray | None:
    """Label of each level, if the label is constant inside all levels."""
    of = np.zeros(int(code.max()) + 1, dtype=y.dtype)
    of[code] = y  # the last row of each level; that all others agree is the test
    return of if (of[code] == y).all() else None


def _fold_levels(
    codes: np.ndarray, n: int, rng: np.random.Generator, classes: np.ndarray | None = None
) -> np.ndarray:
    """Fold of each row by its level: sizes balanced in rows, classes spread over folds, ties broken at
    random."""
    levels, counts = np.unique(codes, return_counts=True)
    fold = np.zeros(len(levels), dtype=np.int64)
    kinds = np.zeros(len(levels), dtype=np.int64) if classes is None else classes
    total = np.zeros(n)
    for kind in np.unique(kinds):
        order = rng.permutation(np.flatnonzero(kinds == kind))
        order = order[np.argsort(-counts[order], kind="stable")]
        load = np.zeros(n)
        for k in order:  # the largest first, each to the emptiest fold: of its class, then of all
            target = int(np.lexsort((total, load))[0])
            fold[k] = target
            load[target] += counts[k]
            total[target] += counts[k]
    return fold[np.searchsorted(levels, codes)]


def _blocks(codes: np.ndarray) -> np.ndarray:
    """Connected blocks: rows that share a group in any column are in one block."""
    # a graph of rows and groups, an edge where a row is in a group: blocks are its connected components
    n, rows, cols, offset = len(codes), [], [], len(codes)
    for c in codes.T:
        rows.append(np.arange(n))
        cols.append(offset + c)
        offset += int(c.max()) + 1
    i, j = np.concatenate(rows), np.concatenate(cols)
    graph = coo_matrix((np.ones(len(i)), (i, j)), shape=(offset, offset))
    return connected_components(graph, directed=False)[1][:n]


def grouped_splits(
    table: pd.DataFrame,
    groups: Sequence[str] | None,
    *,
    n_splits: int = 5,
    labels: np.ndarray | None = None,
    stratify: np.ndarray | None = None,
    crossed: str = "full",
    seed: int = 0,
    part: bool = False,
) -> list[Split]:
    """Folds whose test rows share no group with their training rows.

    Args:
        table: the row table.
        groups: one or several group columns; None states that rows are independent.
        n_splits: folds (for crossed columns: folds of each column, at most its number of levels).
        labels: if given, each fold must hold every class on both sides; groups that hold one class each are
            spread.
        stratify: labels to spread in that way without the check; `labels` if None.
        crossed: "full" tests every row once (folds of one column times folds of the next); "diagonal" uses
            fold k of every column together: fewer fits, but only 1 row in n_splits is tested.
        seed: of the assignment of groups to folds.
        part: see `group_codes`.

    Raises:
        GroupError: fewer groups than folds, or a column is missing.
        LabelError: the label is constant in a fold.
    """
    if crossed not in {"full", "diagonal"}:
        raise GroupError(
            f"crossed is {crossed!r}; choose 'full' (every row tested) or 'diagonal' (fewer fits)"
        )
    if n_splits < 2:
        raise GroupError(f"n_splits is {n_splits}; cross-validation needs at least 2 folds")
    codes = group_codes(table, groups, part=part)
    rng = np.random.default_rng(seed)
    names = ["row"] if groups is None else [groups] if isinstance(groups, str) else list(groups)
    stratify = labels if stratify is None else stratify
    block = _blocks(codes)
    n_blocks = int(block.max()) + 1
    if n_blocks >= n_splits or codes.shape[1] == 1:
        if n_blocks < n_splits:
            raise GroupError(
                f"{n_blocks} groups of {names[0]} for {n_splits} folds; ask for at most {n_blocks} folds or "
                "add groups"
            )
        fold = _fold_levels(block, n_splits, rng, _classes_of_levels(block, stratify))
        splits = [Split(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_splits)]
    else:
        parts, sizes = [], []
        for name, column_codes in zip(names, codes.T, strict=True):
            levels = len(np.unique(column_codes))
            if levels < 2:
                raise GroupError(
                    f"{name} has one level only, so no fold can leave it out; drop it from groups or "
                    "add levels"
                )
            classes = _classes_of_levels(column_codes, stratify)
            fewest = levels if classes is None else int(np.bincount(classes).min())
            sizes.append(min(n_splits, fewest))
            if sizes[-1] < 2:
                raise GroupError(
                    f"{name} has a single level of one class, so no fold can leave it out and keep both "
                    "classes; drop it from groups or add levels"
                )
            parts.append(_fold_levels(column_codes, sizes[-1], rng, classes))
        every = [range(size) for size in sizes]
        splits = []
        for key in zip(*every, strict=False) if crossed == "diagonal" else itertools.product(*every):
            inside = np.stack([fold == k for fold, k in zip(parts, key, strict=True)])
            test, train = np.flatnonzero(inside.all(axis=0)), np.flatnonzero(~inside.any(axis=0))
            if len(test) and len(train):
                splits.append(Split(train, test))
        if len(splits) < 2:
            raise GroupError(
                f"the columns {', '.join(names)} are crossed so that no two folds can be formed; "
                "use fewer columns, or collect rows under more groups"
            )
    for k, split in enumerate(splits):
        check_no_leak(codes, split.train, split.test, names=names)
        if labels is not None:
            _check_labels(labels, split, k)
    return splits


def _check_labels(labels: np.ndarray, split: Split, k: int) -> None:
    for side, rows in (("training", split.train), ("test", split.test)):
        if len(np.unique(labels[rows])) < 2:
            raise LabelError(
                f"the label is constant on the {side} rows of fold {k} ({len(rows)} rows); use fewer folds, "
                "or group so that each group holds both classes"
            )
