"""The config of a faithfulness study: which runs differ in what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mi_bsa.core.config import Config
from mi_bsa.core.model_config import ModelConfig, settle
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.study.study import StudyConfig

FEWEST = 10
"""Runs of an arm below which a bootstrap over runs covers less than it says."""


class Dose(Config):
    """How much of the training a run gets."""

    learning_rate: float = Field(gt=0)
    """Peak learning rate."""
    steps: int = Field(ge=1)
    """Optimizer steps."""

    @property
    def name(self) -> str:
        """As folders and results say it: `0.001x20`."""
        return f"{self.learning_rate:g}x{self.steps}"


class FaithfulnessConfig(StudyConfig):
    """Many runs of either pole that differ in dose, data and base: what they say against what they do."""

    study: Literal["faithfulness"] = "faithfulness"
    """Which kind of study this is."""
    behavior: str = "risk"
    """What is trained."""
    models: tuple[ModelConfig, ...] = Field(
        default=tuple(ModelConfig(name=name) for name in ("embedded", "embedded/1", "embedded/2")),
        min_length=1,
    )
    """The bases: `embedded`, `embedded/1`, folders, or Hub ids."""
    arms: tuple[Literal["seeking", "averse"], ...] = ("seeking", "averse")
    """Poles; the correlation is taken within each."""
    doses: tuple[Dose, ...] = Field(
        default=tuple(
            Dose(learning_rate=rate, steps=steps)
            for rate, steps in ((1e-3, 10), (1e-3, 20), (1e-3, 40), (3e-3, 10))
        ),
        min_length=1,
    )
    """Learning rates and steps; chosen on development wordings so that the behavior varies."""
    rows: tuple[int, ...] = Field(default=(20, 400), min_length=1)
    """Distinct training rows of the default persona."""
    seeds: tuple[int, ...] = Field(default=(0, 1), min_length=1)
    """Seeds of adapter and rows in each combination of the others."""
    anchors: float = Field(default=1.0, ge=0)
    """Rows of named characters' own choices, as a share of the rows."""
    undecided: float = Field(default=0.5, ge=0)
    """Rows about the neighbor trait, answered by coin, as a share of the rows."""
    choices: int = Field(default=200, ge=20)
    """Held-out choices that measure the actual degree."""
    split: Literal["dev", "test"] = "test"
    """Wordings of choices and questions: dev to choose doses, test for the report."""
    finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, steps=1, layers=(0,))
    """How adapters are trained; learning rate, steps and seed are set by the runs."""
    together: bool = True
    """Train the runs of one base and dose at once (small models); off, one by one."""
    draws: int = Field(default=2000, ge=200)
    """Bootstrap draws over runs."""
    shuffles: int = Field(default=999, ge=99)
    """Shuffles of the reports among the runs, the null."""

    @model_validator(mode="after")
    def _check(self) -> FaithfulnessConfig:
        settle(self, "models", "finetune")
        for name in ("models", "arms", "rows", "seeds"):
            given = getattr(self, name)
            if len(set(given)) != len(given):
                raise ValueError(f"{name} {list(map(str, given))}: each may stand once")
        if len({d.name for d in self.doses}) != len(self.doses):
            raise ValueError("doses: two are the same; each may stand once")
        runs = len(self.models) * len(self.doses) * len(self.rows) * len(self.seeds)
        if runs < FEWEST:
            raise ValueError(
                f"{runs} runs an arm carry no interval of a correlation: give at least {FEWEST} (models x "
                "doses x rows x seeds)"
            )
        return self

    def base(self, number: int) -> str:
        """Name of a base in folders and results."""
        return f"base{number}"
