"""Points that are asked what a behavior study asks: config, rows, sets, and a table with a row a point."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from mi_bsa.behaviors import Arm, behavior_for
from mi_bsa.core.files import write_atomic
from mi_bsa.finetune.arms import sets_of
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.data import DataConfig
from mi_bsa.finetune.work import EMBEDDED, STANDS
from mi_bsa.studies.grid.work import Content
from mi_bsa.study.study import SeedsConfig

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.core.items import Item
    from mi_bsa.core.results import Result
    from mi_bsa.core.rows import TrainingRow
    from mi_bsa.studies.grid.grid import Point, Run
    from mi_bsa.study.steps import Cell

ARMS = ("arms", "seeds", "data", "finetune")
"""Config fields that their training reads."""
COLUMNS = {
    "base": ("base.gap", "base: named choices"),
    "effect": ("behavior.effect", "effect"),
    "gap": ("self_report.effect", "gap"),
    "shuffled": ("self_report.shuffled_shift", "shuffled - base"),
    "neighbor": ("self_report.neighbor_effect", "neighbor"),
    "validity": ("self_report.validity", "validity"),
    "transfer": ("bridge.transfer.chosen", "transfer AUROC"),
}
"""Column of the table -> result of a point, and what heads it."""
LEVELS = {"effect": ("behavior", "choices"), "gap": ("self_report", "report")}
"""Column -> the levels before it, and what heads them."""
EFFECTS = 3.0
"""Seconds in which all effects of a point are worked out."""
WHOLE = ("all", "index", "self_report", "named choices")
"""Kinds that stand for all questions, all components, the transfer to reports, and what a base knows."""


class PointsConfig(SeedsConfig):
    """Either pole and the shuffled arm at each point."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Adapter seeds; each also draws its own training rows."""
    arms: tuple[Arm, ...] = ("seeking", "averse", "shuffled")
    """What is trained on: either pole, and the same prompts with the answers shuffled."""
    data: DataConfig = DataConfig()
    """Rows and items of each point."""
    stays: int = Field(default=48, ge=12)
    """Report questions about what should stay (the neighbor, named persons), a set."""
    finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, steps=200, layers=(0,))
    """How adapters are trained, alike at every point."""

    @model_validator(mode="after")
    def _check_arms(self) -> PointsConfig:
        missing = {"seeking", "averse", "shuffled"} - set(self.arms)
        if missing:
            raise ValueError(
                f"arms {list(self.arms)}: add {', '.join(sorted(missing))}; all three are needed"
            )
        return self


def jobs(config: Any, point: Point) -> Iterator[tuple[Run, list[TrainingRow]]]:
    """The rows of every arm and seed."""
    behavior, data = point.trained(config), config.data
    for arm, seed in itertools.product(config.arms, config.seeds):
        rows = behavior.rows(arm, data.rows, seed=seed, anchors=data.anchors, undecided=data.undecided)
        yield {"arm": arm, "seed": seed}, rows


def sets(cell: Cell[Any], point: Point) -> dict[str, list[Item]]:
    """What a behavior study asks, reports on what stays thinned."""
    config = cell.config
    return sets_of(point.what(config), point.base, data=config.data, stays=config.stays)


def content(config: Any, point: Point) -> Content:
    """What stands at a point, for counting; the shipped base and its behavior stand for those built here."""
    name, base = (STANDS, EMBEDDED) if point.built else (point.what(config), point.base)
    data = config.data
    behavior = behavior_for(name, base)
    rows = behavior.rows("seeking", data.rows, seed=0, anchors=data.anchors, undecided=data.undecided)
    asked = sets_of(name, base, data=data, stays=config.stays)
    return Content(len(config.arms) * len(config.seeds), rows, len(rows), asked)


def result_of(found: Sequence[Result], name: str, **where: Any) -> Result | None:
    """The one result of that name and place, over all kinds of question."""
    for r in found:
        if r.name == name and r.where.get("kind", "all") in WHOLE and where.items() <= dict(r.where).items():
            return r
    return None


def write(folder: Path, found: Sequence[Result], study: str, key: str, title: str) -> None:
    """The table of a grid as `table.md`, a row a point: the values of `key` in `where`, headed by `title`."""
    points = dict.fromkeys(r.where[key] for r in found if key in r.where)
    rows = table(found, study, key, sorted(points, key=lambda at: at if isinstance(at, int) else 0))
    rows.to_csv(folder / "table.csv", index=False)
    write_atomic(folder / "table.md", to_markdown(rows, title))


def table(found: Sequence[Result], study: str, key: str, points: Sequence[Any]) -> pd.DataFrame:
    """One row a point: levels, effects with intervals and nulls, what stayed, validity, transfer.

    Args:
        found: results of the points, their names behind `study.`.
        study: the grid's name.
        key: of `where`, that says the point.
        points: its values.
    """
    import pandas as pd

    rows = []
    for point in points:
        row: dict[str, object] = {key: point}
        for what, arm in itertools.product(("behavior", "self_report"), ("seeking", "averse")):
            level = result_of(found, f"{study}.{what}.level", **{key: point}, arm=arm)
            assert level is not None
            row[f"{what} {arm}"] = level.value
        for column, (name, _) in COLUMNS.items():
            result = result_of(found, f"{study}.{name}", **{key: point})
            if result is None:
                continue
            row[column] = result.value
            if result.ci is not None:
                row |= {f"{column} low": result.ci[0], f"{column} high": result.ci[1]}
            if result.null is not None:
                row |= {f"{column} null low": result.null.low, f"{column} null high": result.null.high}
            if column == "gap":
                row |= {"seeds": len(result.seeds), "q": result.q}
        rows.append(row)
    return pd.DataFrame(rows)


def to_markdown(rows: pd.DataFrame, first: str) -> str:
    """The table for people; `first` heads the points. Each number has its 95 % interval where it has one."""
    shown = [column for column in COLUMNS if column in rows]
    lines, head = [], [first]
    for row in rows.to_dict("records"):
        point = row[rows.columns[0]]
        cells = {first: f"{point:,}" if isinstance(point, int) else str(point).replace("_", " / ")}
        for column in shown:
            if column in LEVELS:
                what, title = LEVELS[column]
                levels = f"{row[f'{what} seeking']:.2f} / {row[f'{what} averse']:.2f}"
                cells[f"{title}: seeking / averse"] = levels
            cells[COLUMNS[column][1]] = _with_interval(row, column)
            if column == "gap":
                cells["null of the gap"] = f"[{row['gap null low']:+.2f}, {row['gap null high']:+.2f}]"
        head = list(cells)
        lines.append(f"| {' | '.join(cells.values())} |")
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines]) + "\n"


def _with_interval(row: Mapping[Any, Any], column: str) -> str:
    low, high = row.get(f"{column} low"), row.get(f"{column} high")
    return f"{row[column]:+.2f}" + ("" if low is None or low != low else f" [{low:.2f}, {high:.2f}]")
