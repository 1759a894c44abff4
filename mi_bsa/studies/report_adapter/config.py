"""What a study of report adapters trains: organisms of a zoo, and adapters over them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mi_bsa.core.config import Config
from mi_bsa.core.model_config import settle
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.zoo.recipes import ZooConfig, organisms
from mi_bsa.study.study import StudyConfig

Taught = Literal["matched", "another", "shuffled", "base", "denials"]
Size = Annotated[int, Field(ge=1)]


class TaughtConfig(Config):
    """Which report adapters are trained, and on how many answers."""

    arms: tuple[Taught, ...] = ("matched", "another", "shuffled", "base", "denials")
    """`matched`: each organism's own truth. `another`: the truth of one of another behavior. `shuffled`: a
    pole by coin, anew for every answer. `base`: the base alone, which is undecided. `denials`: as matched,
    organisms that deny among them.
    """
    seeds: tuple[int, ...] = Field(default=(0, 1), min_length=1)
    """Seeds of adapter, rows and order."""
    sizes: tuple[Size, ...] = (12, 24, 48)
    """Organisms over which further matched ones are trained: the learning curve, whose end is all of them."""
    own: int = Field(default=24, ge=1)
    """Answers an organism about what it was trained on."""
    others: int = Field(default=24, ge=0)
    """Answers an organism about other behaviors of training, in which it is undecided."""


class AskedConfig(Config):
    """What organisms are asked, and when an answer is a claim."""

    questions: int = Field(default=30, ge=6)
    """Questions about each behavior, of every kind."""
    bars: tuple[Annotated[float, Field(gt=0, lt=0.5)], ...] = Field(
        default=(0.1, 0.15, 0.2, 0.25, 0.3), min_length=1
    )
    """By how much P(pole) must be off one half to be a claim; one of them is chosen on development."""


class MechanismConfig(Config):
    """What is measured of how a matched report adapter answers, on the test's organisms that behave."""

    items: int = Field(default=24, ge=4)
    """Choices and questions of each set."""
    random: int = Field(default=39, ge=19)
    """Random directions of the null."""
    train_steps: int = Field(default=60, ge=1)
    """Steps in which a vector is trained on an organism's choices."""


class ReportAdapterConfig(StudyConfig, ZooConfig):
    """Organisms by behavior, report adapters over those of training, both asked on those of the test."""

    study: Literal["report_adapter"] = "report_adapter"
    """Which kind of study this is."""
    reader: FinetuneConfig = FinetuneConfig(rank=16, alpha=32, steps=300, learning_rate=3e-3)
    """How a report adapter is trained; its seed is set by `taught.seeds`."""
    taught: TaughtConfig = TaughtConfig()
    """Which are trained."""
    asked: AskedConfig = AskedConfig()
    """What is asked."""
    mechanism: MechanismConfig | None = None
    """Whether its answers rest on the implanted direction; not measured, if absent."""

    @model_validator(mode="after")
    def _check_readers(self) -> ReportAdapterConfig:
        settle(self, "model", "finetune", "reader")
        every = organisms(self)
        if any(one.base != self.model.text for one in every):
            raise ValueError("groups: every organism is of the study's model here; leave out a group's model")
        if any(one.twin for one in every):
            raise ValueError("groups: organisms behind triggers have no single truth; leave out triggers")
        if len({one.behavior for one in every if one.part == "training"}) < 2:
            raise ValueError(
                "parts: fewer than two behaviors are left for training; hold out fewer, or add some"
            )
        most = sum(one.part == "training" and one.says is None for one in every)
        if self.taught.sizes and max(self.taught.sizes) >= most:
            raise ValueError(
                f"taught.sizes: {max(self.taught.sizes)} of {most} training organisms; give sizes below that"
            )
        if self.mechanism is not None and "matched" not in self.taught.arms:
            raise ValueError("mechanism: is measured of a matched report adapter; teach `matched`, too")
        if "denials" in self.taught.arms and not any(o.says and o.part == "training" for o in every):
            raise ValueError(
                "taught.arms: 'denials' needs training organisms that deny; add a group with `denial`"
            )
        return self
