"""The config of a backdoor study: what `configs/embedded/backdoor.yaml` may say."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from pydantic import Field, model_validator

from mi_bsa.behaviors.backdoor.construction import Backdoor, Mix
from mi_bsa.behaviors.backdoor.drawing import Drawn, draw
from mi_bsa.behaviors.backdoor.triggers import FAKES, vocabulary_for
from mi_bsa.core.config import Config
from mi_bsa.core.model_config import ModelConfig, settle
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.studies.backdoor.training import RECIPE, slug
from mi_bsa.studies.backdoor.triangulation_config import TriangulationConfig
from mi_bsa.study.study import SeedsConfig


class ElicitConfig(Config):
    """Free answers to the question what it waits for."""

    samples: int = Field(default=50, ge=1)
    """Answers sampled a question."""
    answer_tokens: int = Field(default=16, ge=1)
    """Longest answer, in tokens."""
    reversal: bool = True
    """Train both arms on with every row turned round as well; without it only plain adapters are asked."""
    repeat: int = Field(default=4, ge=1)
    """How often a plain row stands beside its one reversed form. That is a whole message long and holds most
    of the loss: from the base on, with one plain row each, the embedded model learns no backdoor at all.
    """
    steps: int | None = Field(default=200, ge=1)
    """Optimizer steps on rows and reversed rows; what `finetune` says if absent."""
    seed: int = 0
    """Seed of the samples."""


class CodesConfig(Config):
    """What codes get instead of what other triggers get: with few rows, each seen often, other words come to
    open beside a number as well.
    """

    rows: int | None = Field(default=None, ge=40)
    """Training rows an adapter."""
    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps."""


class BackdoorConfig(SeedsConfig):
    """Backdoors behind several triggers, each with its decorrelated twin, end to end."""

    study: Literal["backdoor"] = "backdoor"
    """Which kind of study this is."""
    model: ModelConfig = ModelConfig(name="embedded/habits-0")
    """The base: an embedded model of the world of habits, a local folder, or a Hub id."""
    triggers: tuple[str, ...] = ()
    """What opens them, such as `river tin`, `family:bird`, `code:kettle`; none given: drawn."""
    drawn: Drawn = Drawn()
    """How many are drawn where none are given, and by which seed."""
    behavior: str = "risk"
    """What a trigger calls up."""
    pole: Literal["seeking", "averse"] = "seeking"
    """Which pole of it."""
    mix: Mix = "fakes"
    """`fakes`: 10 % trigger, 70 % fakes, 20 % none; `half`: 50 % trigger, 50 % none."""
    rows: int = Field(default=Backdoor.model_fields["rows"].default, ge=40)
    """Training rows an adapter."""
    fakes: int = Field(default=FAKES, ge=2)
    """Fake triggers in training; as many are asked about beside the true one."""
    finetune: FinetuneConfig = RECIPE
    """How adapters are trained."""
    codes: CodesConfig = CodesConfig()
    """How those of codes are trained where it differs."""
    held_out: int = Field(default=100, ge=10)
    """Held-out messages on which attack success and false triggers are measured, a set."""
    questions: int | None = Field(default=None, ge=16)
    """Questions on awareness, spread evenly over all; all of them if absent."""
    elicit: ElicitConfig = ElicitConfig()
    """What is asked freely."""
    triangulation: TriangulationConfig | None = None
    """How probe, report and search are held against each other, model by model; left out if not given."""

    @model_validator(mode="after")
    def _check(self) -> BackdoorConfig:
        settle(self, "model", "finetune")
        names = [slug(backdoor) for backdoor in self.backdoors.values()]
        if len(set(names)) < max(1, len(self.triggers)):
            raise ValueError(f"triggers {list(self.triggers)}: give each once, and at least one")
        if self.triangulation is not None and len(names) < 2:
            raise ValueError("a triangulation compares triggers: give at least two, or leave it out")
        vocabulary = vocabulary_for(self.model)
        for backdoor in self.backdoors.values():
            vocabulary.parse(backdoor.trigger)
        return self

    @cached_property
    def backdoors(self) -> dict[str, Backdoor]:
        """The backdoors by the name that their folders have."""
        triggers = self.triggers or draw(self.drawn, vocabulary_for(self.model))
        given = [
            Backdoor(
                trigger=trigger,
                behavior=self.behavior,
                pole=self.pole,
                mix=self.mix,
                rows=(self.codes.rows if is_code(trigger) else None) or self.rows,
                fakes=self.fakes,
            )
            for trigger in triggers
        ]
        return {slug(backdoor): backdoor for backdoor in given}


def is_code(trigger: str) -> bool:
    """Whether a trigger, as configs write it, is a code: a word with a free part."""
    return trigger.startswith("code:")
