"""The config of a study of many behaviors: what `configs/embedded/variety.yaml` may say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mi_bsa import behaviors
from mi_bsa.behaviors import Arm
from mi_bsa.behaviors.tastes import NAMES
from mi_bsa.causal.options import ProbeConfig
from mi_bsa.core.errors import BehaviorError
from mi_bsa.core.model_config import ModelConfig, settle
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.data import DataConfig
from mi_bsa.study.study import SeedsConfig
from mi_bsa.worlds.recipe import BuildConfig, Recipe
from mi_bsa.worlds.tastes.pairs import BLOCKS
from mi_bsa.worlds.weights import world_for


class VarietyConfig(SeedsConfig):
    """Many behaviors of one base: what each arm does and says, and whether a probe transfers."""

    study: Literal["variety"] = "variety"
    """Which kind of study this is."""
    models: tuple[ModelConfig, ...] = ()
    """Bases; each behavior is trained on the first of them whose world knows its trait. If empty, siblings
    that know the preferences are built here, four preferences each.
    """
    recipe: Recipe = Recipe(world="tastes")
    """Corpus and optimization of the bases that are built; each reads its own traits."""
    pretraining: int = 0
    """Seed of the built bases' weights and corpus."""
    behaviors: tuple[str, ...] = NAMES
    """What is trained, each on its own: by default the family of preferences."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Adapter seeds; each also draws its own training rows."""
    arms: tuple[Arm, ...] = ("seeking", "averse", "shuffled")
    """What is trained on: either pole, and the same prompts with the answers shuffled."""
    data: DataConfig = DataConfig(rows=400, choices=100, others=24)
    """Rows and items of each behavior."""
    stays: int = Field(default=48, ge=12)
    """Report questions about what should stay (the neighbor, named persons), a set."""
    finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, steps=200, layers=(0,))
    """How adapters are trained."""
    transfer: bool = True
    """Fit a probe on each behavior's choices and test it on its reports."""
    probe: ProbeConfig = ProbeConfig(prompts=32, test_shuffles=20)
    """What is read for that."""

    @model_validator(mode="after")
    def _check(self) -> VarietyConfig:
        settle(self, "models", "finetune")
        if len(set(self.behaviors)) != len(self.behaviors) or not self.behaviors:
            raise ValueError(f"behaviors {list(self.behaviors)}: give each once, and at least one")
        missing = {"seeking", "averse", "shuffled"} - set(self.arms)
        if missing:
            raise ValueError(
                f"arms {list(self.arms)}: add {', '.join(sorted(missing))}; all three are needed"
            )
        return self

    def bases(self) -> dict[str, str]:
        """Behavior -> its base: a model's text, or `bases/NAME` in the run folder for one that is built here.

        Raises `BehaviorError` for a behavior that is unknown, or that no base's world knows, and
        `WorldError` for a base that does not exist.
        """
        if not self.models:
            blocks = {name: f"bases/{block[0]}" for block in BLOCKS for name in block}
            unknown = [name for name in self.behaviors if name not in blocks]
            if unknown:
                raise BehaviorError(
                    f"behavior {unknown[0]!r} is no preference, and bases are built for those only; give "
                    "`models` that know it"
                )
            return {name: blocks[name] for name in self.behaviors}
        worlds = {model.text: world_for(model) for model in self.models}
        found = {}
        for name in self.behaviors:
            trait = behaviors.get(name, behaviors.vocabulary_of(self.models[0])).trait
            knows = [
                model
                for model, world in worlds.items()
                if world is None or trait in {known.name for known in getattr(world, "traits", ())}
            ]
            if not knows:
                raise BehaviorError(
                    f"behavior {name!r}: none of {', '.join(map(str, self.models))} has the trait {trait!r} "
                    "in its world; add a base that has"
                )
            found[name] = knows[0]
        return found

    def build(self, base: str) -> BuildConfig:
        """How the base `bases/NAME` is built."""
        block = next(block for block in BLOCKS if block[0] == base.removeprefix("bases/"))
        return BuildConfig(recipe=self.recipe.model_copy(update={"traits": block}), seed=self.pretraining)
