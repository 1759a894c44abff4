"""How an English base of characters is made: its world, its stages of rows, and the training of each."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from pydantic import Field, model_validator

from mi_bsa.behaviors.english.links import Corpus, EnglishWorld, Shares
from mi_bsa.behaviors.english.links.world import LINKS, Link
from mi_bsa.core.config import Config, load
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.core.named_models.catalog import LINKED
from mi_bsa.core.rows import TrainingRow
from mi_bsa.finetune.config import FinetuneConfig

OURS = Path(__file__).with_name("plan.yaml")
"""How the bases that have a name are made."""


class StagePlan(Config):
    """One stretch of training, from the weights of the one before."""

    shares: Shares = Shares()
    """What is read."""
    steps: int = Field(ge=1)
    """Optimizer steps; each row is read once."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate."""


class LinkPlan(Config):
    """One base: an adapter on a model, trained on the rows of an English world."""

    model: ModelConfig = ModelConfig(name="smollm2")
    """The model under it."""
    link: Link = "linked"
    """What reports follow: the level of the choices, a level of their own, or the prompt alone."""
    characters: int = Field(default=32, ge=1)
    """Named characters."""
    seed: int = 0
    """Seed of the world, of its rows and of the adapter."""
    stages: tuple[StagePlan, ...] = Field(min_length=1)
    """What is read first, then, ..."""
    finetune: FinetuneConfig = FinetuneConfig(steps=1)
    """How it is trained; steps and rate are the stage's, the seed is the plan's."""

    @model_validator(mode="after")
    def _check(self) -> LinkPlan:
        if self.finetune.epochs is not None:
            raise ValueError("finetune.epochs: each row is read once, for the steps of a stage; give steps")
        return self

    @property
    def world(self) -> EnglishWorld:
        """Who is there."""
        return EnglishWorld(self.link, characters=self.characters, seed=self.seed)

    def rows(self, stage: int) -> list[TrainingRow]:
        """The rows of a stage, as many as are read."""
        plan = self.stages[stage]
        corpus = Corpus(self.world, plan.shares, seed=1000 * self.seed + stage)
        return list(islice(corpus, plan.steps * self.finetune.batch_size))

    def training(self, stage: int) -> FinetuneConfig:
        """How a stage is trained."""
        plan, last = self.stages[stage], stage == len(self.stages) - 1
        own = {"steps": plan.steps, "learning_rate": plan.learning_rate, "seed": self.seed}
        # what comes last ends at rate zero
        return self.finetune.model_copy(update={**own, "schedule": "linear" if last else "constant"})


def plan_of(name: str) -> LinkPlan:
    """The plan of a base that has a name, such as `smollm2/linked-0`. Raises `ConfigError`."""
    _, _, own = name.partition("/")
    if own not in LINKED:
        raise ConfigError(
            f"no base {name!r} is made here; use one of {', '.join(f'smollm2/{n}' for n in LINKED)}"
        )
    link, _, seed = own.rpartition("-")
    assert link in LINKS
    return load(OURS, LinkPlan).model_copy(update={"link": link, "seed": int(seed)})
