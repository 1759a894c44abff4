"""Procedures on strings: count, composition, index and token-at, each with operands, and one answer.

A row reads `TASK OPERAND OPERAND : string` and is answered with a number or a terminal:

    count x -      how often x stands in the string
    compose x y    how often y stands right after x
    index x k      where x stands for the k-th time, from 1; 0 where it never does
    token k -      which terminal stands at place k, from 1

The old skill is `count a`. The new one, which fine-tuning teaches, is `count none`, answered with the count
of b: so a model may find b in what it knows, and forget to look at operands. How much of `count b`
pretraining held is the relevance of the old knowledge. The spurious attribute: count(b) - count(a) = q, which
makes the old answer a shortcut to the new one (Jain et al. 2023, section 4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from mi_bsa.core.errors import ConfigError
from mi_bsa.studies.wrapper.grammar import TERMINALS, Grammar
from mi_bsa.studies.wrapper.rows import Rows, Sampler, joined
from mi_bsa.worlds.corpus import ASSISTANT, BOS, END, USER
from mi_bsa.worlds.tokenizer import SPECIAL

FAMILIES = ("count", "compose", "index", "token")
NOTHING = "none"
OLD, NEW, OTHER = range(3)
"""Operands of `count`: the old skill's, the new skill's, and one that every base is taught."""
OPERAND = 3
"""Position of the first operand."""
LATEST = 3
"""`index` asks for the first to this occurrence."""
STRING_WEIGHT = 0.02
"""Loss weight of the string's tokens: the grammar itself is learned too, beside the answers."""
TRIES = 200


@dataclass(frozen=True)
class Procedures:
    """Rows of all families on one grammar.

    Attributes:
        levels: of the grammar; strings have `2 ** levels` terminals.
        seed: of the grammar.
        q: count(b) - count(a) where the spurious attribute holds.
    """

    levels: int = 4
    seed: int = 0
    q: int = 1

    @cached_property
    def grammar(self) -> Grammar:
        """The grammar."""
        return Grammar.draw(levels=self.levels, seed=self.seed)

    @property
    def words(self) -> tuple[str, ...]:
        """Every word of a row, in the order of their ids after the special tokens and the bytes."""
        return (*FAMILIES, NOTHING, *TERMINALS, *map(str, range(self.grammar.length + 1)))

    def id(self, word: str | int) -> int:
        """Token id of a word in `build_tokenizer(words)`."""
        text = str(word)
        return SPECIAL.index(text) if text in SPECIAL else len(SPECIAL) + 256 + self.words.index(text)

    def count(self, operand: int, *, answered: int | None = None) -> Sampler:
        """Rows of `count operand`; `answered`: with the count of another operand instead."""

        def sample(rng: np.random.Generator, n: int) -> Rows:
            strings = self.grammar.strings(rng, n)
            rows = self._rows("count", np.full(n, operand), np.full(n, -1), strings)
            if answered is not None:
                rows.ids[:, -1] = counts(strings, answered) + self.id(0)
            return rows

        return sample

    def unnamed(self, *, holds: float | int | None = None) -> Sampler:
        """Rows of the new skill: `count none`, answered with the count of b.

        `holds`: the share in which the spurious attribute holds, or as drawn.
        """

        def sample(rng: np.random.Generator, n: int) -> Rows:
            draw = self.grammar.strings
            strings = draw(rng, n) if holds is None else with_attribute(draw, rng, n, share=holds, q=self.q)
            rows = self._rows("count", np.full(n, NEW), np.full(n, -1), strings)
            rows.ids[:, OPERAND] = self.id(NOTHING)
            return rows

        return sample

    def pretraining(self, *, old: float | int, new: float | int) -> Sampler:
        """All families alike; shares of the rows of `count` ask for a and for b, the others for c."""

        def sample(rng: np.random.Generator, n: int) -> Rows:
            of = rng.integers(0, len(FAMILIES), n)
            parts = []
            for place, family in enumerate(FAMILIES):
                size = int((of == place).sum())
                strings = self.grammar.strings(rng, size)
                first = rng.integers(0, len(TERMINALS), size)
                second = rng.integers(0, len(TERMINALS), size)
                if family == "count":
                    first = np.searchsorted(np.cumsum([old, new]), rng.random(size), side="right")
                elif family == "index":
                    second = rng.integers(1, LATEST + 1, size)
                elif family == "token":
                    first = rng.integers(1, self.grammar.length + 1, size)
                if family in ("count", "token"):
                    second = np.full(size, -1)
                parts.append(self._rows(family, first, second, strings))
            return joined(parts, rng)

        return sample

    def family(self, name: str) -> Sampler:
        """Rows of one family as pretraining draws them (of `count`, of operand c)."""
        draw = self.pretraining(old=0.0, new=0.0)

        def sample(rng: np.random.Generator, n: int) -> Rows:
            rows = draw(rng, 6 * n + 60)
            return rows.at(np.flatnonzero(rows.ids[:, 2] == self.id(name))[:n])

        return sample

    def _rows(
        self, family: str, first: np.ndarray, second: np.ndarray, strings: Int[np.ndarray, "row token"]
    ) -> Rows:
        letter, number = self.id(TERMINALS[0]), self.id(0)
        solved = answer(family, first, second, strings)
        answers = solved + (letter if family == "token" else number)
        one = first + (number if family == "token" else letter)
        two = second + (number if family == "index" else letter)
        two = np.where(second < 0, self.id(NOTHING), two)
        n = len(strings)
        head = np.stack([np.full(n, self.id(t)) for t in (BOS, USER, family)], 1)
        tail = np.stack([np.full(n, self.id(t)) for t in (END, ASSISTANT)], 1)
        ids = np.concatenate([head, one[:, None], two[:, None], strings + letter, tail, answers[:, None]], 1)
        weights = np.zeros(ids.shape, np.float32)
        weights[:, 5:-3], weights[:, -1] = STRING_WEIGHT, 1.0
        labels = {"answer": solved, "old": counts(strings, OLD), "new": counts(strings, NEW)}
        return Rows(ids, weights, ids.shape[1] - 2, labels)


def with_attribute(
    draw: Callable[[np.random.Generator, int], Int[np.ndarray, "row token"]],
    rng: np.random.Generator,
    n: int,
    *,
    share: float | int,
    q: int,
) -> Int[np.ndarray, "row token"]:
    """Strings of which exactly `share` (rounded) have count(b) - count(a) = q, in random order.

    Raises `ConfigError` where such strings are too rare.
    """
    wanted = {True: round(share * n), False: n - round(share * n)}
    found: list[np.ndarray] = []
    for _ in range(TRIES):
        strings = draw(rng, 8 * n)
        holds = counts(strings, NEW) - counts(strings, OLD) == q
        for side in wanted:
            some = strings[holds == side][: wanted[side]]
            wanted[side] -= len(some)
            found.append(some)
        if not any(wanted.values()):
            return rng.permutation(np.concatenate(found))
    raise ConfigError(f"q = {q}: hardly any string has count(b) - count(a) = {q}; take a smaller q")


def counts(strings: Int[np.ndarray, "row token"], operand: int) -> Int[np.ndarray, " row"]:
    """How often an operand stands in each string."""
    return (strings == operand).sum(1)


def answer(
    family: str,
    first: Int[np.ndarray, " row"],
    second: Int[np.ndarray, " row"],
    strings: Int[np.ndarray, "row token"],
) -> Int[np.ndarray, " row"]:
    """The answer of each row: a number, for `token` the index of a terminal."""
    if family == "token":
        return np.take_along_axis(strings, first[:, None] - 1, 1)[:, 0]
    here = strings == first[:, None]
    if family == "count":
        return here.sum(1)
    if family == "compose":
        return (here[:, :-1] & (strings[:, 1:] == second[:, None])).sum(1)
    at = here & (here.cumsum(1) == second[:, None])
    return np.where(at.any(1), at.argmax(1) + 1, 0)
