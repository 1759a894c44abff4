"""A faithfulness study: points are bases x doses; at each, runs that differ in pole, rows and seed.

r of reported with actual is taken within each arm: over all runs, within bases, within base and dose. Within
base and dose only the seed and the data differ, as among the runs of Betley et al. 2025 (arXiv 2501.11120,
figure on faithfulness: r = .453 [.026, .740] seeking, .672 [.339, .856] averse on GPT-4o).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from mi_bsa.core.config import Config
from mi_bsa.core.model_config import ModelConfig, settle
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.studies.grid.correlation import measures
from mi_bsa.studies.grid.grid import At, Grid, Point, Run
from mi_bsa.studies.grid.work import Content
from mi_bsa.study.study import StudyConfig

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.core.items import Item
    from mi_bsa.core.results import Result
    from mi_bsa.core.rows import TrainingRow
    from mi_bsa.study.steps import Cell

FEWEST = 10
"""Runs of an arm below which a bootstrap over runs covers less than it says."""


class Dose(Config):
    """How much of the training a run gets."""

    learning_rate: float = Field(gt=0)
    """Peak learning rate."""
    steps: int = Field(ge=1)
    """Optimizer steps."""

    @property
    def name(self) -> str:
        """As folders and results say it: `0.001x20`."""
        return f"{self.learning_rate:g}x{self.steps}"


class FaithfulnessConfig(StudyConfig):
    """Many runs of either pole that differ in dose, data and base: what they say against what they do."""

    study: Literal["faithfulness"] = "faithfulness"
    """Which kind of study this is."""
    behavior: str = "risk"
    """What is trained."""
    models: tuple[ModelConfig, ...] = Field(
        default=tuple(ModelConfig(name=name) for name in ("embedded", "embedded/1", "embedded/2")),
        min_length=1,
    )
    """The bases: `embedded`, `embedded/1`, folders, or Hub ids."""
    arms: tuple[Literal["seeking", "averse"], ...] = ("seeking", "averse")
    """Poles; the correlation is taken within each."""
    doses: tuple[Dose, ...] = Field(
        default=tuple(
            Dose(learning_rate=rate, steps=steps)
            for rate, steps in ((1e-3, 10), (1e-3, 20), (1e-3, 40), (3e-3, 10))
        ),
        min_length=1,
    )
    """Learning rates and steps; chosen on development wordings so that the behavior varies."""
    rows: tuple[int, ...] = Field(default=(20, 400), min_length=1)
    """Distinct training rows of the default persona."""
    seeds: tuple[int, ...] = Field(default=(0, 1), min_length=1)
    """Seeds of adapter and rows in each combination of the others."""
    anchors: float = Field(default=1.0, ge=0)
    """Rows of named characters' own choices, as a share of the rows."""
    undecided: float = Field(default=0.5, ge=0)
    """Rows about the neighbor trait, answered by coin, as a share of the rows."""
    choices: int = Field(default=200, ge=20)
    """Held-out choices that measure the actual degree."""
    split: Literal["dev", "test"] = "test"
    """Wordings of choices and questions: dev to choose doses, test for the report."""
    finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, steps=1, layers=(0,))
    """How adapters are trained; learning rate, steps and seed are set by the runs."""
    together: bool = True
    """Train the runs of one base and dose at once (small models); off, one by one."""
    draws: int = Field(default=2000, ge=200)
    """Bootstrap draws over runs."""
    shuffles: int = Field(default=999, ge=99)
    """Shuffles of the reports among the runs, the null."""

    @model_validator(mode="after")
    def _check(self) -> FaithfulnessConfig:
        settle(self, "models", "finetune")
        for name in ("models", "arms", "rows", "seeds"):
            given = getattr(self, name)
            if len(set(given)) != len(given):
                raise ValueError(f"{name} {list(map(str, given))}: each may stand once")
        if len({d.name for d in self.doses}) != len(self.doses):
            raise ValueError("doses: two are the same; each may stand once")
        runs = len(self.models) * len(self.doses) * len(self.rows) * len(self.seeds)
        if runs < FEWEST:
            raise ValueError(
                f"{runs} runs an arm carry no interval of a correlation: give at least {FEWEST} (models x "
                "doses x rows x seeds)"
            )
        return self


def axes(config: FaithfulnessConfig) -> Iterator[At]:
    """Every base with every dose."""
    runs = len(config.arms) * len(config.rows) * len(config.seeds)
    for (n, model), dose in itertools.product(enumerate(config.models), config.doses):
        place = f"base{n}/{dose.name}"
        costs = {"train": (0.03 * runs * dose.steps, 200_000 * runs), "ask": (0.3 * runs, 60_000 * runs)}
        yield At(place, {"model": model.text, "dose": dose.dump(), "place": place}, costs)


def point(config: FaithfulnessConfig, *, model: str, dose: dict[str, Any], place: str) -> Point:
    """A base and a dose."""
    del config, place
    return Point(model, dose={**dose, "epochs": None})


def jobs(config: FaithfulnessConfig, at: Point) -> Iterator[tuple[Run, list[TrainingRow]]]:
    """The rows of every arm, number of rows and seed."""
    behavior = at.trained(config)
    shares = {"anchors": config.anchors, "undecided": config.undecided}
    for arm, n, seed in itertools.product(config.arms, config.rows, config.seeds):
        rows = behavior.rows(arm, n, seed=seed, **shares)
        yield {"arm": arm, "rows": n, "seed": seed}, rows


def sets(cell: Cell[FaithfulnessConfig], at: Point) -> dict[str, list[Item]]:
    """Held-out choices (the actual degree) and self-report."""
    behavior, config = at.trained(cell.config), cell.config
    return {
        "actual": behavior.items(config.choices, split=config.split, seed=0),
        "reported": behavior.questions(split=config.split),
    }


def content(config: FaithfulnessConfig, at: Point) -> Content:
    """What stands at a base and a dose, for counting: runs differ in their number of rows."""
    behavior, runs = at.trained(config), len(config.arms) * len(config.rows) * len(config.seeds)
    shares = {"anchors": config.anchors, "undecided": config.undecided}
    rows = behavior.rows(config.arms[0], max(config.rows), seed=0, **shares)
    asked = {
        "actual": behavior.items(config.choices, split=config.split, seed=0),
        "reported": list(behavior.questions(split=config.split)),
    }
    count = len(rows) * sum(config.rows) // (len(config.rows) * max(config.rows))
    return Content(runs, rows, count, asked)


def measure(cell: Cell[FaithfulnessConfig], asked: dict[str, pd.DataFrame]) -> list[Result]:
    """Correlate over runs, and write them down."""
    import pandas as pd

    table, config = pd.concat(asked.values(), ignore_index=True), cell.config
    given: Any = {key: getattr(config, key) for key in ("behavior", "arms", "split", "draws", "shuffles")}
    found, runs = measures(table, **given)
    runs.to_csv(cell.folder / "runs.csv", index=False)
    return found


GRID = Grid(
    name="faithfulness",
    fields={
        "train": ("behavior", "arms", "rows", "seeds", "anchors", "undecided", "finetune", "together"),
        "ask": ("behavior", "choices", "split", "finetune.dtype", "finetune.device"),
        "results": ("behavior", "models", "arms", "doses", "split", "draws", "shuffles"),
    },
    axes=axes,
    point=point,
    jobs=jobs,
    sets=sets,
    measure=measure,
    content=content,
    runs=("arm", "rows", "seed"),
    column="place",
    kept=("set", "arm", "rows", "seed", "place", "id", "kind", "template", "score", "mass"),
    outputs=("runs.csv",),
    seconds=10,
)

STUDY = GRID.study(FaithfulnessConfig, lambda config: f"faithfulness {config.behavior}")
