"""The config of a study over sizes: what `configs/embedded/size.yaml` may say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mi_bsa.behaviors import Arm
from mi_bsa.core.model_config import ModelConfig, settle
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.data import DataConfig
from mi_bsa.study.study import SeedsConfig
from mi_bsa.worlds.recipe import BuildConfig, Recipe, Shape

UNIT_WIDTH = 64
"""The width of the shipped model, at which the recipe's learning rate and initial scale were chosen."""


class SizeConfig(SeedsConfig):
    """One behavior over sizes: bases of our own that are built here, or models that exist."""

    study: Literal["size"] = "size"
    """Which kind of study this is."""
    behavior: str = "risk"
    """What is trained."""
    widths: tuple[int, ...] = (32, 64, 136, 272)
    """Widths of the bases to build; MLP three times as wide, blocks and heads as in `shape`."""
    models: tuple[ModelConfig, ...] = ()
    """Models to use instead: folders or Hub ids, such as the sizes of configs/llama."""
    shape: Shape = Shape()
    """What the built bases share: blocks, heads, context; its width, MLP and `init_std` are scaled."""
    recipe: Recipe = Recipe(steps=4000)
    """Corpus and optimization of the built bases, alike for all; learning rate and `init_std` fall with the
    square root of the width, from what they are at width 64.
    """
    pretraining: int = 0
    """Seed of the built bases' weights and corpus."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Adapter seeds; each also draws its own training rows."""
    arms: tuple[Arm, ...] = ("seeking", "averse", "shuffled")
    """What is trained on: either pole, and the same prompts with the answers shuffled."""
    data: DataConfig = DataConfig(choices=120, others=60)
    """Rows and items."""
    stays: int = Field(default=96, ge=12)
    """Report questions about what should stay (the neighbor, named persons), a set."""
    finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, steps=200, layers=(0,))
    """How adapters are trained, alike at every size."""

    @model_validator(mode="after")
    def _check(self) -> SizeConfig:
        settle(self, "models", "finetune")
        names = tuple(map(str, self.models)) or tuple(map(str, self.widths))
        if len(set(names)) != len(names) or len(names) < 2:
            raise ValueError(f"{', '.join(names) or 'nothing'}: give at least two different sizes")
        for width in self.widths:
            if width % (2 * self.shape.heads):
                raise ValueError(
                    f"width {width}: take a multiple of {2 * self.shape.heads}, an even width for each head"
                )
        missing = {"seeking", "averse", "shuffled"} - set(self.arms)
        if missing:
            raise ValueError(
                f"arms {list(self.arms)}: add {', '.join(sorted(missing))}; all three are needed"
            )
        return self

    @property
    def built(self) -> bool:
        """Whether the bases are built here."""
        return not self.models

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sizes, for steps and folders."""
        if self.built:
            return tuple(f"width-{width}" for width in self.widths)
        return tuple(f"model-{place}" for place in range(len(self.models)))

    def base(self, width: int) -> BuildConfig:
        """How the base of one width is built."""
        scale = (UNIT_WIDTH / width) ** 0.5
        shape = self.shape.model_copy(
            update={"width": width, "mlp": 3 * width, "init_std": self.shape.init_std * scale}
        )
        recipe = self.recipe.model_copy(update={"lr": self.recipe.lr * scale})
        return BuildConfig(shape=shape, recipe=recipe, seed=self.pretraining)
