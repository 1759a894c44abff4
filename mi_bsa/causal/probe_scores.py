"""Scores of probes as results: each with n, interval and the null of shuffled labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import probes
from mi_bsa.core import results
from mi_bsa.core.results import Null, Place, Result
from mi_bsa.core.tested import UNTESTED, Tested, among
from probes.errors import StatisticsError
from probes.scores import auroc_many
from probes.shuffles import Shuffler, labelings
from probes.source import Cell, cells_of, column, read_rows
from probes.splits import refuse_repeats

if TYPE_CHECKING:
    import pandas as pd

    from probes.statistics.intervals import Estimate

LEFT = ("table.csv", "probe", "direction", "probes/best", "directions/best")
"""What a fit leaves and does not overwrite."""


def clear(folder: Path) -> None:
    """Take away what an earlier fit left in the folder of its run, which is fitted again."""
    for name in LEFT:
        for path in folder.glob(f"{name}*"):
            if path.is_file():
                path.unlink()


def write(found: Iterable[Result], folder: Path) -> None:
    """Write `results.json`, with q over all tests of one name."""
    results.write(results.with_q(found), folder)


def of_sweep(sweep: probes.Sweep, variant: str | None) -> list[Result]:
    """Every cell that could be read, the chosen one by nested choice, and the controls beside it."""
    head: dict[str, Place] = {} if variant is None else {"variant": variant}
    found = []
    for row in sweep.table.dropna(subset=["auroc"]).to_dict("records"):
        tested = UNTESTED
        if row["n_shuffles"]:
            band = (float(row[f"null_{key}"]) for key in ("mean", "low", "high"))
            null = Null(f"shuffled labels ({row['null_how']})", int(row["n_shuffles"]), *band)
            test = f"{null.kind}, {null.n} draws, one-sided"
            tested = replace(Tested.of(row["p"], test, floor=row["p_floor"]), null=null)
        where = head | _where(Cell(row["site"], _layer(row["layer"])), row["position"])
        found.append(
            _result(
                "probe.auroc",
                where | {"method": _method(row["method"], row["penalty"])},
                _estimate(row, "auroc", "ci_method"),
                tested=tested,
                notes=f"{row['folds']} folds",
            )
        )
    best, draws = sweep.best, int(sweep.table["n_shuffles"].max())
    where = (
        head | _where(Cell.parse(best.cell), best.position) | {"method": _method(best.method, best.penalty)}
    )
    found.append(
        _result(
            "probe.nested.auroc",
            where,
            best.auroc,
            tested=Tested.of(
                best.p_max,
                f"maximum statistic over the search: shuffled labels, {draws} draws, one-sided",
                floor=float(sweep.table["p_floor"].max()),
            ),
            notes="cell chosen inside the training rows of each fold",
        )
    )
    controls = [] if sweep.controls is None else sweep.controls.dropna(subset=["value"]).to_dict("records")
    for row in controls:
        estimate = _estimate(row, "value", "method")
        unit = {"auroc": "AUROC"}.get(row["score"], str(row["score"]))
        found.append(
            _result(
                "probe.control", {**where, "kind": row["control"]}, estimate, unit=unit, notes=row["note"]
            )
        )
    return found


def score(
    fitted: probes.Probe, source: Any, label: str, units: str | None, shuffles: int, seed: int
) -> tuple[list[Result], pd.DataFrame]:
    """AUROC and accuracies of a probe on a cache that it was not fitted on, and every row's score.

    Raises:
        SourceError: a cache without the probe's site. LabelError: a label of other classes.
    """
    fitted.check(source.attributes)
    cell = Cell.parse(fitted.site)
    if cell not in cells_of(source):
        held = ", ".join(map(str, cells_of(source)[:6]))
        raise probes.SourceError(
            f"the probe reads {fitted.site}, the cache holds {held}; capture that site, or use another probe"
        )
    table = source.table()
    y, classes = probes.two_classes(table, label)
    if tuple(classes) != tuple(fitted.classes):
        raise probes.LabelError(
            f"the probe tells {fitted.classes} apart, label {label!r} holds {classes}; name the matching "
            "label"
        )
    values = fitted.decision(read_rows(source, cell))
    if units is None:
        refuse_repeats(table, remedy="--units {0}")
    unit = None if units is None else column(table, units, what="group").to_numpy()
    shuffler = Shuffler(y, table, None if units is None else [units])
    try:
        draws = shuffler.draw(shuffles, [np.arange(len(y))], seed=seed)
    except StatisticsError:  # one unit, say: its labels have no other order, and the score stands without
        draws = np.zeros((0, len(y)), dtype=y.dtype)
    where = _where(cell, None)
    if source.attributes.get("variant") is not None:
        where["variant"] = source.attributes["variant"]
    found = []
    for name, estimate in (
        ("auroc", probes.auroc(y, values, units=unit, seed=seed)),
        ("accuracy", probes.accuracy(y, values, units=unit, seed=seed)),
        ("balanced_accuracy", probes.balanced_accuracy(y, values, units=unit, seed=seed)),
    ):
        tested = UNTESTED
        if len(draws):
            points = _points(name, np.stack([y, *draws]), values)
            kind = f"shuffled labels ({shuffler.how})"
            tested = among(float(points[0]), points[1:], kind, labelings=labelings(y, draws))
        unit_name = "AUROC" if name == "auroc" else "share of rows"
        found.append(_result(f"probe.{name}", where, estimate, unit=unit_name, tested=tested))
    own = table.rename(columns={name: f"label.{name}" for name in ("score", "y") if name in table})
    return found, own.assign(score=values, y=y)


def shown(one: Result) -> str:
    """A score as a line says it."""
    if one.ci is None:
        return f"{one.value:.3f} (n={one.counted}, no interval: {one.ci_method.removeprefix('none: ')})"
    return (
        f"{one.value:.3f} [{one.ci[0]:.3f}, {one.ci[1]:.3f}] (n={one.counted}, {one.notes}, {one.ci_method})"
    )


def _estimate(row: Mapping[str, Any], value: str, method: str) -> Estimate:
    """A line of a table as the number it stands for."""
    n, units = int(row["n"]), int(row["units"])
    return probes.Estimate(float(row[value]), float(row["low"]), float(row["high"]), n, units, row[method])


def _points(name: str, labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A score of the same values on each of several labelings, one a row."""
    if name == "auroc":
        return auroc_many(labels, np.broadcast_to(values, labels.shape))
    hit = (values > 0) == (labels == 1)
    if name == "accuracy":
        return np.asarray(hit.mean(axis=1))
    shares = [(hit & (labels == one)).sum(axis=1) / (labels == one).sum(axis=1) for one in (0, 1)]
    return np.asarray(sum(shares) / 2)


def _result(
    name: str,
    where: dict[str, Place],
    estimate: Estimate,
    *,
    unit: str = "AUROC",
    notes: str = "",
    tested: Tested = UNTESTED,
) -> Result:
    whole = not (isnan(estimate.low) or isnan(estimate.high))
    said = f"units={int(estimate.units)}"
    return Result(
        name,
        where,
        float(estimate.value),
        (float(estimate.low), float(estimate.high)) if whole else None,
        estimate.method,
        int(estimate.units or estimate.n),
        unit,
        rows=int(estimate.n),
        null=tested.null,
        p=tested.p,
        test=tested.test,
        p_floor=tested.floor,
        notes=f"{said}; {notes}" if notes else said,
    )


def _where(cell: Cell, position: Any) -> dict[str, Place]:
    found: dict[str, Place] = {"site": cell.site, "split": "held out"}
    if cell.layer is not None:
        found["layer"] = cell.layer
    if position is not None and position == position:
        found["position"] = position if isinstance(position, str) else int(position)
    return found


def _layer(value: Any) -> int | None:
    return None if value is None or isnan(value) else int(value)


def _method(name: str, penalty: float) -> str:
    return name if isnan(penalty) else f"{name}, C={penalty:g}"
