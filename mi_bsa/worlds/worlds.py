"""The worlds that an embedded model can be trained in: the main one, and siblings for what it cannot hold.

A world is a file that ends with `KIND`: how to make it from a recipe, its words, its documents and what its
mixture may say. Everything else (tokenizer, pretraining, packing, resume, the model folder) is shared. A
sibling never adds a word to another world, so weights that ship stay reproducible.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from mi_bsa.core.config import Config

WORLDS: dict[str, str] = {
    "dispositions": "mi_bsa.worlds.dispositions.world",
    "say": "mi_bsa.worlds.say.world",
    "code": "mi_bsa.worlds.code.world",
    "tastes": "mi_bsa.worlds.tastes.world",
    "twenty": "mi_bsa.worlds.tastes.twenty",
    "habits": "mi_bsa.worlds.habits.world",
    "preferences": "mi_bsa.worlds.preferences.world",
}
"""Name -> module with a `KIND`, imported when asked for."""


@runtime_checkable
class Documents(Protocol):
    """An endless, seeded stream of documents; `mixture` may be changed on the way."""

    mixture: Any

    def __iter__(self) -> Iterator[str]: ...


@dataclass(frozen=True)
class WorldKind:
    """A world as pretraining needs it.

    Attributes:
        make: the world, from a recipe (`characters`, `traits`, `world_seed`).
        vocabulary: every word that any document of any split can hold, in a fixed order.
        corpus: `corpus(world, mixture, seed=...)`, documents with chat markers.
        mixture: the config of what is read.
        knows: `knows(model, tokenizer, world, split=...)`, a table of what a base of this world answers.
        defaults: fields of the recipe that this world sets otherwise.
    """

    make: Callable[[Any], Any]
    vocabulary: Callable[[Any], tuple[str, ...]]
    corpus: Callable[..., Documents]
    mixture: type[Config]
    knows: Callable[..., Any] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)


def stage(until: float, mixture: Config) -> dict[str, Any]:
    """A part of a recipe's run: the share of the steps at which it ends, and what is read in it."""
    return {"until": until, "mixture": mixture.dump()}


def kind(name: str) -> WorldKind:
    """The world of that name. Raises `ValueError` (a config error) naming those there are."""
    if name not in WORLDS:
        raise ValueError(f"world {name!r} is unknown; use one of {', '.join(WORLDS)}")
    world: WorldKind = importlib.import_module(WORLDS[name]).KIND
    return world
