"""A layer chosen inside the training units: leave one unit out, choose by the others, test on the one.

The law: for each held-out unit (an adapter seed) the layer is chosen by development scores of the *other*
units alone, the probe is fitted on the other units alone, and what is tested is the held-out unit's rows; so
a unit has no part in the choice that it is a test of. A layer chosen on development rows of the units that it
is tested on is chosen by what these units have in common by chance, and holds a null far more often than it
says (docs/validity.md).

The development score of a layer, for held-out unit k, is the mean over the other units j of the AUROC on j's
development rows of a probe fitted without j and k (nested leave-one-out; Varma and Simon 2006, BMC
Bioinformatics 7:91). One probe without j and k serves both of them. With two units nothing is left to fit
without both, and j's own training rows are used.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from probes.errors import GroupError, LabelError, LeakageError, SourceError
from probes.fits import Job, held_out
from probes.methods import get
from probes.scores import auroc, auroc_many
from probes.shared_training import out_of_fold
from probes.source import column, two_classes
from probes.statistics.intervals import Estimate

Rows = tuple[Mapping[int, np.ndarray], pd.DataFrame]
"""Arrays [row, d_model] by layer, and their row table."""


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What a probe fitted without a unit, at the layer that the others chose, scores on that unit.

    `layers`: of each unit, the layer at which it was tested. `development`: of each layer, its development
    AUROC, mean over all pairs of units (what chose is the mean over the pairs without the tested unit).
    `scores`: test rows with set, row, label `y`, `score`, `unit`, `layer` and `item`. `null`: of each set the
    mean over units under each renaming of the classes inside units, the layer chosen anew each time; the
    true labels are not among them.
    """

    layers: dict[Any, int]
    development: dict[int, float]
    scores: pd.DataFrame
    null: dict[str, np.ndarray]

    @property
    def layer(self) -> int:
        """The layer that most units were tested at; of several, the one with the best development AUROC."""
        counts = Counter(self.layers.values())
        return max(counts, key=lambda layer: (counts[layer], self.development[layer]))

    @property
    def counts(self) -> str:
        """How many units were tested at which layer, in words: "3 in 4 of 5, 2 in 1 of 5"."""
        counts = Counter(self.layers.values()).most_common()
        return ", ".join(f"{layer} in {n} of {len(self.layers)}" for layer, n in counts)

    @property
    def sets(self) -> set[str]:
        """Names of the test sets that have scores."""
        return set(self.scores["set"])

    def by_unit(self, name: str) -> dict[Any, float]:
        """AUROC of one set inside each unit that has rows of both classes there.

        Raises:
            SourceError: there is no such set.
        """
        part = self._part(name)
        return {
            unit: float(auroc_many(own["y"].to_numpy(), own["score"].to_numpy()[None])[0])
            for unit, own in part.groupby("unit")
            if own["y"].nunique() == 2
        }

    def placed(self, name: str) -> pd.DataFrame:
        """AUROC of one set as a layout of units (rows) x items (columns), the mean of a row that of the unit.

        To first order an AUROC is a mean over its rows (Sen 1960): of each positive the share of negatives
        below it, of each negative the share of positives above. A cell is what an item's rows add to it.

        Raises:
            SourceError: no such set, or rows whose items are not known (`leave_one_out(items=)`).
        """
        part = self._part(name)
        if part["item"].isna().any():
            raise SourceError(f"items of {name!r} are not known; name their column: leave_one_out(items=)")
        rows = {}
        for unit, own in part.groupby("unit"):
            y, score = own["y"].to_numpy() == 1, own["score"].to_numpy()
            won = (np.sign(score[y][:, None] - score[~y]) + 1) / 2
            if not won.size:
                continue
            added = np.empty(len(y))
            added[y] = (won.mean(1) - won.mean()) / len(won)
            added[~y] = (won.mean(0) - won.mean()) / won.shape[1]
            by = pd.Series(added).groupby(own["item"].to_numpy()).sum()
            rows[unit] = won.mean() + len(by) * by
        return pd.DataFrame(rows).T

    def estimate(self, name: str) -> tuple[Estimate, float]:
        """AUROC of one set, pairs inside units, its interval with the error of shared training units, and the
        p of .5."""
        part = self._part(name)
        found = auroc(part["y"], part["score"], units=part["unit"], strata=part["unit"])
        return out_of_fold(found, layers=len(self.development))

    def _part(self, name: str) -> pd.DataFrame:
        part = self.scores[self.scores["set"] == name]
        if part.empty:
            raise SourceError(f"no test set {name!r}; there are {sorted(self.sets)}")
        return part


def leave_one_out(
    train: Rows,
    develop: Rows,
    tests: Mapping[str, Rows],
    *,
    label: str,
    unit: str,
    apart: Sequence[str] = (),
    items: str | None = None,
    method: str = "logistic",
    penalty: float | int = 0.1,
    n_shuffles: int = 20,
    seed: int = 0,
    device: str = "cpu",
) -> LeftOut:
    """Test each unit at the layer that the other units choose, by a probe that is fitted on them.

    Args:
        train: rows to fit on.
        develop: rows to choose the layer by.
        tests: rows to test; a unit without rows in a set has no score there.
        label: column of the two classes.
        unit: column of the units that are left out, two at least; each holds both classes in `train`.
        apart: columns whose levels training rows share with no other set (such as the scenario).
        items: column of what test rows are drawn as beside units (such as the wording), for `LeftOut.placed`.
        method, penalty: of the probe (`probes.METHODS`).
        n_shuffles: renamings of the classes inside units behind `null`; all of them where there are fewer
            (2 to the number of units, less one, and less the true one).
        seed: of the renamings.
        device: torch device of a batched solver.

    Raises:
        GroupError, LabelError, LeakageError, SourceError: each names the remedy.
    """
    get(method)
    sets = {"train": train, "develop": develop, **{f"test {name}": rows for name, rows in tests.items()}}
    layers = sorted(train[0])
    for name, (arrays, _) in sets.items():
        if sorted(arrays) != layers:
            raise SourceError(
                f"{name} has layers {sorted(arrays)} and training {layers}; read the same of all"
            )
    for name, (_, table) in list(sets.items())[1:]:
        for other in apart:
            shared = set(column(table, other, what="group")) & set(column(train[1], other, what="group"))
            if shared:
                raise LeakageError(
                    f"{len(shared)} levels of {other} stand in training and in {name} (such as "
                    f"{sorted(map(str, shared))[0]!r}); give each its own"
                )
    sides = {name: _Side.of(table, label, unit) for name, (_, table) in sets.items()}
    fit, dev = sides["train"], sides["develop"]
    units = sorted(set(fit.unit), key=lambda u: (str(type(u)), u))
    if len(units) < 2:
        raise GroupError(f"{unit} has one level only, so nothing can be fitted without it; give two at least")
    for one in units:
        for what, side in (("training", fit), ("development", dev)):
            if len(np.unique(side.y[side.unit == one])) < 2:
                raise LabelError(
                    f"{unit} {one!r} has rows of one class only among {what} rows; give both classes in each"
                )
    flips = _renamings(len(units), n_shuffles, seed)
    labels = {name: _renamed(side, units, flips) for name, side in sides.items()}

    def fitted(at: int, left: Sequence[int], blocks: Sequence[np.ndarray]) -> Job:
        """Fit at a layer on all units but those left out; where that leaves nothing, on the first of them."""
        rows = np.flatnonzero(~np.isin(fit.unit, [units[k] for k in left]))
        if not len(rows):
            rows = np.flatnonzero(fit.unit == units[left[0]])
        return Job(train[0][at][rows], labels["train"][:, rows].T, blocks)

    own = [np.flatnonzero(dev.unit == one) for one in units]
    reads: list[tuple[tuple[int, int], ...]] = [
        ((j, k), (k, j)) for j, k in combinations(range(len(units)), 2)
    ]
    if len(units) == 2:  # without both, nothing is left: each is fitted on its own rows
        reads = [((0, 1),), ((1, 0),)]
    score = np.full(
        (len(layers), len(flips), len(units), len(units)), np.nan
    )  # of unit, without it and another
    for i, layer in enumerate(layers):
        jobs = [fitted(layer, read[0], [develop[0][layer][own[j]] for j, _ in read]) for read in reads]
        made = held_out(method, jobs, penalties=[penalty], device=device)
        for read, blocks in zip(reads, made, strict=True):
            for (j, k), block in zip(read, blocks, strict=True):
                score[i, :, j, k] = auroc_many(labels["develop"][:, own[j]], block[0])
    chosen = np.nanmean(score, axis=2).argmax(0)  # [renaming, unit]: by the mean over the other units

    frames = []
    null = {name: np.full((len(flips), len(units)), np.nan) for name in tests}
    for i, layer in enumerate(layers):
        at = [k for k in range(len(units)) if (chosen[:, k] == i).any()]
        rows = [{name: np.flatnonzero(sides[f"test {name}"].unit == units[k]) for name in tests} for k in at]
        jobs = [
            fitted(layer, [k], [tests[name][0][layer][some] for name, some in own_rows.items()])
            for k, own_rows in zip(at, rows, strict=True)
        ]
        made = held_out(method, jobs, penalties=[penalty], device=device) if jobs else []
        for k, own_rows, blocks in zip(at, rows, made, strict=True):
            here = chosen[:, k] == i
            for (name, some), block in zip(own_rows.items(), blocks, strict=True):
                y = labels[f"test {name}"][:, some]
                if len(some) == 0 or len(np.unique(y[0])) < 2:
                    continue  # no AUROC inside this unit
                null[name][here, k] = auroc_many(y[here], block[0][here])
                if here[0]:  # the true labels
                    facts = {"set": name, "row": some, "y": y[0], "score": block[0][0], "unit": units[k]}
                    asked = None if items is None else column(tests[name][1], items, what="group")
                    facts["item"] = None if asked is None else asked.to_numpy()[some]
                    frames.append(pd.DataFrame({**facts, "layer": layer}))
    if not frames:
        raise LabelError("no unit has rows of both classes in a test set; give a set whose units have both")
    return LeftOut(
        {one: int(layers[chosen[0, k]]) for k, one in enumerate(units)},
        {int(layer): float(np.nanmean(score[i, 0])) for i, layer in enumerate(layers)},
        pd.concat(frames, ignore_index=True),
        {name: values[1:].mean(1, where=~np.isnan(values[1:])) for name, values in null.items()},
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """Labels 0 or 1 and units of the rows of a set."""

    y: np.ndarray
    unit: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame, label: str, unit: str) -> "_Side":
        _, (_, positive) = two_classes(table, label)
        return cls(
            (table[label] == positive).to_numpy().astype(np.int64),
            column(table, unit, what="group").to_numpy(),
        )


def _renamings(units: int, n: int, seed: int) -> np.ndarray:
    """Which units have their classes renamed, [renaming, unit], the first none; renaming all is renaming
    none, so the first unit keeps its names."""
    if 2 ** (units - 1) - 1 <= n:
        every = np.array(list(product((False, True), repeat=units - 1)))
        return np.c_[np.zeros(len(every), bool), every]
    drawn = np.random.default_rng(seed).random((n + 1, units)) < 0.5
    drawn[0] = False
    return drawn


def _renamed(side: _Side, units: Sequence[object], flips: np.ndarray) -> np.ndarray:
    """Labels [renaming, row]."""
    swapped = np.zeros((len(flips), len(side.y)), bool)
    for k, one in enumerate(units):
        swapped[:, side.unit == one] = flips[:, [k]]
    return np.where(swapped, 1 - side.y, side.y)
