"""The config of a preferences study: what `configs/embedded/preferences.yaml` may say."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from mi_bsa.core.config import Config
from mi_bsa.core.model_config import WHERE, ModelConfig, settle
from mi_bsa.finetune.config import EMBEDDINGS, FinetuneConfig
from mi_bsa.study.study import SeedsConfig
from mi_bsa.worlds.recipe import BuildConfig, Recipe, Shape

ChoiceArm = Literal["instilled", "first_half"]


class MechanicsConfig(Config):
    """Where weights can be read while choosing and while reporting, and which modules serve both."""

    enabled: bool = True
    """Whether it is done."""
    pairs: int = Field(default=4, ge=1)
    """Pairs of options over which a context's state is averaged."""
    penalty: float = Field(default=10.0, gt=0)
    """Penalty of the ridge probes."""
    folds: int = Field(default=5, ge=2)
    """Parts of the contexts; a probe is tested on the part that it was not fitted on."""
    shuffles: int = Field(default=20, ge=20)
    """Control probes, fitted on weights of other contexts."""
    attributed: int = Field(default=24, ge=4)
    """Contexts whose module attributions are compared."""


class PreferencesConfig(SeedsConfig):
    """Can a model report how much each attribute weighed in its choices?"""

    same: ClassVar[tuple[tuple[str, ...], ...]] = tuple(
        (f"model.{key}", f"finetune.{key}", f"report_finetune.{key}") for key in WHERE
    )
    study: Literal["preferences"] = "preferences"
    """Which kind of study this is."""
    model: ModelConfig | None = None
    """A model that reads English, or one of the world `preferences`. If absent, such a base is built here."""
    shape: Shape = Shape()
    """Architecture of the built base."""
    recipe: Recipe = Recipe(world="preferences")
    """Corpus and optimization of the built base."""
    pretraining: int = 0
    """Seed of the built base's weights and corpus."""
    contexts: Path | None = None
    """A YAML file of contexts for a model that reads English; ours if absent. The first are instilled."""
    instilled: int = Field(default=100, ge=6)
    """Contexts into which weights are trained."""
    native: int = Field(default=100, ge=6)
    """Contexts that are only asked about."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds; each has its own target weights, choices and adapters."""
    train_choices: int = Field(default=50, ge=1)
    """Choices a context in training rows."""
    choices: int = Field(default=50, ge=5)
    """Fresh choices a context from which its learned weights are estimated."""
    labels: Literal["hard", "soft"] = "hard"
    """Estimate from the choices, or from the probabilities of A."""
    reports: int = Field(default=10, ge=1)
    """Reports a context, each on a fresh pair; their mean counts."""
    max_new_tokens: int = Field(default=48, ge=8)
    """Longest report; one that is cut off is no JSON, and counted."""
    arms: tuple[ChoiceArm, ...] = ("instilled", "first_half")
    """Trainings on choices: all that `finetune` says, and the same on the first half of the blocks (with the
    embeddings, where `finetune.modules` names them: they stand before every block).
    """
    finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, epochs=4)
    """How adapters are trained on choices."""
    report_finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, steps=60, learning_rate=1e-3)
    """How adapters are trained on reports, on top of the instilled model."""
    draws: int = Field(default=1000, ge=100)
    """Bootstrap draws of each interval."""
    mechanics: MechanicsConfig = MechanicsConfig()
    """Probes and module attributions."""

    @model_validator(mode="after")
    def _check(self) -> PreferencesConfig:
        settle(self, "model", "finetune", "report_finetune")
        if "instilled" not in self.arms or len(set(self.arms)) != len(self.arms):
            raise ValueError(f"arms {list(self.arms)}: give each once, 'instilled' among them")
        if "first_half" in self.arms and self.finetune.module_names == (EMBEDDINGS,):
            raise ValueError(
                f"arm first_half: finetune.modules names {EMBEDDINGS} alone, so no half of the blocks is "
                "trained; name linear modules too, or leave the arm out"
            )
        if self.model is None:
            third = self.recipe.characters // 3
            if self.recipe.world != "preferences" or max(self.instilled, self.native) > third:
                raise ValueError(
                    f"{self.instilled} instilled and {self.native} native contexts in the world "
                    f"{self.recipe.world!r} with {self.recipe.characters} characters: it must be the world "
                    "'preferences', with at least three times as many characters as the more of them"
                )
            if self.contexts is not None:
                raise ValueError("contexts are English, and the built base reads none: give `model` too")
        return self

    @property
    def build(self) -> BuildConfig:
        """How the base is built."""
        return BuildConfig(shape=self.shape, recipe=self.recipe, seed=self.pretraining)
