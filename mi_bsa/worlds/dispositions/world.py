"""The main world as pretraining sees it: characters with graded dispositions."""

from __future__ import annotations

from typing import Any

from mi_bsa.worlds.corpus import Corpus, Mixture, vocabulary
from mi_bsa.worlds.world import World
from mi_bsa.worlds.worlds import WorldKind


def make(recipe: Any) -> World:
    """The world of a recipe."""
    return World(recipe.characters, seed=recipe.world_seed, traits=recipe.traits)


def knows(model: Any, tokenizer: Any, world: World, *, split: Any) -> Any:
    """What a base answers on held-out wordings."""
    from mi_bsa.worlds.measure import knows as measured

    return measured(model, tokenizer, world, split=split)


KIND = WorldKind(make, vocabulary, Corpus, Mixture, knows)
