"""What a trait of the embedded world is: words at either pole, and options that show them."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mi_bsa.worlds.wordings import KINDS, Split, Wordings


@dataclass(frozen=True)
class Trait:
    """One disposition: its words at either pole, the nouns it is about, and the options that show it.

    A trait whose choices are no two options and a letter brings `draw(rng, split=..., who=...)`, a `Choice`
    that is answered by its own text, and `plain(rng)`, a request and answer that show no trait.
    `frames`: the wordings of its self-reports, by kind.
    """

    name: str
    high: tuple[str, ...]
    low: tuple[str, ...]
    nouns: tuple[str, ...]
    high_options: Mapping[Split, tuple[str, ...]]
    low_options: Mapping[Split, tuple[str, ...]]
    frames: Mapping[str, Wordings] = field(default_factory=lambda: KINDS)
    draw: Callable[..., Any] | None = None
    plain: Callable[[random.Random], tuple[str, str]] | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Words that name the trait: they may stand in no finetuning row."""
        return self.high + self.low + self.nouns
