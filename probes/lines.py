"""Lines of a sweep's table: one a cell, also for a cell that can not be read or carries no interval.

The law: one bad cell never stops a sweep. Its line has no number that it can not have, and says why.
"""

from typing import Any

import numpy as np

from probes.errors import ActivationError, ProbesError, StatisticsError
from probes.scores import auroc, auroc_many
from probes.selection import Key
from probes.shared_training import out_of_fold
from probes.shuffles import against
from probes.source import ActivationSource, Cell, read_rows
from probes.statistics.intervals import Estimate, no_interval


def readable(
    held: ActivationSource, cell: Cell, rows: np.ndarray
) -> tuple[np.ndarray, ActivationError | None]:
    """The rows of a cell, or why they can not be used."""
    try:
        return read_rows(held, cell, rows), None
    except ActivationError as error:
        return np.zeros((len(rows), 1)), error


def interval(labels: np.ndarray, scores: np.ndarray, **how: Any) -> Estimate:
    """The AUROC of a cell; where the data carry no interval, the value with the reason in its place."""
    try:
        return auroc(labels, scores, **how)
    except StatisticsError as error:
        value = float(auroc_many(labels, scores, strata=how["strata"])[0])
        return no_interval(value, str(error), n=len(labels), units=0)


def auroc_fields(estimate: Estimate) -> dict[str, Any]:
    """An AUROC with its interval as fields of a table."""
    ends = {"auroc": estimate.value, "low": estimate.low, "high": estimate.high}
    return {**ends, "ci_method": estimate.method, "n": estimate.n, "units": estimate.units}


def unread_line(key: Key, error: ProbesError, n: int, folds: int) -> dict[str, Any]:
    """The line of a cell that can not be read or fitted: it says why, and the others go on."""
    nothing = no_interval(float("nan"), str(error), n=n, units=0)
    return line(key, nothing, float("nan"), np.zeros(0), folds, 1, "")


def line(
    key: Key, estimate: Estimate, pooled: float, null: np.ndarray, folds: int, distinct: int, how: str
) -> dict[str, Any]:
    estimate, p_units = out_of_fold(estimate)
    beside = against(pooled, null, distinct)
    head = {"site": key.cell.site, "layer": key.cell.layer, "position": key.position, "method": key.method}
    score = {"penalty": key.penalty, **auroc_fields(estimate), "folds": folds}
    tests = {"p_units": p_units, "p": beside.pop("p"), "p_max": np.nan, "p_floor": beside.pop("p_floor")}
    band = {"pooled": pooled, **beside, "n_shuffles": len(null)}
    return {**head, **score, **band, **tests, "null_how": how}
