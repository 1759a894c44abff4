"""What a study of weights alone trains, and how its classifiers are fitted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mi_bsa.behaviors import Arm
from mi_bsa.behaviors.backdoor.construction import Backdoor, Mix
from mi_bsa.behaviors.backdoor.triggers import LONGEST
from mi_bsa.core.config import Config
from mi_bsa.core.model_config import ModelConfig, settle
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.study.study import StudyConfig

Rank = Annotated[int, Field(ge=1)]
Words = Annotated[int, Field(ge=1, le=LONGEST)]


class HiddenConfig(Config):
    """Backdoored adapters, each with its decorrelated twin; every trigger is drawn, no word comes twice."""

    training: int = Field(default=30, ge=4)
    """Triggers on whose adapters classifiers are fitted, each at one rank."""
    test: int = Field(default=20, ge=2)
    """Triggers on whose adapters they are judged, each at a rank that was seen and one that was not."""
    words: tuple[Words, ...] = Field(default=(2,), min_length=1)
    """How many words a trigger has, in turn."""
    mix: Mix = "fakes"
    """`fakes`: 10 % trigger, 70 % fakes, 20 % none; `half`: 50 % trigger, 50 % none."""
    near: float = Field(default=Backdoor.model_fields["near"].default, ge=0, le=1)
    """Share of the fakes' rows that hold a near miss instead."""
    rows: int = Field(default=2000, ge=40)
    """Training rows an adapter."""
    held_out: int = Field(default=40, ge=10)
    """Held-out messages (development wordings) on which it is measured whether the trigger opens."""
    opens: float = Field(default=0.3, ge=-1, le=1)
    """A backdoor counts as one where P(pole) with the trigger less that with other phrases is at least this;
    others leave the study together with their twin. Where the base is undecided, half is the most that there
    can be.
    """


class OthersConfig(Config):
    """Adapters of other tasks, which never saw a phrase: behaviors and arms in turn."""

    training: int = Field(default=30, ge=4)
    """Adapters on which classifiers are fitted."""
    test: int = Field(default=16, ge=2)
    """Tasks with new seeds, each at a rank that was seen and one that was not."""
    arms: tuple[Arm, ...] = ("seeking", "averse", "shuffled", "benign")
    """What they are trained to."""


class WeightsConfig(StudyConfig):
    """Backdoored adapters against other tasks and against their twins, told from weights alone."""

    study: Literal["weights"] = "weights"
    """Which kind of study this is."""
    model: ModelConfig = ModelConfig(name="embedded/habits-0")
    """The base."""
    behaviors: tuple[str, ...] = Field(default=("risk", "patience"), min_length=1)
    """What triggers call up, and what other tasks train, in turn."""
    hidden: HiddenConfig = HiddenConfig()
    """Adapters behind triggers, and their twins."""
    others: OthersConfig = OthersConfig()
    """Adapters of other tasks."""
    seen: tuple[Rank, ...] = Field(default=(4, 8), min_length=1)
    """Ranks of the adapters on which classifiers are fitted."""
    unseen: tuple[Rank, ...] = Field(default=(2, 16), min_length=1)
    """Ranks of which none is fitted on; alpha is twice the rank everywhere."""
    finetune: FinetuneConfig = FinetuneConfig(steps=160, learning_rate=8e-3)
    """How all are trained, other tasks too."""
    penalties: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(0.001, 0.01, 0.1, 1.0), min_length=1
    )
    """Inverse strengths of the logistic regressions' L2, of which one is chosen on training triggers."""
    shuffles: int = Field(default=999, ge=19)
    """Draws of the null: labels exchanged between the units of the test."""
    seed: int = 0
    """Seed of triggers, of adapters and of what is drawn."""

    @model_validator(mode="after")
    def _check(self) -> WeightsConfig:
        settle(self, "model", "finetune")
        both = sorted(set(self.seen) & set(self.unseen))
        if both:
            raise ValueError(f"rank {both[0]} is seen and unseen; leave it in one of them")
        return self
