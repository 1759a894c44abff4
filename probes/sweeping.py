"""Sites x layers x positions x methods x penalties x folds x shuffles in one pass, with ceiling, floor and
null beside.

Steps, read top to bottom in `sweep`: (1) groups give folds that share nothing; (2) every cell is fitted on
the true and on the shuffled labels, out of fold; (3) each cell gets its AUROC with interval over top-level
units, its null band, its p and the p corrected for the search (max-statistic over all cells); (4) layer and
penalty are chosen inside the training rows of each outer fold, so that the score of the choice is not its
own maximum; (5) the chosen cell is fitted on all rows.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from activations.progress import Shown, Told, shows
from probes import fold_costs
from probes.controls import Setting, run_controls
from probes.directions import Direction
from probes.errors import ActivationError, ProbesError, SourceError, StatisticsError
from probes.fits import Fold, held_out_folds
from probes.lines import interval, line, readable, unread_line
from probes.methods import PENALTIES, penalties_of
from probes.probe import Probe
from probes.scores import auroc_many
from probes.selection import Key, favorite, inner_folds, inner_scores, nested_choice
from probes.showing import SweepShows
from probes.shuffles import Shuffler, default_units, labelings
from probes.source import ActivationSource, Cell, as_source, cells_of, column, read_rows, two_classes
from probes.splits import Split, group_codes, grouped_splits
from probes.statistics.intervals import Estimate
from probes.statistics.permutation import permutation_p


@dataclass(frozen=True, eq=False)
class Best:
    """The cell chosen on all rows, fitted on all rows, and its score by nested choice."""

    cell: str
    position: Any
    method: str
    penalty: float | int
    auroc: Estimate
    p_max: float
    probe: Probe

    @property
    def direction(self) -> Direction:
        """The direction of the chosen probe."""
        return self.probe.direction


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(SweepShows):
    """A tidy table, one line a cell, and the chosen cell.

    Columns of `table`: site, layer, position, method, penalty, auroc, low, high, ci_method, n, units,
    folds, null_mean, null_low, null_high, p_units (of AUROC = .5, t over units), n_shuffles, p, p_max,
    p_floor (the smallest p possible), null_how. A p that a verdict uses needs
    n_shuffles >= 999; 20 shuffles draw the band. Where a cell has no interval, or can not be read at all, low
    and high are empty and ci_method is "none: " with the reason (`Sweep.without_interval` lists them).
    """

    table: pd.DataFrame
    best: Best
    chosen: pd.DataFrame
    label: str
    classes: tuple[Any, Any]
    groups: tuple[str, ...]
    units: str | None
    splits: tuple[Split, ...]
    scores: pd.DataFrame
    controls: pd.DataFrame | None = None

    @property
    def without_interval(self) -> dict[str, str]:
        """Why cells have no interval, by the cell's name; empty where all have one."""
        missing = self.table[self.table["low"].isna()]
        names = [
            str(Cell(site, None if layer is None or np.isnan(layer) else int(layer)))
            + ("" if position is None else f" at position {position}")
            + f", {method}"
            for site, layer, position, method in zip(
                missing["site"], missing["layer"], missing["position"], missing["method"], strict=True
            )
        ]
        reasons = missing["ci_method"].str.removeprefix("none: ")
        return dict(zip(names, reasons, strict=True))

    def save(self, out: str | Path) -> Path:
        """Write table.csv, controls.csv, figure.svg and .png, and probes/<cell> + directions/<cell> of the
        best cell."""
        from probes.export import save_sweep

        return save_sweep(self, Path(out))


def sweep(
    source: Any,
    table: pd.DataFrame | None = None,
    *,
    label: str,
    groups: Sequence[str] | None,
    sites: Any = None,
    rows: Any = None,
    by_position: str | None = None,
    methods: Sequence[str] = ("logistic",),
    penalties: Sequence[float | int] = PENALTIES,
    n_splits: int = 5,
    n_shuffles: int = 20,
    units: str | None = None,
    shuffle_unit: str | None = None,
    crossed: str = "full",
    nested: bool = True,
    controls: bool = True,
    without: Sequence[str] = (),
    base: Any = None,
    text: str = "prompt",
    seed: int = 0,
    device: str = "cpu",
    progress: Told = None,
) -> Sweep:
    """Fit and score probes over every cell of a source.

    Args:
        source: a store, an array [row, d_model], or a mapping from cell (``resid_post.3``) to arrays.
        table: the row table, for arrays.
        label: a column with two values; the larger one in sorted order is the positive class.
        groups: columns that no test fold may share with its training rows (scenario, template, adapter
            seed); None states that rows are independent, which is refused where the table's own columns
            (`example`, `id`, `prompt`) say that they are not. A table without these can not be asked.
        sites: sites or cells to use; all that the source holds if None.
        rows: mask or indices of the rows to use; all if None.
        by_position: a column (``position``) whose levels are swept one by one.
        methods: names of `probes.METHODS` that read classes ("logistic", "mean_difference", ...).
        penalties: of the methods that have one (C of the logistic probe).
        n_splits: folds (of each column where columns are crossed).
        n_shuffles: refits on shuffled labels; 20 for the band, 999 for a p that a verdict uses.
        units: top-level unit of the intervals; the group column with the fewest levels if None.
        shuffle_unit: the column at whose levels the label was assigned (adapter); see `probes.shuffles`.
        crossed: see `probes.splits.grouped_splits`.
        nested: choose layer and penalty inside each outer training set; if False, `best.auroc` is the plain
            interval of the best cell, which is biased upwards by the search.
        controls: run the controls of `probes.controls` on the best cell.
        without: controls switched off, by name.
        base: the base model's activations of the same rows (a source, or one array at the best cell), for
            its control.
        text: the column that holds the prompt, for the bag of words and the prompt length.
        seed: of folds, shuffles and bootstraps.
        device: torch device of the batched logistic solver.
        progress: called with (done, total, seconds left) after each cell; False is silent, and None the
            default of `activations.progress`, which says beforehand what many folds will cost.

    Raises:
        LabelError, GroupError, LeakageError, ActivationError, SourceError: see the messages; each names the
            remedy.
    """
    grids = {method: penalties_of(method, sorted(penalties)) for method in methods}
    held = as_source(source, table)
    frame = held.table()
    index = _row_index(rows, len(frame))
    frame = frame.iloc[index].reset_index(drop=True)
    if isinstance(groups, str):
        groups = [groups]
    if groups is not None:
        group_codes(frame, groups)  # groups are looked at over all positions, rows' independence in each
    cells = cells_of(held, sites)
    blocks = _positions(frame, by_position)
    total, done, started = len(cells) * len(blocks), 0, time.monotonic()

    lines: list[dict[str, Any]] = []
    failures: list[ProbesError] = []
    keys: list[Key] = []
    spots: list[int] = []  # the line of each key: cells that cannot be read have lines but no key
    nulls: list[np.ndarray] = []
    held_scores: dict[Key, pd.DataFrame] = {}
    inner_means: dict[Key, np.ndarray] = {}
    kept: dict[Any, _Block] = {}
    classes: tuple[Any, Any] | None = None
    fewest = 10**9  # distinct labelings of the poorest block; any block has fewer than this
    with Shown(progress, "probing", "sites") as tell:
        tell.begin(0, total)
        for position, members in blocks:
            part = frame.iloc[members].reset_index(drop=True)
            y, found = two_classes(part, label)
            classes = classes or found
            if found != classes:
                raise SourceError(
                    f"label {label!r} has other values at position {position} than elsewhere; select rows"
                )
            one_of_several = by_position is not None
            splits = grouped_splits(
                part, groups, n_splits=n_splits, labels=y, crossed=crossed, seed=seed, part=one_of_several
            )
            shuffler = Shuffler(y, part, groups, unit=shuffle_unit)
            sides = [side for f in splits for side in (f.train, f.test)]
            # row 0 holds the true labels: they go through the very fits that the shuffled ones go through, so
            # that score and null differ in the labels alone
            targets = np.concatenate([y[None], shuffler.draw(n_shuffles, sides, seed=seed)])
            distinct = labelings(y, targets[1:])
            fewest = min(fewest, distinct)
            unit_name = units or default_units(part, groups)
            one_each = np.arange(len(part))
            unit = one_each if unit_name is None else column(part, unit_name, what="group").to_numpy()
            kept[position] = _Block(index[members], part, y, unit, splits)
            strata = _strata(len(part), splits)
            tested = strata >= 0  # not all: diagonal folds leave most rows untested
            outer = [Fold(f.train, [f.test]) for f in splits]
            inner = inner_folds(part, y, splits, groups, crossed, seed) if nested else []
            for cell in cells:
                x, unread = readable(held, cell, index[members])
                if not done and unread is None and shows(progress):
                    with suppress(ProbesError):  # what is wrong with this site is told below, in its line
                        costs = fold_costs.told(x, targets, outer, inner, grids, sites=total, device=device)
                        tell.say(costs)
                for method, grid in grids.items():
                    try:
                        if unread is not None:
                            raise unread
                        out = np.full((len(grid), len(targets), len(part)), np.nan)
                        fits = held_out_folds(method, x, targets, outer, penalties=grid, device=device)
                        for fold, (values,) in zip(splits, fits, strict=True):
                            out[:, :, fold.test] = values
                        picks = np.full((len(grid), len(splits)), np.nan)
                        if nested:
                            picks = inner_scores(method, x, y, inner, grid, device)
                    except (
                        ActivationError,
                        StatisticsError,
                    ) as error:  # one bad layer does not cost the others
                        failures.append(error)
                        bad = [Key(cell, position, method, penalty) for penalty in grid]
                        lines += [unread_line(key, error, len(part), len(splits)) for key in bad]
                        continue
                    for p, penalty in enumerate(grid):
                        key = Key(cell, position, method, penalty)
                        scores = out[p][:, tested]
                        # pairs are formed within folds: two folds' probes have no common scale
                        pooled = auroc_many(targets[:, tested], scores, strata=strata[tested])
                        how = {"units": unit[tested], "strata": strata[tested], "seed": seed}
                        estimate = interval(y[tested], scores[0], **how)
                        null = pooled[1:]
                        keys.append(key)
                        spots.append(len(lines))
                        nulls.append(pooled)
                        inner_means[key] = picks[p]
                        held_scores[key] = pd.DataFrame(
                            {
                                "row": index[members][tested],
                                "y": y[tested],
                                "score": scores[0],
                                "fold": strata[tested],
                                "unit": unit[tested],
                            }
                        )
                        lines.append(
                            line(key, estimate, pooled[0], null, len(splits), distinct, shuffler.how)
                        )
                done += 1
                spent = time.monotonic() - started
                tell(done, total, spent / done * (total - done))
    if not keys:
        raise failures[0]  # no cell can be read: nothing is left to choose from
    result = pd.DataFrame(lines)
    if n_shuffles:
        stacked = np.stack(nulls, axis=1)  # [1 + draw, cell]
        # Westfall and Young: a shuffle counts by the best that it reached anywhere, as the search would have
        # it
        top = stacked[1:].max(axis=1)
        result.loc[spots, "p_max"] = permutation_p(stacked[0], top, labelings=fewest)
    assert classes is not None
    chosen, honest = pd.DataFrame(), None
    if nested:
        folds = {position: block.splits for position, block in kept.items()}
        chosen, honest = nested_choice(keys, inner_means, held_scores, folds, seed)
    top = favorite(keys, inner_means) if nested else int(result["pooled"].to_numpy()[spots].argmax())
    key, here = keys[top], kept[keys[top].position]
    x = read_rows(held, key.cell, here.rows)
    best = _fit_best(held, x, here, key, result.iloc[spots[top]], honest, label, groups)
    beside = None
    if controls:
        setting = Setting(
            x, here.y, here.part, here.splits, groups, here.unit, key.method, key.penalty, seed, device
        )
        given = {"base": base, "text": text, "without": without}
        beside = run_controls(setting, source=held, rows=here.rows, cell=str(key.cell), **given)
    scores_table = pd.concat(
        [
            v.assign(cell=str(k.cell), position=k.position, method=k.method, penalty=k.penalty)
            for k, v in held_scores.items()
        ],
        ignore_index=True,
    )
    return Sweep(
        result,
        best,
        chosen,
        label,
        classes,
        tuple(groups or ()),
        units or default_units(frame, groups),
        tuple(here.splits),
        scores_table,
        beside,
    )


def _row_index(rows: Any, n: int) -> np.ndarray:
    if rows is None:
        return np.arange(n)
    rows = np.asarray(rows)
    index = np.flatnonzero(rows) if rows.dtype == bool else rows
    if len(index) == 0:
        raise SourceError("no rows are selected; check the mask")
    return index


def _positions(frame: pd.DataFrame, by: str | None) -> list[tuple[Any, np.ndarray]]:
    if by is None:
        return [(None, np.arange(len(frame)))]
    values = column(frame, by, what="position").to_numpy()
    return [(v.item() if hasattr(v, "item") else v, np.flatnonzero(values == v)) for v in np.unique(values)]


def _strata(n: int, splits: Sequence[Split]) -> np.ndarray:
    """Fold in which each row is tested, -1 if in none."""
    fold = np.full(n, -1)
    for k, split in enumerate(splits):
        fold[split.test] = k
    return fold


@dataclass(frozen=True, eq=False)
class _Block:
    """The rows at one position, which every cell is fitted on: their indices in the source, table, labels and
    units, and the folds."""

    rows: np.ndarray
    part: pd.DataFrame
    y: np.ndarray
    unit: np.ndarray
    splits: list[Split]


def _fit_best(
    held: ActivationSource,
    x: np.ndarray,
    block: _Block,
    key: Key,
    line: pd.Series,
    estimate: Estimate | None,
    label: str,
    groups: Sequence[str] | None,
) -> Best:
    penalty = None if np.isnan(key.penalty) else float(key.penalty)
    facts = {"label": label, "groups": list(groups or []), "n": len(x)}
    facts |= {"penalty": penalty, "position": key.position}
    probe = Probe.fit(key.method, key.penalty, x, block.part[label], site=key.cell, source=held, facts=facts)
    if estimate is None:
        method = f"{line['ci_method']} (not corrected for the search)"
        ends = line["auroc"], line["low"], line["high"]
        estimate = Estimate(*ends, int(line["n"]), int(line["units"]), method)
    return Best(str(key.cell), key.position, key.method, key.penalty, estimate, float(line["p_max"]), probe)
