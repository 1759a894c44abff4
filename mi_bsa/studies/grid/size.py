"""The study over sizes: points are bases that differ in their number of parameters and in nothing else.

Law: results are named as those of a behavior study with `size.` in front, the place `variant` is the number
of parameters. A trend is a slope over log10 of the parameters, one a seed of the adapters; with one base a
size it says nothing about another pretraining, and its notes say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from mi_bsa.behaviors import SETS, Arm
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.model_config import ModelConfig, settle
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Result
from mi_bsa.core.shape import shape_of
from mi_bsa.finetune import preflight
from mi_bsa.finetune.data import DataConfig
from mi_bsa.finetune.estimates import describe_model, untimed
from mi_bsa.studies.grid.grid import At, Grid, Point
from mi_bsa.studies.grid.points import ARMS, EFFECTS, PointsConfig, content, jobs, sets
from mi_bsa.worlds.recipe import BuildConfig, Recipe, Shape

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.study.steps import Cell

UNIT_WIDTH = 64
"""The width of the shipped model, at which the recipe's learning rate and initial scale were chosen."""
TRAINED = ("behavior", "models", *ARMS)
KNOWN = {
    "named_choice-test": "named choices",
    "named_report-test": "named reports",
    "described_report-test": "described reports",
}
"""Set -> kind: what is asked about persons that a base read about."""
TRENDS = ("size.behavior.effect", "size.self_report.effect")


class SizeConfig(PointsConfig):
    """One behavior over sizes: bases of our own that are built here, or models that exist."""

    study: Literal["size"] = "size"
    """Which kind of study this is."""
    behavior: str = "risk"
    """What is trained."""
    widths: tuple[int, ...] = (32, 64, 136, 272)
    """Widths of the bases to build; MLP three times as wide, blocks and heads as in `shape`."""
    models: tuple[ModelConfig, ...] = ()
    """Models to use instead: folders or Hub ids, such as the sizes of configs/llama."""
    shape: Shape = Shape()
    """What the built bases share: blocks, heads, context; its width, MLP and `init_std` are scaled."""
    recipe: Recipe = Recipe(steps=4000)
    """Corpus and optimization of the built bases, alike for all; learning rate and `init_std` fall with the
    square root of the width, from what they are at width 64.
    """
    pretraining: int = 0
    """Seed of the built bases' weights and corpus."""
    data: DataConfig = DataConfig(choices=120, others=60)
    """Rows and items."""
    stays: int = Field(default=96, ge=12)
    """Report questions about what should stay (the neighbor, named persons), a set."""

    @model_validator(mode="after")
    def _check(self) -> SizeConfig:
        settle(self, "models", "finetune")
        names = tuple(map(str, self.models)) or tuple(map(str, self.widths))
        if len(set(names)) != len(names) or len(names) < 2:
            raise ValueError(f"{', '.join(names) or 'nothing'}: give at least two different sizes")
        for width in self.widths:
            if width % (2 * self.shape.heads):
                raise ValueError(
                    f"width {width}: take a multiple of {2 * self.shape.heads}, an even width for each head"
                )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sizes, for steps and folders."""
        models = tuple(f"model-{place}" for place in range(len(self.models)))
        return models or tuple(f"width-{width}" for width in self.widths)

    def plan(self, *, width: int, name: str = "") -> BuildConfig:
        """How the base of one width is built."""
        del name
        scale = (UNIT_WIDTH / width) ** 0.5
        wider = {"width": width, "mlp": 3 * width, "init_std": self.shape.init_std * scale}
        shape = self.shape.model_copy(update=wider)
        recipe = self.recipe.model_copy(update={"lr": self.recipe.lr * scale})
        return BuildConfig(shape=shape, recipe=recipe, seed=self.pretraining)


def axes(config: SizeConfig) -> Iterator[At]:
    """Each size: its base where that is built here, and its point."""
    for place, name in enumerate(config.names):
        if not config.models:
            width = config.widths[place]
            seconds = config.recipe.steps * (0.025 + width**2 * 3.4e-6)
            cost = {"build": (seconds, 1_000 * width**2 // 24)}
            yield At(f"base/{name}", {"name": name, "width": width}, cost)
        yield At(name, {"name": name, "place": place}, {"train": (60, 3_000_000), "ask": (30, 1_000_000)})


def point(config: SizeConfig, *, name: str, place: int) -> Point:
    """The base of one size: given, or built here."""
    return Point(config.models[place]) if config.models else Point(built=f"base/{name}")


def measure(cell: Cell[SizeConfig], asked: dict[str, pd.DataFrame]) -> list[Result]:
    """Behavior, self-report and validity against parameters, and their trend."""
    config, found = cell.config, list[Result]()
    given: Any = {"behavior": config.behavior, "arms": config.arms, "seeds": config.seeds}
    for name, answers in asked.items():
        found += of_size(answers, parameters=cell.value(f"ask/{name}")["parameters"], **given)
    return [*trends(found), *found]


def of_size(
    asked: pd.DataFrame, *, parameters: int, behavior: str, arms: Sequence[Arm], seeds: Sequence[int]
) -> list[Result]:
    """All results of one size: those of a behavior study, and what its base knows of persons it read about.

    `asked`: one row an item and variant, with `set`, `variant`, `arm`, `seed` and the items' labels.
    """
    from mi_bsa.causal.effects import all_effects

    found = all_effects(asked, behavior=behavior, arms=arms, seeds=seeds)
    found += base_knows(asked, behavior=behavior)
    return [replace(r, name=f"size.{r.name}", where={**r.where, "variant": parameters}) for r in found]


def base_knows(asked: pd.DataFrame, *, behavior: str) -> list[Result]:
    """Named and described persons of either pole, as the base answers before any finetune: seeking minus
    averse, an interval over scenarios or wordings.
    """
    from scipy import stats

    base = asked[asked["variant"] == "base"]
    over, unit = "Welch t over scenarios or wordings", "difference of P(seeking pole)"
    told = "what the base knows before any finetune: persons of either pole apart"
    out = []
    for name, kind in KNOWN.items():
        part = base[base["set"] == name]
        if part.empty:
            continue
        means = part.groupby(["person", "kind", "scenario"])["score"].mean()
        poles = [means[means.index.get_level_values(0).str.endswith(p)] for p in ("seeking", "averse")]
        test = stats.ttest_ind(*(p.to_numpy() for p in poles), equal_var=False)
        low, high = map(float, test.confidence_interval(0.95))
        where = {"behavior": behavior, "kind": kind, "split": "test"}
        gap, n = float(poles[0].mean() - poles[1].mean()), min(map(len, poles))
        out.append(Result("base.gap", where, gap, (low, high), over, n, unit, notes=told))
    return out


def trends(found: Sequence[Result]) -> list[Result]:
    """The slope of behavior and of self-report over log10 parameters: t over adapter seeds."""
    out = []
    for name in TRENDS:
        whole = (r for r in found if r.name == name and r.where.get("kind", "all") == "all")
        each = sorted(whole, key=lambda r: float(r.where["variant"]))
        x, y = np.log10([float(r.where["variant"]) for r in each]), np.array([r.per_seed for r in each])
        out.append(
            over_seeds(
                f"{name.removesuffix('.effect')}.slope",
                {"behavior": each[0].where["behavior"], "split": "test"},
                np.polyfit(x, y, 1)[0],
                each[0].seeds,
                unit="difference of P(seeking pole), by a factor of ten in parameters",
                ci_method="t over adapter seeds",
                chance=0.0,
                notes=f"{len(each)} sizes, one base each: the interval is of the adapters, not of another "
                "pretraining",
            )
        )
    return out


def check(config: SizeConfig) -> None:
    """Refuse what is not there, and two models of one size.

    Raises:
        ConfigError: two models have equally many parameters.
    """
    sizes = {str(model): shape_of(model).parameters() for model in config.models}
    if len(set(sizes.values())) < len(sizes):
        raise ConfigError(
            f"models {sizes}: two have equally many parameters, and a size takes one base; leave one out"
        )
    preflight.check(config)


GRID = Grid(
    name="size",
    fields={
        "build": ("shape", "recipe", "pretraining", "widths"),
        "train": TRAINED,
        "ask": (*TRAINED, "stays"),
        "results": ("behavior", "arms", "seeds"),
    },
    axes=axes,
    point=point,
    jobs=jobs,
    sets=sets,
    measure=measure,
    content=content,
    result=EFFECTS,
    folder="sizes",
    base=True,
    asked=tuple(name for name in SETS if name.endswith("-test") and not name.startswith("neutral")),
    table=("variant", "parameters"),
    told=True,
    outputs=("table.md",),
    seconds=3,
)

STUDY = GRID.study(
    SizeConfig,
    lambda config: f"study of {len(config.names)} sizes",
    check=check,
    rehearse=lambda config: [
        *preflight.rehearse(config),
        *(describe_model(model, config.finetune) for model in config.models),
    ],
    sized=lambda config, graph: untimed(graph) if config.models else graph,
)
