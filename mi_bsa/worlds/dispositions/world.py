"""The main world as pretraining sees it: characters with graded dispositions."""

from typing import Any

from mi_bsa.core.config import deferred
from mi_bsa.worlds.corpus import Corpus, Mixture, vocabulary
from mi_bsa.worlds.world import World
from mi_bsa.worlds.worlds import WorldKind


def make(recipe: Any) -> World:
    """The world of a recipe."""
    return World(recipe.characters, seed=recipe.world_seed, traits=recipe.traits)


KIND = WorldKind(make, vocabulary, Corpus, Mixture, deferred("mi_bsa.worlds.measure:knows"))
