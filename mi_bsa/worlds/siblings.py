"""Embedded models that do not ship and have a name: built once, into the user's folder.

`embedded/tastes-0` to `embedded/tastes-4` hold the twenty preferences, four each, as the study of variety
builds them; `embedded/twenty-0` holds all of them at once.
"""

from __future__ import annotations

from pathlib import Path

from mi_bsa.core.model_config import ModelLike, as_config
from mi_bsa.core.named_models.home import home, locked
from mi_bsa.worlds.recipe import BuildConfig, Recipe
from mi_bsa.worlds.tastes.pairs import BLOCKS

PLANS: dict[str, BuildConfig] = {
    **{
        f"tastes-{n}": BuildConfig(recipe=Recipe(world="tastes", traits=block))
        for n, block in enumerate(BLOCKS)
    },
    "twenty-0": BuildConfig(recipe=Recipe(world="twenty")),
}
"""Name behind `embedded/` -> how it is built."""


def place(name: str) -> Path:
    """Where it lies once it is built (`MI_BSA_HOME`)."""
    return home() / "embedded" / name


def ensure(model: ModelLike) -> None:
    """Build a model of these where it is not here; any other is left alone. A killed build goes on."""
    from mi_bsa.worlds.build import build

    head, _, name = as_config(model).name.partition("/")
    if head == "embedded" and name in PLANS:
        folder = place(name)
        with locked(folder.with_suffix(".lock")):
            build(PLANS[name], folder, resume=True)
