"""Token rows with one answer: what every system of the study trains on, is scored by and pruned for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

Sampler = Callable[[np.random.Generator, int], "Rows"]
"""`sampler(rng, n)`: n fresh rows."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one length, each with an answer.

    Attributes:
        ids: tokens, (row, pos).
        weights: weight of each token's loss; the first token has none, (row, pos).
        slot: position whose logits are the answer; the answer stands right after it.
        labels: what a probe may read: name -> (row,).
    """

    ids: Int[np.ndarray, "row pos"]
    weights: Float[np.ndarray, "row pos"]
    slot: int
    labels: dict[str, np.ndarray]

    @property
    def answers(self) -> Int[np.ndarray, " row"]:
        """The right token of each row."""
        return self.ids[:, self.slot + 1]

    def __len__(self) -> int:
        return len(self.ids)

    def distinct(self) -> tuple[Rows, Int[np.ndarray, " row"]]:
        """Each row once, up to its answer, and which of them each row is.

        The answer is weighed by how often the row stands, all else not at all.
        """
        ids, found = np.unique(self.ids[:, : self.slot + 2], axis=0, return_inverse=True)
        place = found.reshape(-1)
        weights = np.zeros(ids.shape, np.float32)
        weights[:, -1] = np.bincount(place)
        return Rows(ids, weights, self.slot, {}), place

    def part(self, low: int, high: int) -> Rows:
        """Rows `low` to `high`."""
        return self.at(slice(low, high))

    def at(self, some: slice | Int[np.ndarray, " place"]) -> Rows:
        """The rows at these places."""
        labels = {name: values[some] for name, values in self.labels.items()}
        return Rows(self.ids[some], self.weights[some], self.slot, labels)


def joined(parts: list[Rows], rng: np.random.Generator) -> Rows:
    """Rows of several kinds, shuffled together; labels that all of them have."""
    order = rng.permutation(sum(map(len, parts)))
    names = set.intersection(*(set(part.labels) for part in parts))
    ids, weights = (np.concatenate([getattr(p, name) for p in parts]) for name in ("ids", "weights"))
    labels = {name: np.concatenate([p.labels[name] for p in parts]) for name in sorted(names)}
    return Rows(ids, weights, parts[0].slot, labels).at(order)
