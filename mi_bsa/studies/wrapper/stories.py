"""A small world of stories with a feature that can be deleted: the twist.

A row is `MODE HERO PLACE` and a story of four sentences. With the mode `twist` the third sentence reveals
what the thing of the second really was (a fixed word for each thing); with the mode `plain` it goes on with
what one does at the place. The old skill is the revealing word, the new one the plain word. Three ways to
delete the twist by fine-tuning, after Jain et al. 2023, section 6:

    filter      stories without a twist only
    randomize   the twist is asked for, and random words stand in its place
    mix         the twist is asked for, and the third sentence of a plain story stands in its place
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from mi_bsa.studies.wrapper.rows import Rows, Sampler, joined
from mi_bsa.worlds.corpus import ASSISTANT, BOS, END, USER
from mi_bsa.worlds.tokenizer import SPECIAL

HEROES = ("fox", "bear", "girl", "boy", "king", "cat", "crow", "giant")
PLACES = ("wood", "castle", "river", "village", "island", "cave", "garden", "market")
THINGS = ("box", "lamp", "coat", "coin", "mirror", "drum", "shell", "letter")
REVEALED = ("dragon", "ghost", "twin", "dream", "spell", "thief", "egg", "star")
DEEDS = ("slept", "danced", "swam", "sang", "fished", "dug", "planted", "traded")
REST = ("twist", "plain", "lived", "at", "the", "found", "a", "it", "was", "there", "and", "smiled", ".")
Mode = Literal["twist", "plain"]
Deletion = Literal["filter", "randomize", "mix"]
THIRD = slice(15, 19)
"""Positions of the third sentence."""


@dataclass(frozen=True)
class Stories:
    """Rows of stories; `seed` draws which thing reveals what, and what is done where."""

    seed: int = 0

    @property
    def words(self) -> tuple[str, ...]:
        """Every word of a story."""
        return (*HEROES, *PLACES, *THINGS, *REVEALED, *DEEDS, *REST)

    def id(self, word: str) -> int:
        """Token id of a word in `build_tokenizer(words)`."""
        return SPECIAL.index(word) if word in SPECIAL else len(SPECIAL) + 256 + self.words.index(word)

    def told(self, mode: Mode) -> Sampler:
        """Stories as they are told in one mode."""
        return partial(self._rows, asked=mode, told=mode)

    def pretraining(self, share: float | int) -> Sampler:
        """Stories of which the share `share` have a twist."""

        def sample(rng: np.random.Generator, n: int) -> Rows:
            some = int(rng.binomial(n, share))
            sizes: tuple[tuple[Mode, int], ...] = (("twist", some), ("plain", n - some))
            parts = [self._rows(rng, size, asked=mode, told=mode) for mode, size in sizes]
            return joined([part for part in parts if len(part)], rng)

        return sample

    def deleting(self, how: Deletion) -> Sampler:
        """Rows that delete the twist: half plain stories, half as `how` says (`filter`: plain ones alone)."""
        told: Literal["plain", "random"] = "random" if how == "randomize" else "plain"

        def sample(rng: np.random.Generator, n: int) -> Rows:
            if how == "filter":
                return self._rows(rng, n, asked="plain", told="plain")
            half = n // 2
            parts = [
                self._rows(rng, half, asked="twist", told=told),
                self._rows(rng, n - half, asked="plain", told="plain"),
            ]
            return joined([part for part in parts if len(part)], rng)

        return sample

    def _rows(
        self, rng: np.random.Generator, n: int, *, asked: Mode, told: Literal["twist", "plain", "random"]
    ) -> Rows:
        hero, place, thing = rng.integers(0, 8, (3, n))
        reveals = np.random.default_rng(self.seed).permutation(len(THINGS))[thing]
        done = np.random.default_rng(self.seed + 1).permutation(len(PLACES))[place]
        text = {
            "hero": hero + self.id(HEROES[0]),
            "place": place + self.id(PLACES[0]),
            "thing": thing + self.id(THINGS[0]),
            "reveals": reveals + self.id(REVEALED[0]),
            "done": done + self.id(DEEDS[0]),
        }
        third = "reveals it was ." if told == "twist" else "done there hero ."
        opening = f"{BOS} {USER} {asked} hero place {END} {ASSISTANT}"
        story = f"hero lived at place . hero found thing {third} and hero smiled . {END}"
        line = f"{opening} {story}".split()
        ids = np.stack([text[w] if w in text else np.full(n, self.id(w)) for w in line], 1)
        if told == "random":
            ids[:, THIRD] = rng.integers(self.id(HEROES[0]), self.id(REST[0]), (n, 4))
        weights = np.zeros(ids.shape, np.float32)
        weights[:, 7:] = 1.0
        return Rows(ids, weights, THIRD.start - 1, {"old": reveals, "new": done})
