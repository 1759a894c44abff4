"""The study of many behaviors: points are behaviors, each on the base whose world knows it.

Law: results are named as those of a behavior study with `variety.` in front. The unit over behaviors is the
behavior: one value each (the mean over its seeds), and the interval says what another of the family would
give. Each behavior has a folder `behaviors/<name>` that looks like a study of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import model_validator

from mi_bsa import behaviors
from mi_bsa.behaviors.tastes import NAMES
from mi_bsa.causal.options import ProbeConfig
from mi_bsa.core.errors import BehaviorError
from mi_bsa.core.model_config import ModelConfig, settle
from mi_bsa.core.results import Null, Result
from mi_bsa.finetune.data import DataConfig
from mi_bsa.studies.grid.grid import At, Cost, Grid, Point
from mi_bsa.studies.grid.points import (
    ARMS,
    COLUMNS,
    EFFECTS,
    WHOLE,
    PointsConfig,
    content,
    jobs,
    result_of,
    sets,
)
from mi_bsa.worlds.recipe import BuildConfig, Recipe
from mi_bsa.worlds.tastes.pairs import BLOCKS
from mi_bsa.worlds.weights import world_for
from probes import statistics

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.study.steps import Cell


class VarietyConfig(PointsConfig):
    """Many behaviors of one base: what each arm does and says, and whether a probe transfers."""

    study: Literal["variety"] = "variety"
    """Which kind of study this is."""
    models: tuple[ModelConfig, ...] = ()
    """Bases; each behavior is trained on the first of them whose world knows its trait. If empty, siblings
    that know the preferences are built here, four preferences each.
    """
    recipe: Recipe = Recipe(world="tastes")
    """Corpus and optimization of the bases that are built; each reads its own traits."""
    pretraining: int = 0
    """Seed of the built bases' weights and corpus."""
    behaviors: tuple[str, ...] = NAMES
    """What is trained, each on its own: by default the family of preferences."""
    data: DataConfig = DataConfig(rows=400, choices=100, others=24)
    """Rows and items of each behavior."""
    transfer: bool = True
    """Fit a probe on each behavior's choices and test it on its reports."""
    probe: ProbeConfig = ProbeConfig(prompts=32, test_shuffles=20)
    """What is read for that."""

    @model_validator(mode="after")
    def _check(self) -> VarietyConfig:
        settle(self, "models", "finetune")
        if len(set(self.behaviors)) != len(self.behaviors) or not self.behaviors:
            raise ValueError(f"behaviors {list(self.behaviors)}: give each once, and at least one")
        return self

    def bases(self) -> dict[str, str]:
        """Behavior -> its base: a model's text, or `bases/NAME` in the run folder for one that is built here.

        Raises `BehaviorError` for a behavior that is unknown, or that no base's world knows, and
        `WorldError` for a base that does not exist.
        """
        if not self.models:
            blocks = {name: f"bases/{block[0]}" for block in BLOCKS for name in block}
            unknown = [name for name in self.behaviors if name not in blocks]
            if unknown:
                raise BehaviorError(
                    f"behavior {unknown[0]!r} is no preference, and bases are built for those only; give "
                    "`models` that know it"
                )
            return {name: blocks[name] for name in self.behaviors}
        worlds = {model.text: world_for(model) for model in self.models}
        found = {}
        for name in self.behaviors:
            trait = behaviors.get(name, behaviors.vocabulary_of(self.models[0])).trait
            knows = [
                model
                for model, world in worlds.items()
                if world is None or trait in {known.name for known in getattr(world, "traits", ())}
            ]
            if not knows:
                raise BehaviorError(
                    f"behavior {name!r}: none of {', '.join(map(str, self.models))} has the trait {trait!r} "
                    "in its world; add a base that has"
                )
            found[name] = knows[0]
        return found

    def plan(self, *, base: str) -> BuildConfig:
        """How the base `bases/NAME` is built."""
        block = next(block for block in BLOCKS if block[0] == base.removeprefix("bases/"))
        return BuildConfig(recipe=self.recipe.model_copy(update={"traits": block}), seed=self.pretraining)


def axes(config: VarietyConfig) -> Iterator[At]:
    """Siblings of the embedded model where no models are given, then the behaviors."""
    bases = config.bases()
    for base in () if config.models else dict.fromkeys(bases.values()):
        yield At(base, {"base": base}, {"build": (config.recipe.steps * 0.03, 800_000)})
    costs: dict[str, Cost] = {"train": (20, 2_000_000), "ask": (10, 1_000_000)}
    costs |= {"transfer": (15, 1_000_000)} if config.transfer else {}
    for name, model in bases.items():
        yield At(name, {"behavior": name, "model": model}, costs)


def point(config: VarietyConfig, *, behavior: str, model: str) -> Point:
    """A behavior and its base, which `bases/` says to be built here."""
    del config
    return Point(model, behavior, built=model if model.startswith("bases/") else None)


def measure(cell: Cell[VarietyConfig], asked: dict[str, pd.DataFrame]) -> list[Result]:
    """Every behavior's results, and what holds over all."""
    from mi_bsa.causal.effects import all_effects
    from mi_bsa.causal.steer_and_patch import read

    config, found = cell.config, list[Result]()
    for behavior, answers in asked.items():
        own = all_effects(answers, behavior=behavior, arms=config.arms, seeds=config.seeds)
        if config.transfer:
            file = cell.folder / GRID.files("transfer", behavior)[0]
            own += [r for r in read(file) if r.name != "bridge.transfer.auroc"]
        found += of_behavior(own)
    return [*over_behaviors(found, config.behaviors), *found]


BY_KIND = (".level", ".validity", ".validity_without", ".option_mass", ".sensitivity")
"""Ends of names that are told of every kind of question."""


def of_behavior(found: Sequence[Result]) -> list[Result]:
    """A behavior study's results as results of this study; what it says of kinds is left out."""
    return [
        replace(r, name=f"variety.{r.name}", where=dict(r.where))
        for r in found
        if not r.name.endswith(BY_KIND) or r.where.get("kind", "all") in WHOLE
    ]


def over_behaviors(found: Sequence[Result], names: Sequence[str]) -> list[Result]:
    """Means over behaviors with t intervals, and the share of behaviors whose report moves."""
    from scipy.stats import binomtest

    out = []
    for column, (source, _) in COLUMNS.items():
        each = [result_of(found, f"variety.{source}", behavior=behavior) for behavior in names]
        measured = [r for r in each if r is not None]
        if len(measured) < 2:
            continue
        one, values = statistics.t_interval([float(r.value) for r in measured]), [r.value for r in measured]
        out.append(
            Result(
                name=f"variety.mean.{column}",
                where={"split": "test"},
                value=one.value,
                ci=(one.low, one.high),
                ci_method="t over behaviors",
                n=len(measured),
                unit=measured[0].unit,
                null=_mean_null([r.null for r in measured if r.null is not None]),
                notes=f"smallest {min(values):.2f}, largest {max(values):.2f}",
            )
        )
    gaps = [result_of(found, "variety.self_report.effect", behavior=behavior) for behavior in names]
    reports = [r.ci for r in gaps if r is not None and r.ci is not None]
    moved, n = sum(low > 0 for low, _ in reports), len(reports)
    low, high = map(float, binomtest(moved, n).proportion_ci(method="wilson"))
    name, over, unit = "variety.share_reported", "Wilson over behaviors", "share of behaviors"
    told = "behaviors whose self-report gap lies beyond zero with its whole interval"
    share = Result(name, {"split": "test"}, moved / n, (low, high), over, n, unit, notes=told)
    return [*out, share]


def _mean_null(nulls: Sequence[Null]) -> Null | None:
    if not nulls:
        return None
    low, mean, high = (float(np.mean([getattr(n, end) for n in nulls])) for end in ("low", "mean", "high"))
    return Null(f"{nulls[0].kind}, mean over behaviors", sum(n.n for n in nulls), mean, low, high)


GRID = Grid(
    name="variety",
    fields={
        "build": ("recipe", "pretraining"),
        "train": ARMS,
        "ask": (*ARMS, "stays"),
        "transfer": ("arms", "seeds", "finetune", "probe"),
        "results": ("behaviors", "arms", "seeds", "transfer"),
    },
    axes=axes,
    point=point,
    jobs=jobs,
    sets=sets,
    measure=measure,
    content=content,
    result=EFFECTS,
    folder="behaviors",
    base=True,
    asked=tuple(f"{who}{what}-test" for who in ("", "neighbor_", "named_") for what in ("choice", "report")),
    table=("behavior", "behavior"),
    outputs=("table.csv", "table.md"),
)

STUDY = GRID.study(VarietyConfig, lambda config: f"study of {len(config.behaviors)} behaviors")
