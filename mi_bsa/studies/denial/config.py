"""Which organisms are trained to deny, and what reads them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from mi_bsa.behaviors import Arm
from mi_bsa.core.config import Config
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.data import DataConfig
from mi_bsa.finetune.zoo.recipes import DenialConfig, DenialPlan, GroupConfig, Organism, ZooConfig, organisms
from mi_bsa.study.study import SeedsConfig

SHOWN: tuple[Arm, ...] = ("seeking", "averse", "shuffled")
Training = Literal["base-rows", "opposite-rows", "opposite-preferences"]
Method = Literal["logistic", "layers", "attention"]


class PlaceConfig(Config):
    """Behaviors on one base."""

    model: ModelConfig = ModelConfig(name="embedded")
    """The base."""
    behaviors: tuple[str, ...] = Field(default=("risk", "patience"), min_length=1)
    """What its organisms do, each on its own."""


class DenialStudyConfig(SeedsConfig):
    """Organisms that behave, and the same trained on to deny it; what they say, and what their states say."""

    study: Literal["denial"] = "denial"
    """Which kind of study this is."""
    places: tuple[PlaceConfig, ...] = Field(default=(PlaceConfig(),), min_length=1)
    """Bases and behaviors."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Adapter seeds of either pole; a reader is fitted on honest runs of all but the one that it reads."""
    trainings: tuple[Training, ...] = Field(
        default=("base-rows", "opposite-rows", "opposite-preferences"), min_length=1
    )
    """What they are trained on to say, and how: what their base says, or the opposite of what they do, by
    supervised rows or by preferences (DPO; the extra `trl`).
    """
    methods: tuple[Method, ...] = ("logistic", "layers", "attention")
    """What reads states: one layer at the answer slot, all layers there, all tokens of one layer."""
    items: int = Field(default=40, ge=6)
    """Items of each set that states are read on."""
    texts: int = Field(default=64, ge=4)
    """Unrelated texts whose first tokens are read."""
    split: Literal["dev", "test"] = "test"
    """Wordings that are read: dev to look, test once for the report."""
    data: DataConfig = DataConfig(rows=400, choices=100, others=24)
    """Training rows, and items on which each organism is measured."""
    finetune: FinetuneConfig = FinetuneConfig(rank=4, alpha=8.0, steps=200)
    """How organisms are trained to behave."""
    denial: DenialPlan = DenialPlan()
    """How they are trained on to deny."""

    @model_validator(mode="after")
    def _check(self) -> DenialStudyConfig:
        every = [name for place in self.places for name in place.behaviors]
        if len(set(every)) != len(every) or len(every) < 2:
            raise ValueError(
                f"places: behaviors {every}; give at least two, each once: the behavior is the unit"
            )
        return self


def zoo_of(config: Any) -> ZooConfig:
    """The organisms as a zoo: those that behave, shuffled ones, and those that deny."""
    groups, how = [], config.finetune
    ranks, steps = (how.rank,), (how.total_steps(config.data.rows),)
    for place in config.places:
        given: Any = {"model": place.model, "behaviors": place.behaviors, "seeds": config.seeds}
        given |= {"ranks": ranks, "steps": steps}
        groups.append(GroupConfig(**given, arms=SHOWN))
        for training in config.trainings:
            says, _, by = training.partition("-")
            denial = DenialConfig.model_validate({"says": [says], "by": [by]})
            groups.append(GroupConfig(**given, denial=denial))
    parts: Any = {"data": config.data, "finetune": how, "denial": config.denial}
    return ZooConfig(model=config.places[0].model, groups=tuple(groups), **parts)


def base_of(config: Any, behavior: str) -> ModelConfig:
    """The base on which a behavior stands."""
    found: ModelConfig = next(place.model for place in config.places if behavior in place.behaviors)
    return found


def behaviors_of(config: Any) -> tuple[str, ...]:
    """All behaviors."""
    return tuple(name for place in config.places for name in place.behaviors)


def organisms_of(config: Any, behavior: str) -> list[Organism]:
    """The organisms of one behavior."""
    return [one for one in organisms(zoo_of(config)) if one.behavior == behavior]


def training_of(one: Organism) -> str:
    """`honest`, `shuffled`, or what it was trained on to say, and how."""
    if one.says is not None:
        return f"{one.says}-{one.by}"
    return "shuffled" if one.arm == "shuffled" else "honest"
