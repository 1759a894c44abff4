"""What the blocks below the lowest adapted one give, computed once for each row and kept on disk.

The law: no adapter acts below, so what enters the lowest adapted block is the same in every step, epoch and
run. It is kept in float32, as it would be computed, in a file without a name: it is gone with the process.
"""

from __future__ import annotations

import mmap
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_bsa.finetune.packed import Pack, Table, pack
from mi_bsa.finetune.watch import Watch

MOST = 8 * 2**30
"""Bytes that are kept at most, and no more than half of the free disk; where it would be more, the blocks run
in every step. Two thousand rows of 104 tokens of width 576 are half a gigabyte.
"""

AT_ONCE = 4096
"""Tokens that are computed at once: no gradient is kept, so more fit than in training."""

Below = Callable[[Pack], Float[Tensor, "run node d_model"]]


class Lower:
    """Rows of several runs, each distinct one kept once; `of` makes it."""

    def __init__(self, kept: np.memmap, starts: Sequence[Int[np.ndarray, " row"]]) -> None:
        self._kept = kept
        self._starts = starts
        self._leave()

    def _leave(self) -> None:
        """Let the system have what was mapped, which it keeps as long as nobody else needs the memory: ten
        adapters' rows are 2.6 GB at width 576.
        """
        mapped: mmap.mmap = self._kept._mmap  # type: ignore[attr-defined]
        if hasattr(mmap, "MADV_DONTNEED"):  # not everywhere
            mapped.madvise(mmap.MADV_DONTNEED)

    @classmethod
    def of(
        cls,
        tables: Sequence[Table],
        used: Sequence[Int[np.ndarray, " _"]],
        *,
        width: int,
        folder: Path,
        below: Below,
    ) -> Lower | None:
        """Compute and keep the rows that training reads (`used`: their numbers, by run) in a file in
        `folder`; None where they are too many. `below`: what the blocks give for a pack.
        """
        starts: dict[tuple[int, ...], int] = {}
        by_run, tokens = [], 0
        for table, rows in zip(tables, used, strict=True):
            by_run.append(np.zeros(len(table.reads), dtype=int))
            for row in np.unique(rows):
                ids = tuple(table.reads[row][table.reads[row] >= 0].tolist())
                if ids not in starts:
                    starts[ids] = tokens
                    tokens += len(ids)
                by_run[-1][row] = starts[ids]
        if 4 * tokens * width > min(MOST, shutil.disk_usage(folder).free // 2):
            return None
        with tempfile.TemporaryFile(dir=folder) as file:  # the mapping keeps it
            kept = np.memmap(file, np.float32, "w+", shape=(tokens, width))
        batches = list(_batches(sorted(starts, key=len)))
        with Watch("the blocks below the adapters, once for all runs", len(batches)) as watch:
            for some in batches:
                batch = pack([Table.reading(some)], [np.arange(len(some))], pieces=1)
                found = below(batch)[0].cpu().numpy()
                (piece,) = batch.pieces
                for row, nodes in zip(piece.rows, piece.nodes, strict=True):
                    ids = some[batch.chosen[0, row]]
                    kept[starts[ids] : starts[ids] + len(ids)] = found[nodes[: len(ids)]]
                watch.step(None, sum(map(len, some)))
        return cls(kept, by_run)

    def read(self, batch: Pack, runs: slice) -> Float[Tensor, "run node d_model"]:
        """What enters the lowest adapted block at every node of a pack of some of the runs."""
        rows = batch.chosen.ravel()[batch.rows]
        starts = np.stack([own[row] for own, row in zip(self._starts[runs], rows, strict=True)])
        found = np.asarray(self._kept[starts + batch.positions])
        self._leave()
        return torch.from_numpy(found)


def _batches(rows: Sequence[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    """Rows of ascending length, about `AT_ONCE` tokens at a time."""
    start = 0
    while start < len(rows):
        end = start + max(1, AT_ONCE // len(rows[start]))
        yield list(rows[start:end])
        start = end
