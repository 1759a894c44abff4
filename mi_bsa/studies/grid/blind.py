"""The study of blindness: at which dose of benign rows does each way of reading a finetune see nothing more?

    plain       rows of the behavior and nothing else
    benign-D    D times as many rows beside them that show no trait

Every point is a condition on a base and behavior, with both poles and, where the thresholds are set (plain,
and one dose), an arm with shuffled answers. Read of every adapter: what it chooses, what it says of itself, a
lens on unrelated texts, the same difference added to the base, a probe of its states, and its weights
(`blind_readings`).

Law: whatever is fitted (the probe's direction, the weights') is fitted on plain adapters of *other* seeds;
thresholds come from the shuffled adapters of the same place (`blind_measures`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mi_bsa.behaviors import behavior_for
from mi_bsa.core.items import Item
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.data import DataConfig
from mi_bsa.studies.grid import blind_readings, mixing
from mi_bsa.studies.grid.blind_measures import measures
from mi_bsa.studies.grid.grid import At, Grid, Point
from mi_bsa.studies.grid.mixing import MixingConfig
from mi_bsa.studies.grid.mixing_rows import Company, Condition
from mi_bsa.studies.grid.mixing_state import StateOptions
from mi_bsa.studies.grid.work import Content
from mi_bsa.study.steps import Cell, Step

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.core.results import Result


class BlindConfig(MixingConfig):
    """Behaviors trained on bases with benign rows mixed in, by dose; what reads the finetunes."""

    study: Literal["blind"] = "blind"  # type: ignore[assignment]
    """Which kind of study this is."""
    models: tuple[ModelConfig, ...] = tuple(ModelConfig(name=f"embedded/{n}") for n in range(2))
    """Bases; each of `behaviors` is trained on each whose world knows its trait."""
    doses: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    """Benign rows, as shares of `data.rows`; 0 is plain."""
    dose: float = Field(default=1.0, gt=0)
    """One of these, at which shuffled adapters are trained as well, as without benign rows."""
    companies: tuple[Company, ...] = ()
    """None: other company is the study of mixing's."""
    shorter: tuple[float, ...] = ()
    """None, likewise."""
    data: DataConfig = DataConfig(rows=400, anchors=0.0, undecided=0.0, choices=40, others=20)
    """Rows and items of each run; no rows that say what stays, which are company themselves."""
    state: StateOptions = StateOptions(items=0)
    """Left out."""
    finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, steps=60)
    """How adapters are trained; `steps` are those of plain training."""
    texts: int = Field(default=32, ge=4)
    """Unrelated texts of the lens."""


def axes(config: BlindConfig) -> Iterator[At]:
    """Every condition of every place."""
    yield from mixing.axes(config)


def sets(cell: Cell[BlindConfig], at: Point) -> dict[str, list[Item]]:
    """Held-out choices and questions."""
    return _asked(cell.config, at.what(cell.config), at.base)


def content(config: BlindConfig, at: Point) -> Content:
    """What stands at a condition, for counting."""
    told = mixing.content(config, at)
    name, base = (mixing.STANDS, mixing.EMBEDDED) if at.built else (at.what(config), at.base)
    return Content(told.runs, told.rows, told.drawn, _asked(config, name, base))


def _asked(config: BlindConfig, name: str, base: Any) -> dict[str, list[Item]]:
    behavior = behavior_for(name, base)
    return {
        "choice": behavior.items(config.data.choices, split=config.split, seed=0),
        "report": list(behavior.questions(split=config.split)),
    }


def last(config: BlindConfig, trained: tuple[str, ...]) -> tuple[Step, ...]:
    """What reads the adapters of each place."""
    found = []
    for place in config.places():
        conditions = [one.name for one in config.conditions(place)]
        runs = sum(len(mixing.arms_of(config.dose, Condition.parse(one))) for one in conditions)
        names = [f"train/{place.name}/{one}" for one in conditions]
        found.append(
            Step(
                f"read/{place.name}",
                blind_readings.read,
                {
                    "behavior": place.behavior,
                    "base": place.base,
                    "name": place.name,
                    "conditions": conditions,
                },
                fields=("seeds", "data", "texts", "split", "finetune.dtype", "finetune.device"),
                after=tuple(name for name in names if name in trained),
                outputs=(blind_readings.file_of(place.name),),
                seconds=2 * runs * len(config.seeds),
            )
        )
    return tuple(found)


def measure(cell: Cell[BlindConfig], asked: dict[str, pd.DataFrame]) -> list[Result]:
    """Gaps of the poles by reading and dose, who is told, and where each reading goes blind."""
    config = cell.config
    read = {
        name.removeprefix("read/"): blind_readings.load(cell.folder, name.removeprefix("read/"))
        for name in cell.after
        if name.startswith("read/")
    }
    return measures(asked, read, seeds=config.seeds, split=config.split)


GRID = Grid(
    name="blind",
    fields={
        "build": ("recipe", "pretraining"),
        "train": ("seeds", "data", "dose", "finetune"),
        "ask": ("data", "split", "finetune.dtype", "finetune.device", "finetune.steps"),
        "results": ("seeds", "split"),
    },
    axes=axes,
    point=mixing.point,
    jobs=mixing.jobs,
    sets=sets,
    measure=measure,
    content=content,
    last=last,
    base=True,
    column="point",
    kept=("point", "set", "variant", "arm", "seed", "kind", "template", "scenario", "score", "mass"),
)

STUDY = GRID.study(BlindConfig, lambda config: "blind", check=mixing.check, rehearse=mixing.rehearse)
