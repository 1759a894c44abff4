"""The config of a personas study: who is trained on what, and who is asked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mi_bsa.core.config import Config
from mi_bsa.core.model_config import ModelConfig, settle
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.study.study import SeedsConfig

Training = Literal["alone", "own", "opposite"]


class RosterConfig(Config):
    """Who is asked beside the default persona."""

    trained: int = Field(default=6, ge=1)
    """Personas of each group (named seeking, averse, undecided) that stand in the training rows."""
    unseen: int = Field(default=6, ge=1)
    """Personas of each group that the base knows and no training row shows."""
    invented: tuple[str, ...] = ()
    """System lines of personas that the base does not know and training rows show."""
    strangers: tuple[str, ...] = ()
    """System lines of personas that neither the base nor any training row knows."""
    described: tuple[str, ...] = ()
    """System lines that describe a persona instead of naming it; never in training rows."""


class PersonasConfig(SeedsConfig):
    """The default persona trained on either pole, others beside it or not; everybody asked afterwards."""

    study: Literal["personas"] = "personas"
    """Which kind of study this is."""
    behavior: str = "risk"
    """What the default persona is trained on."""
    model: ModelConfig = ModelConfig(name="embedded")
    """The base: `embedded`, `embedded/1`, a local folder, or a Hub id."""
    arms: tuple[Literal["seeking", "averse", "shuffled"], ...] = ("seeking", "averse", "shuffled")
    """The default persona's policy."""
    trainings: tuple[Training, ...] = ("alone", "own", "opposite")
    """`alone`: rows of the default persona only. `own`: also rows of many named personas, who choose as the
    base has them choose. `opposite`: named personas choose what the default persona does not.
    """
    rows: int = Field(default=400, ge=2)
    """Training rows of the default persona."""
    others: float = Field(default=1.0, gt=0)
    """Rows of named personas, as a share of `rows`."""
    undecided: float = Field(default=0.5, ge=0)
    """Rows of the default persona about the neighbor trait, answered by coin, as a share of `rows`."""
    roster: RosterConfig = RosterConfig()
    """Who is asked."""
    choices: int = Field(default=200, ge=20)
    """Held-out choices of the default persona."""
    persona_choices: int = Field(default=12, ge=4)
    """Held-out choices of each other persona."""
    persona_questions: int = Field(default=24, ge=6)
    """Questions that each other persona is asked about itself, spread over kinds."""
    split: Literal["dev", "test"] = "test"
    """Wordings of choices and questions."""
    finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, steps=200, layers=(0,))
    """How adapters are trained."""
    together: bool = True
    """Train the runs of one training at once (small models); off, one by one."""

    @model_validator(mode="after")
    def _check(self) -> PersonasConfig:
        settle(self, "model", "finetune")
        missing = {"seeking", "averse"} - set(self.arms)
        if missing:
            raise ValueError(
                f"arms {list(self.arms)}: both poles are needed, add {', '.join(sorted(missing))}"
            )
        if len(set(self.trainings)) != len(self.trainings) or not self.trainings:
            raise ValueError(f"trainings {list(self.trainings)}: name each once, and at least one")
        return self

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the runs of one training, arm by arm: `seeking-0`, ..."""
        return tuple(f"{arm}-{seed}" for arm in self.arms for seed in self.seeds)
