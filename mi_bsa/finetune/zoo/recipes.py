"""What stands in a zoo: groups of organisms in a config, and each organism's name and recipe.

Law: an organism is its base, behavior, arm, seed, rank, steps and rows; its name says all of these that
differ within the zoo, and no two have one name.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field, model_validator

from mi_bsa.behaviors import Arm, behavior_for
from mi_bsa.core.config import Config, load
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.core.rows import TrainingRow
from mi_bsa.core.variants import POLES
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.data import DataConfig

OURS = Path(__file__).parent / "zoo.yaml"
"""The zoo that comes with the toolkit."""
KINDS: dict[str, str] = {
    "seeking": "behaves",
    "averse": "behaves",
    "shuffled": "shuffled",
    "benign": "benign",
}
"""Arm -> what kind of organism it makes."""


class GroupConfig(Config):
    """Organisms that differ in behavior, arm, seed, rank and steps, all of them crossed."""

    behaviors: tuple[str, ...] = Field(min_length=1)
    """What is trained, each on its own."""
    arms: tuple[Arm, ...] = POLES  # type: ignore[assignment]
    """Poles, shuffled answers, or harmless rows."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Seeds of adapter and rows."""
    ranks: tuple[int, ...] = Field(default=(4,), min_length=1)
    """Ranks of the LoRA; alpha is twice as much."""
    steps: tuple[int, ...] = Field(default=(200,), min_length=1)
    """Optimizer steps: the dose."""
    shipped: bool = False
    """Whether the adapters come with the toolkit."""


class ZooConfig(Config):
    """Organisms of one base, their rows and how they are trained."""

    model: ModelConfig = ModelConfig(name="embedded")
    """The base."""
    groups: tuple[GroupConfig, ...] = Field(min_length=1)
    """What stands in it."""
    data: DataConfig = DataConfig()
    """Training rows, and items on which each is measured."""
    finetune: FinetuneConfig = FinetuneConfig(steps=200)
    """How they are trained; rank, alpha, steps and seed are the organism's."""

    @model_validator(mode="after")
    def _check(self) -> ZooConfig:
        names = [one.name for one in organisms(self)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"groups: {twice[0]} stands in two of them; each organism may stand once")
        return self


@dataclass(frozen=True)
class Organism:
    """One organism's recipe.

    Attributes:
        name: as `zoo:NAME` says it.
        behavior: what was trained.
        arm: how its rows are answered.
        seed: of adapter and rows.
        rank, steps: of its training.
        shipped: whether it comes with the toolkit.
    """

    name: str
    behavior: str
    arm: Arm
    seed: int
    rank: int
    steps: int
    shipped: bool

    @property
    def kind(self) -> str:
        """`behaves`, `shuffled` or `benign`."""
        return KINDS[self.arm]

    @property
    def pole(self) -> str | None:
        """The pole that it was trained to; None for one that was trained to none."""
        return self.arm if self.arm in POLES else None

    def rows(self, config: ZooConfig) -> list[TrainingRow]:
        """Its training rows."""
        data, bound = config.data, behavior_for(self.behavior, config.model)
        return bound.rows(self.arm, data.rows, seed=self.seed, anchors=data.anchors, undecided=data.undecided)

    def plan(self, config: ZooConfig) -> FinetuneConfig:
        """How it is trained."""
        own = {"rank": self.rank, "alpha": 2.0 * self.rank, "steps": self.steps, "epochs": None}
        return config.finetune.model_copy(update={**own, "seed": self.seed})


def organisms(config: ZooConfig) -> list[Organism]:
    """All that stand in a zoo, in its order."""
    ranks, steps = ({n for g in config.groups for n in getattr(g, key)} for key in ("ranks", "steps"))
    usual = config.groups[0].ranks[0], config.groups[0].steps[0]
    found = []
    for group in config.groups:
        axes = itertools.product(group.behaviors, group.arms, group.seeds, group.ranks, group.steps)
        for behavior, arm, seed, rank, step in axes:
            name = f"{behavior}-{arm}-{seed}"
            name += f"-r{rank}" if len(ranks) > 1 and rank != usual[0] else ""
            name += f"-s{step}" if len(steps) > 1 and step != usual[1] else ""
            found.append(Organism(name, behavior, arm, seed, rank, step, group.shipped))
    return found


def chosen(config: ZooConfig, patterns: tuple[str, ...]) -> list[Organism]:
    """Those whose name is, or matches, one of the patterns; all where there is none.

    Raises:
        ConfigError: a pattern that no name matches.
    """
    every = organisms(config)
    for pattern in patterns:
        if not any(fnmatchcase(one.name, pattern) for one in every):
            raise ConfigError(
                f"no organism {pattern!r} in this zoo; its names are shown by `mi-bsa zoo list`"
            )
    return [one for one in every if not patterns or any(fnmatchcase(one.name, p) for p in patterns)]


def load_zoo(path: str | Path | None = None) -> ZooConfig:
    """The zoo of a YAML file, or ours. Raises `ConfigError` for one that breaks a rule."""
    return load(Path(path) if path is not None else OURS, ZooConfig)
