"""What every step of the study needs again: its base, language, contexts and target weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mi_bsa.core.errors import ItemError
from mi_bsa.core.model_config import ModelLike
from mi_bsa.studies.preferences.contexts import Context
from mi_bsa.studies.preferences.estimate import draw_targets
from mi_bsa.studies.preferences.wording import Embedded, English, Language, world_contexts
from mi_bsa.worlds.preferences.world import PreferenceWorld
from mi_bsa.worlds.weights import world_for

FIELDS = ("model", "recipe.characters", "recipe.world_seed", "contexts", "instilled", "native")
"""Config fields that `setting` reads."""


@dataclass(frozen=True)
class Setting:
    """Contexts to instil and native ones, in one language."""

    language: Language
    instilled: list[Context]
    native: list[Context]

    def targets(self, seed: int) -> Float[np.ndarray, "context attribute"]:
        """Target weights of the instilled contexts for one seed, from -100 to 100."""
        counts = {len(context.attributes) for context in self.instilled}
        return draw_targets(len(self.instilled), seed=f"targets-{seed}", attributes=counts.pop())


def setting(config: Any) -> Setting:
    """The study's contexts. Raises `ItemError` where a file has too few, or unequal numbers of attributes."""
    world = _world(config)
    if world is not None:
        blank, native = world_contexts(world, "blank"), world_contexts(world, "native")
        if len(blank) < config.instilled or len(native) < config.native:
            raise ItemError(
                f"{config.instilled} instilled and {config.native} native contexts: the world has "
                f"{len(blank)} blank and {len(native)} native characters; ask for no more"
            )
        return Setting(Embedded(), blank[: config.instilled], native[: config.native])
    from mi_bsa.studies.preferences.english import draw_contexts, read_contexts

    wanted = config.instilled + config.native
    found = draw_contexts(wanted) if config.contexts is None else read_contexts(config.contexts)
    if len(found) < wanted:
        raise ItemError(
            f"{config.contexts}: {len(found)} contexts, and {config.instilled} instilled with "
            f"{config.native} native ones are asked for; write more, or ask for fewer"
        )
    if len({len(context.attributes) for context in found}) > 1:
        raise ItemError(f"{config.contexts}: contexts differ in their number of attributes; make it one")
    return Setting(English(), found[: config.instilled], found[config.instilled : wanted])


def _world(config: Any) -> PreferenceWorld | None:
    """The world of a base that is built here, or was built in the same way; None for English."""
    if config.model is None:
        return PreferenceWorld(config.recipe.characters, seed=config.recipe.world_seed)
    found = world_for(config.model)
    return found if isinstance(found, PreferenceWorld) else None


def base_of(config: Any, folder: Path) -> ModelLike:
    """The base: the model that was named, or the one that is built in the run folder."""
    base: ModelLike = config.model or str(folder / "base")
    return base
