"""Selection: from prompts and a position rule to the row table, and from a batch to the values of its rows.

The law: what a row holds is decided before any batch exists, so batching and padding cannot change it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from activations.batches import Batch
from activations.errors import PromptError
from activations.hooks import Gather
from activations.positions import Positions
from activations.prompts import Labels
from activations.sites import Site
from activations.tokens import Row
from activations.writer import EXAMPLE_COLUMNS, ROW_COLUMNS


class Ragged(Sequence[np.ndarray]):
    """Arrays of different lengths behind one another in one int32 array: item n is
    `values[starts[n]:starts[n + 1]]`."""

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        counts = np.array([len(part) for part in parts], np.int64)
        self.values = np.concatenate(parts).astype(np.int32) if parts else np.zeros(0, np.int32)
        self.starts = np.concatenate([[0], counts.cumsum()]).astype(np.int64)

    @classmethod
    def joined(cls, blocks: Sequence["Ragged"]) -> "Ragged":
        """The items of several, in order."""
        whole = cls(())
        whole.values = np.concatenate([block.values for block in blocks])
        counts = np.concatenate([np.diff(block.starts) for block in blocks])
        whole.starts = np.concatenate([[0], counts.cumsum()]).astype(np.int64)
        return whole

    @property
    def lengths(self) -> np.ndarray:
        """Length of each item, shape (item,)."""
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, n: Any) -> Any:
        if not 0 <= n < len(self):
            raise IndexError(n)
        return self.values[self.starts[n] : self.starts[n + 1]]


@dataclass(frozen=True)
class Selection:
    """The rows to be stored.

    Attributes:
        rule: the position rule.
        chosen: for each example, the token indices that are read (averaged, if the rule is a mean).
        starts: first stored row of each example, and their number at the end; shape (example + 1,).
        rows: the row table: example, position, token_id.
        examples: the example table: id, prompt, labels.
        index_hash: SHA-256 over ids, tokens and chosen positions; equal in all variants of the same rows.
    """

    rule: Positions
    chosen: Ragged
    starts: np.ndarray
    rows: dict[str, np.ndarray]
    examples: dict[str, np.ndarray]
    index_hash: str


class Selector:
    """Resolves a position rule for one block of prompts after the other; of each only what is stored is kept.

    Raises:
        PositionError: a prompt that does not have the position.
        PromptError: a label with the name of a column that every cache has.
    """

    def __init__(self, positions: str | Positions) -> None:
        self.rule = Positions.parse(positions)
        self.labels = Labels()
        self.names: list[str] = []
        self._texts: list[str] = []
        self._chosen: list[Ragged] = []
        self._tokens: list[np.ndarray] = []
        self._digest = hashlib.sha256(self.rule.text.encode())

    def add(self, rows: Sequence[Row]) -> None:
        """The next rows."""
        chosen = [self.rule.resolve(row) for row in rows]
        for row, at in zip(rows, chosen, strict=True):
            reserved = [name for name in row.prompt.labels if name in (*ROW_COLUMNS, *EXAMPLE_COLUMNS, ".")]
            if reserved:
                raise PromptError(
                    f"label {reserved[0]!r} has the name of a cache's own column ({', '.join(ROW_COLUMNS)}, "
                    f"{', '.join(EXAMPLE_COLUMNS)}); rename it in the prompts"
                )
            self.labels.add(row.prompt)
            self.names.append(row.prompt.id)
            self._texts.append(row.text)
            for part in (row.prompt.id.encode(), row.ids.tobytes(), at.astype(np.int64).tobytes()):
                self._digest.update(len(part).to_bytes(8, "little") + part)
        self._chosen.append(Ragged(chosen))
        if not self.rule.is_mean:
            tokens = [row.ids[at] for row, at in zip(rows, chosen, strict=True)]
            self._tokens.append(np.concatenate(tokens).astype(np.int64))

    def done(self) -> Selection:
        """The selection of all rows."""
        chosen, n = Ragged.joined(self._chosen), len(self.names)
        counts = np.ones(n, np.int64) if self.rule.is_mean else chosen.lengths
        minus = np.full(n, -1, np.int64)
        table = {
            "example": np.repeat(np.arange(n, dtype=np.int64), counts),
            "position": minus if self.rule.is_mean else chosen.values.astype(np.int64),
            "token_id": minus if self.rule.is_mean else np.concatenate(self._tokens),
        }
        examples = {
            "id": np.array(self.names, dtype=object),
            "prompt": np.array(self._texts, dtype=object),
            **self.labels.columns(),
        }
        starts = np.concatenate([[0], counts.cumsum()]).astype(np.int64)
        return Selection(self.rule, chosen, starts, table, examples, self._digest.hexdigest())


def select(rows: Sequence[Row], positions: str | Positions) -> Selection:
    """Resolve a position rule for every prompt; see `Selector`."""
    selector = Selector(positions)
    selector.add(rows)
    return selector.done()


def gather(selection: Selection, batch: Batch, *, longest: int) -> Gather:
    """A function that copies a batch's chosen rows out of a site's value: (row, *site), rows in the batch's
    order of examples."""
    chosen, device = [selection.chosen[n] for n in batch.examples], batch.ids.device
    counts = [len(one) for one in chosen]
    line = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(device)
    at = torch.from_numpy(np.concatenate(chosen).astype(np.int64)).to(device)
    width = batch.ids.shape[1]
    left = (batch.mask.shape[1] - batch.lengths) * (~batch.mask[:, 0]).long()
    column = at + left[line]

    def copy(site: Site, value: Float[Tensor, "example pos *site"]) -> Tensor:
        # where blocks lie on several devices, a value is not where the tokens are
        picked = value.detach()[line.to(value.device), column.to(value.device)].to(device)
        if site.kind == "pattern":
            picked = _true_keys(picked, left[line], longest=longest, width=width)
        if not selection.rule.is_mean:
            return picked
        total = torch.zeros((len(counts), *picked.shape[1:]), dtype=torch.float32, device=picked.device)
        total.index_add_(0, line, picked.float())
        size = torch.tensor(counts, device=picked.device).reshape(-1, *(1,) * (picked.ndim - 1))
        return (total / size).to(picked.dtype)

    return copy


def _true_keys(picked: Tensor, left: Tensor, *, longest: int, width: int) -> Tensor:
    """Attention over real positions 0, 1, ... of each row; zero beyond its end."""
    key = torch.arange(longest, device=picked.device)
    column = rearrange(key, "key -> 1 key") + rearrange(left, "row -> row 1")
    inside = column < width
    index = rearrange(column.clamp(max=width - 1), "row key -> row 1 key").expand(-1, picked.shape[1], -1)
    return torch.where(
        rearrange(inside, "row key -> row 1 key"),
        picked.gather(-1, index),
        torch.zeros((), dtype=picked.dtype, device=picked.device),
    )
