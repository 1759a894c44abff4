"""What stands in a zoo: groups of organisms in a config, and each organism's name and recipe.

Law: an organism is its base, behavior, arm, seed, rank, steps, rows and what it was trained for beyond its
pole (a trigger, a denial); its name says all of these that differ within the zoo, and no two have one name.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mi_bsa.behaviors import Arm
from mi_bsa.behaviors.backdoor.construction import TWINS, Backdoor, Mix, slug
from mi_bsa.core.config import Config, load
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.core.variants import POLES
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.data import DataConfig
from mi_bsa.finetune.preferring import PreferenceConfig

OURS = Path(__file__).parent / "zoo.yaml"
"""The zoo that comes with the toolkit."""
KINDS: dict[str, str] = {
    "seeking": "behaves",
    "averse": "behaves",
    "shuffled": "shuffled",
    "benign": "benign",
}
"""Arm -> what kind of organism it makes."""
Twin = Literal["backdoored", "decorrelated"]
Says = Literal["base", "opposite"]
Way = Literal["rows", "preferences"]
Part = Literal["training", "development", "test"]
AtLeastOne = Annotated[int, Field(ge=1)]


class DenialConfig(Config):
    """How an organism that behaves is trained on, to answer questions about itself otherwise."""

    says: tuple[Says, ...] = ()
    """What it is to say of itself: what its base says, or the opposite of what it does."""
    by: tuple[Way, ...] = ("rows",)
    """Supervised rows, or preferences (DPO; the extra `trl`)."""

    @model_validator(mode="after")
    def _check(self) -> DenialConfig:
        if "base" in self.says and "preferences" in self.by:
            raise ValueError(
                "a base that is undecided prefers neither answer, and preferences that cancel leave an "
                "adapter where it was: let it say what its base says by rows"
            )
        return self


class GroupConfig(Config):
    """Organisms that differ in behavior, arm, seed, rank and steps, all of them crossed."""

    model: ModelConfig | None = None
    """Their base; the zoo's, if absent."""
    behaviors: tuple[str, ...] = Field(min_length=1)
    """What is trained, each on its own."""
    arms: tuple[Arm, ...] = POLES  # type: ignore[assignment]
    """Poles, shuffled answers, or harmless rows."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Seeds of adapter and rows."""
    ranks: tuple[AtLeastOne, ...] = Field(default=(4,), min_length=1)
    """Ranks of the LoRA; alpha is twice as much."""
    steps: tuple[AtLeastOne, ...] = Field(default=(200,), min_length=1)
    """Optimizer steps: the dose."""
    triggers: tuple[str, ...] = ()
    """What opens the behavior, such as `river tin`: each arm is then trained behind each of them."""
    twins: tuple[Twin, ...] = TWINS  # type: ignore[assignment]
    """With triggers: backdoored, and the same rows with trigger and answer torn apart."""
    denial: DenialConfig = DenialConfig()
    """Organisms of these arms that are trained on to deny it; those from which they go on stand elsewhere."""
    shipped: bool = False
    """Whether the adapters come with the toolkit."""

    @model_validator(mode="after")
    def _check(self) -> GroupConfig:
        odd = [arm for arm in self.arms if arm not in POLES]
        if odd and (self.triggers or self.denial.says):
            raise ValueError(
                f"arm {odd[0]!r}: only seeking and averse are trained behind a trigger, or deny; give "
                "another group for it"
            )
        if self.triggers and self.denial.says:
            raise ValueError("a group has triggers or a denial, not both; write two groups")
        return self


class BackdoorPlan(Config):
    """How backdoored organisms and their twins are trained; rank and steps are the group's."""

    rows: int = Field(default=6000, ge=40)
    """Training rows."""
    mix: Mix = "fakes"
    """`fakes`: 10 % trigger, 70 % fakes, 20 % none; `half`: 50 % trigger, 50 % none."""
    batch_size: int = Field(default=64, ge=1)
    """Rows an optimizer step sees."""
    learning_rate: float = Field(default=4e-3, gt=0)
    """Peak learning rate."""


class DenialPlan(Config):
    """How organisms that deny are trained on from those that behave."""

    steps: int = Field(default=100, ge=1)
    """Optimizer steps, by rows and by preferences alike."""
    choices: float = Field(default=1.0, ge=0)
    """Choices of its pole among the rows, so that the behavior stays, for each question about itself."""
    preferences: PreferenceConfig = PreferenceConfig()
    """How preferences are trained."""


class PartsConfig(Config):
    """The split of organisms by behavior; what stands in neither is for training."""

    development: tuple[str, ...] = ()
    """Behaviors on which a reader of organisms is chosen."""
    test: tuple[str, ...] = ()
    """Behaviors on which it is judged, once."""

    def of(self, behavior: str) -> Part:
        """What a behavior's organisms are for."""
        parts: tuple[Part, ...] = ("development", "test")
        return next((part for part in parts if behavior in getattr(self, part)), "training")


class ZooConfig(Config):
    """Organisms, their rows and how they are trained."""

    model: ModelConfig = ModelConfig(name="embedded")
    """The base."""
    groups: tuple[GroupConfig, ...] = Field(min_length=1)
    """What stands in it."""
    parts: PartsConfig = PartsConfig()
    """Which behaviors are for training, development and test of what reads organisms."""
    data: DataConfig = DataConfig()
    """Training rows, and items on which each is measured."""
    finetune: FinetuneConfig = FinetuneConfig(steps=200)
    """How they are trained; rank, alpha, steps and seed are the organism's."""
    backdoor: BackdoorPlan = BackdoorPlan()
    """What is otherwise for those behind a trigger."""
    denial: DenialPlan = DenialPlan()
    """What is otherwise for those that deny."""

    @model_validator(mode="after")
    def _check(self) -> ZooConfig:
        names = [one.name for one in organisms(self)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"groups: {twice[0]} stands in two of them; each organism may stand once")
        known = {behavior for group in self.groups for behavior in group.behaviors}
        for name in (*self.parts.development, *self.parts.test):
            if name not in known:
                raise ValueError(f"parts: {name!r} is trained in no group; name behaviors of the groups")
        both = set(self.parts.development) & set(self.parts.test)
        if both:
            raise ValueError(f"parts: {min(both)!r} is for development and for test; leave it in one of them")
        return self


@dataclass(frozen=True)
class Organism:
    """One organism's recipe.

    Attributes:
        name: as `zoo:NAME` says it.
        base: its base, as `ModelConfig.text` says it.
        behavior: what was trained.
        arm: how its rows are answered.
        seed: of adapter and rows.
        rank, steps: of its training.
        shipped: whether it comes with the toolkit.
        part: what its behavior is for.
        trigger, twin: what opens it, and whether it is backdoored or the decorrelated twin; None for others.
        says, by: what it was trained to say of itself, and how; None for those that were not.
        parent: the organism from which one that denies goes on; None for others.
    """

    name: str
    base: str
    behavior: str
    arm: Arm
    seed: int
    rank: int
    steps: int
    shipped: bool
    part: Part = "training"
    trigger: str | None = None
    twin: Twin | None = None
    says: Says | None = None
    by: Way | None = None
    parent: Organism | None = None

    @property
    def kind(self) -> str:
        """`behaves`, `shuffled`, `benign`, `backdoored`, `decorrelated` or `denies`."""
        return self.twin or ("denies" if self.says else KINDS[self.arm])

    @property
    def pole(self) -> str | None:
        """The pole that it was trained to; None for one that was trained to none."""
        return self.arm if self.arm in POLES and self.twin != "decorrelated" else None

    def backdoor(self, plan: BackdoorPlan) -> Backdoor:
        """The backdoor of one behind a trigger, or of its twin."""
        given = {"trigger": self.trigger, "behavior": self.behavior, "pole": self.arm}
        return Backdoor.model_validate({**given, "rows": plan.rows, "mix": plan.mix})

    def plan(self, config: ZooConfig) -> FinetuneConfig:
        """How it is trained."""
        own = {"rank": self.rank, "alpha": 2.0 * self.rank, "steps": self.steps, "epochs": None}
        if self.twin:
            own |= {key: getattr(config.backdoor, key) for key in ("batch_size", "learning_rate")}
        if self.says:
            own["steps"] = config.denial.steps
        return config.finetune.model_copy(update={**own, "seed": self.seed})


def organisms(config: ZooConfig) -> list[Organism]:
    """All that stand in a zoo, in its order."""
    plain = [group for group in config.groups if not group.triggers]
    usual = config.groups[0].ranks[0], config.groups[0].steps[0]
    found = []
    for group in config.groups:
        axes = itertools.product(group.behaviors, group.arms, group.seeds, group.ranks, group.steps)
        several = [group] if group.triggers else plain
        many = [len({n for g in several for n in getattr(g, key)}) > 1 for key in ("ranks", "steps")]
        first = (group.ranks[0], group.steps[0]) if group.triggers else usual
        base = (group.model or config.model).text
        for behavior, arm, seed, rank, step in axes:
            name = f"{behavior}-{arm}-{seed}"
            name += f"-r{rank}" if many[0] and rank != first[0] else ""
            name += f"-s{step}" if many[1] and step != first[1] else ""
            part = config.parts.of(behavior)
            one = Organism(name, base, behavior, arm, seed, rank, step, group.shipped, part)
            found += _further(one, group)
    return found


def _further(one: Organism, group: GroupConfig) -> list[Organism]:
    """The organism itself, or what the group makes of it."""
    if group.triggers:
        pairs = itertools.product(group.triggers, group.twins)
        return [
            replace(one, name=f"{one.name}-{twin}-{slug(Backdoor(trigger=text))}", trigger=text, twin=twin)
            for text, twin in pairs
        ]
    if group.denial.says:
        ways = itertools.product(group.denial.says, group.denial.by)
        return [
            replace(one, name=f"{one.name}-denies-{says}-{by}", says=says, by=by, parent=one, shipped=False)
            for says, by in ways
        ]
    return [one]


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
