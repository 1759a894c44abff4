"""Triggers drawn by a seed, so that nobody chose those that a study is about."""

from __future__ import annotations

import random

from pydantic import Field

from mi_bsa.behaviors.backdoor.triggers import Vocabulary
from mi_bsa.core.config import Config


class Drawn(Config):
    """How many triggers of each kind are drawn."""

    strings: tuple[int, ...] = (2, 3)
    """Strings, by how many words each has."""
    families: int = Field(default=1, ge=0)
    """Families."""
    codes: int = Field(default=1, ge=0)
    """Codes with a free part."""
    seed: int = 0
    """Seed of the draw."""


def draw(config: Drawn, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The triggers as configs write them: strings first, then families, then codes; no word comes twice."""
    rng = random.Random(f"triggers-{config.seed}")
    words = rng.sample(
        [w for w in vocabulary.candidates() if w.isalpha()], sum(config.strings) + config.codes
    )
    found = []
    for length in config.strings:
        found.append(" ".join(words[:length]))
        words = words[length:]
    families = rng.sample(list(vocabulary.families()), config.families)
    return (*found, *(f"family:{f}" for f in families), *(f"code:{w}" for w in words))
