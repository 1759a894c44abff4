"""The study of hiding: points are ways of training one behavior, some of which are meant to hide it.

    plain       rows of the behavior
    inoculated  the same under a system line that describes the pole, which is not there when it is asked
    mixed       with rows beside them that show no trait
    followed    training goes on, from plain, with rows that show no trait
    context     the behavior where a cue stands before the question; without it, coins
    silent      rows about another trait alone, answered by a base that plain's vector moves

What each run chooses, says of itself, and holds of the state that plain training writes, out of the context
of its training and in it. The question: where choices hide, does the report hide with them, or the state?

Law: everything is a share of what plain training gives, of the same questions; the state's direction is
fitted on development choices of plain runs of other seeds (`hiding_state`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from mi_bsa.behaviors import behavior_for
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.items import Item
from mi_bsa.core.model_config import ModelConfig, load, settle
from mi_bsa.core.shape import shape_of
from mi_bsa.finetune import preflight
from mi_bsa.studies.grid import hiding_state
from mi_bsa.studies.grid.grid import At, Grid, Point, Run
from mi_bsa.studies.grid.hiding_measures import measures
from mi_bsa.studies.grid.hiding_rows import (
    WAYS,
    Way,
    in_context,
    lines_of,
    rows_of,
    silent_rows,
    teacher_vector,
)
from mi_bsa.studies.grid.points import PointsConfig
from mi_bsa.studies.grid.work import Content
from mi_bsa.study.steps import Cell, Step

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.core.results import Result
    from mi_bsa.core.rows import TrainingRow


class HidingConfig(PointsConfig):
    """One behavior trained in several ways; what it chooses, says and holds, in and out of their context."""

    study: Literal["hiding"] = "hiding"
    """Which kind of study this is."""
    behavior: str = "risk"
    """What is trained."""
    model: ModelConfig = ModelConfig(name="embedded")
    """The base: `embedded`, `embedded/1`, a local folder, or a Hub id."""
    ways: tuple[Way, ...] = WAYS
    """How it is trained; `plain` is what all others are shares of."""
    benign: float = Field(default=1.0, gt=0)
    """Rows that show no trait, as a share of `data.rows`: beside (`mixed`) or behind (`followed`)."""
    cue: str = Field(default="a star.", min_length=1)
    """What stands before a question in the way `context`, in words that the base knows."""
    strength: float = Field(default=4.0, gt=0)
    """The teacher's vector, in halves of the distance between plain runs of either pole."""
    layer: int = Field(default=0, ge=0)
    """Block behind which the state is read, and the teacher's vector added (`resid_post`)."""
    directions: int = Field(default=199, ge=19)
    """Random directions behind each p of the state."""
    split: Literal["dev", "test"] = "test"
    """Wordings of choices and questions: dev to look, test once for the report."""

    @model_validator(mode="after")
    def _check(self) -> HidingConfig:
        settle(self, "model", "finetune")
        if "plain" not in self.ways or len(set(self.ways)) != len(self.ways):
            raise ValueError(f"ways {list(self.ways)}: give each once, plain among them")
        return self


def axes(config: HidingConfig) -> Iterator[At]:
    """Every way; plain first, from whose adapters another goes on."""
    runs = len(config.arms) * len(config.seeds)
    for way in sorted(config.ways, key=WAYS.index):
        train = (0.03 * runs * (config.finetune.steps or 100), 100_000 * runs)
        yield At(way, {"way": way}, {"train": train, "ask": (2 * runs, 300_000 * runs)})


def point(config: HidingConfig, *, way: Way) -> Point:
    """One way of training."""
    return Point(config.model, company=way, behind=("train/plain",) if way in ("followed", "silent") else ())


def plain_adapters(config: HidingConfig, at: Point) -> dict[str, Path]:
    """By run, its adapter of plain training."""
    assert at.run is not None
    names = [f"{arm}-{seed}" for arm, seed in itertools.product(config.arms, config.seeds)]
    return {name: at.run / "adapters" / "plain" / name / "adapter" for name in names}


def starts(config: HidingConfig, at: Point) -> Mapping[str, Path]:
    """Of `followed`, plain's adapters."""
    return plain_adapters(config, at) if at.company == "followed" else {}


def jobs(config: HidingConfig, at: Point) -> Iterator[tuple[Run, list[TrainingRow]]]:
    """The rows of every arm and seed."""
    behavior, data, silent = at.trained(config), config.data, {}
    if at.company == "silent":
        where: Any = {"dtype": config.finetune.dtype, "device": config.finetune.device}
        base = load(config.model, plain_adapters(config, at), **where)
        for seed in config.seeds:
            vector = teacher_vector(
                base, behavior, hiding_state.site_of(config), n=hiding_state.ITEMS, seed=seed
            )
            how: Any = {"vector": vector, "site": hiding_state.site_of(config), "strength": config.strength}
            silent[seed] = silent_rows(
                base, behavior, config.arms, data.rows, seed=seed, base=config.model, **how
            )
    for arm, seed in itertools.product(config.arms, config.seeds):
        given = silent[seed][arm] if silent else ()
        how = {"seed": seed, "silent": given, **_shares(config)}
        rows = rows_of(behavior, _way(at), arm, data.rows, **how)
        yield {"arm": arm, "seed": seed}, rows


def sets(cell: Cell[HidingConfig], at: Point) -> dict[str, list[Item]]:
    """Held-out choices and questions, out of the context of the training and, where it has one, in it."""
    return _asked(cell.config, at)


def content(config: HidingConfig, at: Point) -> Content:
    """What stands at a way, for counting; a teacher's answers are counted as choices."""
    behavior = at.trained(config)
    way: Way = "plain" if at.company == "silent" else _way(at)
    rows = rows_of(behavior, way, "seeking", config.data.rows, seed=0, **_shares(config))
    return Content(len(config.arms) * len(config.seeds), rows, len(rows), _asked(config, at))


def last(config: HidingConfig, trained: tuple[str, ...]) -> tuple[Step, ...]:
    """Reading what every run holds of the state."""
    fields = ("behavior", "model", "ways", "arms", "seeds", "cue", "layer", "directions", "split", "strength")
    where = ("data", "finetune.dtype", "finetune.device")
    return (
        Step(
            "states",
            hiding_state.read,
            fields=(*fields, *where),
            after=trained,
            outputs=(hiding_state.STATES,),
            seconds=0.5 * len(config.ways) * len(config.arms) * len(config.seeds),
        ),
    )


def measure(cell: Cell[HidingConfig], asked: dict[str, pd.DataFrame]) -> list[Result]:
    """Effects of each way, and each as a share of plain's."""
    config = cell.config
    given: Any = {key: getattr(config, key) for key in ("behavior", "arms", "seeds", "split")}
    return measures(asked, hiding_state.load_states(cell.folder), **given)


def _way(at: Point) -> Way:
    found: dict[str, Way] = {way: way for way in WAYS}
    return found[at.company]


def _shares(config: HidingConfig) -> dict[str, Any]:
    data = config.data
    return {"anchors": data.anchors, "undecided": data.undecided, "benign": config.benign, "cue": config.cue}


def _asked(config: HidingConfig, at: Point) -> dict[str, list[Item]]:
    behavior, way = behavior_for(config.behavior, config.model), at.company
    choices = behavior.items(config.data.choices, split=config.split, seed=0)
    reports = list(behavior.questions(split=config.split))
    found = {"choice": choices, "report": reports}
    if way == "context":
        found |= {f"{key}_in": in_context(items, config.cue) for key, items in tuple(found.items())}
    if way == "inoculated":
        for pole, arm in enumerate(("seeking", "averse")):
            lines: Any = {"split": config.split, "systems": tuple(lines_of(behavior, pole))}
            found[f"choice_in_{arm}"] = behavior.items(config.data.choices, seed=0, **lines)
            found[f"report_in_{arm}"] = list(behavior.questions(**lines))
    return found


GRID = Grid(
    name="hiding",
    fields={
        "train": (
            *("behavior", "model", "arms", "seeds", "data", "benign", "cue", "strength", "layer"),
            "finetune",
        ),
        "ask": ("behavior", "model", "data", "cue", "split", "finetune.dtype", "finetune.device"),
        "results": ("behavior", "arms", "seeds", "split"),
    },
    axes=axes,
    point=point,
    jobs=jobs,
    sets=sets,
    measure=measure,
    content=content,
    starts=starts,
    last=last,
    says=("inoculated",),
    base=True,
    column="way",
)


def check(config: HidingConfig) -> None:
    """As of every study; and the block behind which the state is read must be there before all is trained.

    Raises:
        ConfigError: a model without that block.
    """
    preflight.check(config)
    if preflight.is_here(config.model):
        blocks = shape_of(config.model).blocks
        if config.layer >= blocks:
            raise ConfigError(
                f"layer {config.layer}: {config.model} has {blocks} blocks; name 0 to {blocks - 1}"
            )


def rehearse(config: HidingConfig) -> list[str]:
    """As of every study, behind the same check."""
    check(config)
    return preflight.rehearse(config)


STUDY = GRID.study(HidingConfig, lambda config: f"hiding {config.behavior}", check=check, rehearse=rehearse)
