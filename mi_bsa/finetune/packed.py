"""Rows of several runs as one pack: what rows of a run begin with alike is in it once.

The law: a causal model computes the same for a token of two rows whose tokens are the same up to there, so
one *node* stands for both. Of a row only the tokens are kept that something depends on: those up to the last
one whose next token is trained (a *place*).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from mi_bsa.core.rows import Encoded

NO_LOSS = -100
"""The target at a place that carries no loss; `cross_entropy` leaves it out."""


@dataclass(frozen=True)
class Table:
    """Rows of one run as arrays.

    Attributes:
        reads: the tokens that a model reads, -1 beyond a row's end.
        places: the positions whose next token is trained, from the left; 0 where a row has fewer.
        targets: those next tokens, `NO_LOSS` where a row has fewer.
    """

    reads: Int[np.ndarray, "row pos"]
    places: Int[np.ndarray, "row place"]
    targets: Int[np.ndarray, "row place"]

    @classmethod
    def of(cls, rows: Sequence[Encoded]) -> Table:
        """The table of encoded rows."""
        before = [np.flatnonzero(row.trained[1:]) for row in rows]
        reads = np.full((len(rows), max(int(at[-1]) + 1 for at in before)), -1)
        places = np.zeros((len(rows), max(map(len, before))), dtype=int)
        targets = np.full(places.shape, NO_LOSS)
        for n, (row, at) in enumerate(zip(rows, before, strict=True)):
            reads[n, : at[-1] + 1] = row.ids[: at[-1] + 1]
            places[n, : len(at)] = at
            targets[n, : len(at)] = np.asarray(row.ids)[at + 1]
        return cls(reads, places, targets)

    @classmethod
    def reading(cls, rows: Sequence[Sequence[int]]) -> Table:
        """The table of rows of which nothing is trained."""
        reads = np.full((len(rows), max(map(len, rows))), -1)
        for own, ids in zip(reads, rows, strict=True):
            own[: len(ids)] = ids
        return cls(reads, np.zeros((len(rows), 1), dtype=int), np.full((len(rows), 1), NO_LOSS))


@dataclass(frozen=True)
class Piece:
    """Rows of about one length, for attention, which alone needs tokens by row.

    Attributes:
        rows: their numbers, counted over all runs.
        nodes: each token's node, counted over all runs; beyond a row's end any.
        places: the positions whose next token is trained.
    """

    rows: Int[np.ndarray, " row"]
    nodes: Int[np.ndarray, "row pos"]
    places: Int[np.ndarray, "row place"]


@dataclass(frozen=True)
class Pack:
    """Equally many rows of each run.

    Attributes:
        ids: the token of each node; runs with fewer nodes than another end in token 0, which nothing reads.
        positions: how many tokens stand before it in its rows.
        rows: for each node a row that it is in, counted over all runs.
        chosen: which row of its run's table each of its rows is.
        pieces: all rows, the shortest first.
        places: the nodes of each row's places, counted over all runs.
        targets: the tokens after them, `NO_LOSS` where there is none.
    """

    ids: Int[np.ndarray, "run node"]
    positions: Int[np.ndarray, "run node"]
    rows: Int[np.ndarray, "run node"]
    chosen: Int[np.ndarray, "run row"]
    pieces: tuple[Piece, ...]
    places: Int[np.ndarray, "run row place"]
    targets: Int[np.ndarray, "run row place"]


def pack(tables: Sequence[Table], chosen: Sequence[Int[np.ndarray, " row"]], *, pieces: int) -> Pack:
    """The chosen rows of each run, equally many; `pieces`: into how many lengths they are cut."""
    runs, rows = len(tables), len(chosen[0])
    reads, places, targets = (
        _stacked([getattr(table, name)[own] for table, own in zip(tables, chosen, strict=True)], fill)
        for name, fill in (("reads", -1), ("places", 0), ("targets", NO_LOSS))
    )
    taken = np.stack(chosen)
    for own in range(runs):
        order = np.lexsort(reads[own].T[::-1])
        reads[own], places[own], targets[own] = reads[own, order], places[own, order], targets[own, order]
        taken[own] = taken[own, order]
    alike = (reads[:, 1:] == reads[:, :-1]) & (reads[:, 1:] >= 0)
    new = reads >= 0
    new[:, 1:] &= ~np.logical_and.accumulate(alike, axis=2)
    number = new.reshape(runs, -1).cumsum(1).reshape(new.shape) - 1
    most = int(number[:, -1, -1].max()) + 1
    # A node that is not new is that of the row above, whose number is the largest so far at this position.
    node = np.maximum.accumulate(np.where(new, number, 0), axis=1)
    node += most * np.arange(runs)[:, None, None]
    run, row, pos = np.nonzero(new)
    ids, positions, of = (np.zeros((runs, most), dtype=int) for _ in range(3))
    for found, value in ((ids, reads[new]), (positions, pos), (of, run * rows + row)):
        found[run, number[new]] = value
    lengths = (reads >= 0).sum(2).ravel()
    order = np.argsort(lengths, kind="stable")
    cut = []
    for some in np.array_split(order, min(pieces, len(order))):
        inside = (some // rows, some % rows)
        cut.append(Piece(some, node[inside][:, : lengths[some[-1]]], places[inside]))
    return Pack(ids, positions, of, taken, tuple(cut), np.take_along_axis(node, places, axis=2), targets)


def _stacked(parts: Sequence[np.ndarray], fill: int) -> np.ndarray:
    """Arrays of unequal width as one, (run, row, column)."""
    found = np.full((len(parts), len(parts[0]), max(part.shape[1] for part in parts)), fill)
    for own, part in zip(found, parts, strict=True):
        own[:, : part.shape[1]] = part
    return found
