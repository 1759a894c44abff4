"""Transfer: fit on one set of rows, test on others, as a matrix with ceiling and floor beside each cell.

Folds are made over all sets together, so a test row never shares a group (scenario, template, adapter seed)
with the rows that its probe was fitted on, in whichever set they are. Beside each cell stand the
within-task ceiling (fitted and tested on the target set, same folds) and the shuffled floor (fitted on
shuffled labels). Excess over a named floor set (neutral prompts, wrong behavior) is a paired difference
over units: a transfer claim is what exceeds it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from probes.errors import GroupError, LabelError, SourceError
from probes.fits import Job, held_out
from probes.lines import auroc_fields
from probes.methods import get
from probes.probe import Probe
from probes.scores import auroc, auroc_many
from probes.shared_training import out_of_fold
from probes.shuffles import Shuffler, against, default_units, labelings
from probes.source import Cell, as_source, column, read_rows, two_classes
from probes.splits import grouped_splits
from probes.statistics.intervals import Estimate


@dataclass(frozen=True, eq=False)
class Transfer:
    """`table`: one line a (train, test) pair with auroc, low, high, ceiling, floor_mean, floor_low,
    floor_high, n, units, p_units (of AUROC = .5, t over units), p (label shuffles) and p_floor (the
    smallest p that they can give).

    `scores`: test rows with their score, fold, unit and label; `null`: pooled AUROC of each shuffle for each
    pair. `probes`: the probe of each training set, fitted on all its rows.
    """

    table: pd.DataFrame
    scores: pd.DataFrame
    null: dict[tuple[str, str], np.ndarray]
    probes: dict[str, Probe]

    def cell(self, train: str, test: str) -> pd.Series:
        """The line of one pair."""
        hit = self.table[(self.table["train"] == train) & (self.table["test"] == test)]
        if hit.empty:
            raise SourceError(
                f"no pair {train} -> {test}; there are {sorted(set(self.table['train']))} and "
                f"{sorted(set(self.table['test']))}"
            )
        return hit.iloc[0]

    def matrix(self, value: str = "auroc") -> pd.DataFrame:
        """Training sets x test sets of one column."""
        return self.table.pivot(index="train", columns="test", values=value)


def transfer(
    train: Mapping[str, Any],
    tests: Mapping[str, Any] | None = None,
    *,
    site: str,
    label: str,
    groups: Sequence[str] | None,
    method: str = "logistic",
    penalty: float | int = 0.1,
    units: str | None = None,
    shuffle_unit: str | None = None,
    n_splits: int = 5,
    n_shuffles: int = 20,
    crossed: str = "full",
    seed: int = 0,
    device: str = "cpu",
) -> Transfer:
    """Fit on each set of `train`, test on each set of `train` and `tests`.

    Args:
        train, tests: named sets; each a store, or a pair (array [row, d_model], row table).
        site: the cell, for example ``resid_post.3``; the same in all sets.
        label, groups, units, shuffle_unit, crossed: as in `probes.sweep`; all sets have these columns. A
            test set whose label is constant can not be scored and is refused.
        method, penalty: of the probe; choose them on the training set (`probes.sweep`), never on a test set.
        n_splits: folds over the groups of all sets together.

    Raises:
        GroupError, LabelError, SourceError: each names the remedy.
    """
    if isinstance(groups, str):
        groups = [groups]
    get(method)  # a name that is none is told before anything is read
    cell = Cell.parse(site)
    everything = {**train, **(tests or {})}
    if len(everything) < len(train) + len(tests or {}):
        raise SourceError(
            "a name stands in train and in tests; training sets are tested anyway: leave it out of tests"
        )
    xs: dict[str, np.ndarray] = {}
    frames: dict[str, pd.DataFrame] = {}
    kept: dict[str, Any] = {}
    for name, item in everything.items():
        held = as_source({str(cell): item[0]}, item[1]) if isinstance(item, tuple) else as_source(item)
        kept[name] = held
        xs[name] = read_rows(held, cell)
        needed = [name for name in (label, *(groups or ()), units, shuffle_unit) if name]
        for c in needed:
            column(held.table(), c, what="label" if c == label else "group")
        if groups is None:  # the columns by which rows of one example are known, over all sets
            needed += [c for c in ("id", "prompt") if c in held.table()]
        frames[name] = held.table()[list(dict.fromkeys(needed))].reset_index(drop=True)
    widths = {name: x.shape[1] for name, x in xs.items()}
    if len(set(widths.values())) > 1:
        raise SourceError(
            f"the sets differ in width at {cell}: {widths}; transfer needs one site of one model family"
        )
    joined = pd.concat(
        [f.assign(_set=name, _row=np.arange(len(f))) for name, f in frames.items()], ignore_index=True
    )
    _, classes = two_classes(joined, label)
    y = (joined[label] == classes[1]).to_numpy().astype(np.int64)
    splits = grouped_splits(joined, groups, n_splits=n_splits, stratify=y, crossed=crossed, seed=seed)
    names = joined["_set"].to_numpy()
    for name in everything:
        if len(np.unique(y[names == name])) < 2:
            raise LabelError(
                f"label {label!r} is constant in set {name!r}; a set needs rows of both classes to be scored"
            )
    unit_name = units or default_units(joined, groups)
    unit = np.arange(len(y)) if unit_name is None else joined[unit_name].to_numpy()
    # one shuffle hands out labels over all sets at once, because the same adapters stand behind all of them
    shuffler = Shuffler(y, joined, groups, unit=shuffle_unit)
    blocks = [b[names[b] == t] for f in splits for b in (f.train, f.test) for t in everything]
    # a shuffle must leave both classes wherever the true labels have both; elsewhere nothing is fitted or
    # scored
    blocks = [b for b in blocks if len(b) and len(np.unique(y[b])) == 2]
    targets = np.concatenate([y[None], shuffler.draw(n_shuffles, blocks, seed=seed)])
    distinct = labelings(y, targets[1:])
    at = joined["_row"].to_numpy()

    pairs: dict[tuple[str, str], _Pair] = {}
    probes: dict[str, Probe] = {}
    for source in everything:  # test sets are fitted too: their own score is the ceiling
        reached = list(everything) if source in train else [source]
        labels = targets if source in train else targets[:1]  # a ceiling needs no null
        folds = [(f.train[names[f.train] == source], f.test) for f in splits]
        folds = [(a, b) for a, b in folds if len(a) and len(np.unique(y[a])) == 2]
        if not folds:
            if source not in train:
                continue  # no ceiling can be had; its column stays empty
            raise GroupError(
                f"no fold leaves training rows of both classes in {source!r}; use fewer folds or fewer "
                "group columns"
            )
        tested = [{t: b[names[b] == t] for t in reached} for _, b in folds]
        jobs = [
            Job(xs[source][at[a]], labels[:, a].T, [xs[t][at[rows]] for t, rows in test.items()])
            for (a, _), test in zip(folds, tested, strict=True)
        ]
        out, fold = np.full(labels.shape, np.nan), np.full(len(y), -1)
        for k, (test, found) in enumerate(
            zip(tested, held_out(method, jobs, penalties=[penalty], device=device), strict=True)
        ):
            for rows, values in zip(test.values(), found, strict=True):
                out[:, rows], fold[rows] = values[0], k
        for t in reached:
            rows = np.flatnonzero((fold >= 0) & (names == t))
            if not len(rows) and source in train:
                raise GroupError(
                    f"no fold keeps rows of {t!r} to test what is fitted on {source!r}; give more groups, or "
                    "use fewer folds"
                )
            if not len(rows):
                continue
            pooled = auroc_many(labels[:, rows], out[:, rows], strata=fold[rows])
            estimate = auroc(y[rows], out[0, rows], units=unit[rows], strata=fold[rows], seed=seed)
            frame = pd.DataFrame(
                {"train": source, "test": t, "row": at[rows], "y": y[rows], "score": out[0, rows],
                 "fold": fold[rows], "unit": unit[rows]}
            )  # fmt: skip
            pairs[source, t] = _Pair(estimate, pooled, frame)
        if source in train:
            x, values = xs[source], frames[source][label]
            facts = {"label": label, "trained_on": source, "n": len(x)}
            probes[source] = Probe.fit(
                method, penalty, x, values, site=cell, source=kept[source], facts=facts
            )
    return Transfer(
        pd.DataFrame([_line(k, pairs, distinct) for k in pairs if k[0] in train]),
        pd.concat([p.scores for k, p in pairs.items() if k[0] in train], ignore_index=True),
        {k: p.pooled[1:] for k, p in pairs.items() if k[0] in train},
        probes,
    )


@dataclass(frozen=True, eq=False)
class _Pair:
    estimate: Estimate
    pooled: np.ndarray
    scores: pd.DataFrame


def _line(key: tuple[str, str], pairs: dict[tuple[str, str], _Pair], distinct: int) -> dict[str, Any]:
    pair, ceiling = pairs[key], pairs.get((key[1], key[1]))
    (estimate, p_units), null = out_of_fold(pair.estimate), pair.pooled[1:]
    top = out_of_fold(ceiling.estimate)[0] if ceiling else None
    beside = against(pair.pooled[0], null, distinct)
    floor = {f"floor_{k}": beside[f"null_{k}"] for k in ("mean", "low", "high")}
    ends = (np.nan, np.nan, np.nan) if top is None else (top.value, top.low, top.high)
    beyond = dict(zip(("ceiling", "ceiling_low", "ceiling_high"), ends, strict=True))
    tests = {"p_units": p_units, "p": beside["p"], "p_floor": beside["p_floor"]}
    head = {"train": key[0], "test": key[1], **auroc_fields(estimate), **beyond}
    return {**head, "pooled": pair.pooled[0], **floor, "n_shuffles": len(null), **tests}
