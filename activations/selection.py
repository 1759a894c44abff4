"""Selection: from prompts and a position rule to the row table, and from a batch to the values of its rows.

The law: what a row holds is decided before any batch exists, so batching and padding cannot change it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from activations.batches import Batch
from activations.errors import PromptError
from activations.hooks import Gather
from activations.positions import Positions
from activations.prompts import label_columns
from activations.sites import Site
from activations.tokens import Row
from activations.writer import EXAMPLE_COLUMNS, ROW_COLUMNS


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
    chosen: tuple[np.ndarray, ...]
    starts: np.ndarray
    rows: dict[str, np.ndarray]
    examples: dict[str, np.ndarray]
    index_hash: str


def select(rows: Sequence[Row], positions: str | Positions) -> Selection:
    """Resolve a position rule for every prompt.

    Raises:
        PositionError: a prompt that does not have the position.
        PromptError: a label with the name of a column that every cache has.
    """
    rule = Positions.parse(positions)
    labels = label_columns([row.prompt for row in rows])
    reserved = [name for name in labels if name in (*ROW_COLUMNS, *EXAMPLE_COLUMNS, ".")]
    if reserved:
        raise PromptError(
            f"label {reserved[0]!r} has the name of a cache's own column ({', '.join(ROW_COLUMNS)}, "
            f"{', '.join(EXAMPLE_COLUMNS)}); rename it in the prompts"
        )
    chosen = tuple(rule.resolve(row) for row in rows)
    counts = np.array([1 if rule.is_mean else len(at) for at in chosen], np.int64)
    if rule.is_mean:
        position, token = np.full(len(rows), -1, np.int64), np.full(len(rows), -1, np.int64)
    else:
        position = np.concatenate(chosen).astype(np.int64)
        token = np.concatenate([row.ids[at] for row, at in zip(rows, chosen, strict=True)]).astype(np.int64)
    table = {
        "example": np.repeat(np.arange(len(rows), dtype=np.int64), counts),
        "position": position,
        "token_id": token,
    }
    examples = {
        "id": np.array([row.prompt.id for row in rows], dtype=object),
        "prompt": np.array([row.text for row in rows], dtype=object),
        **labels,
    }
    digest = hashlib.sha256(rule.text.encode())
    for row, at in zip(rows, chosen, strict=True):
        for part in (row.prompt.id.encode(), row.ids.tobytes(), at.astype(np.int64).tobytes()):
            digest.update(len(part).to_bytes(8, "little") + part)
    return Selection(
        rule,
        chosen,
        np.concatenate([[0], counts.cumsum()]).astype(np.int64),
        table,
        examples,
        digest.hexdigest(),
    )


def gather(selection: Selection, batch: Batch, *, longest: int) -> Gather:
    """A function that copies a batch's chosen rows out of a site's value: (row, *site), rows in the batch's
    order of examples."""
    counts = [len(selection.chosen[n]) for n in batch.examples]
    line = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(batch.ids.device)
    at = torch.from_numpy(np.concatenate([selection.chosen[n] for n in batch.examples]).astype(np.int64)).to(
        batch.ids.device
    )
    width = batch.ids.shape[1]
    left = (batch.mask.shape[1] - batch.lengths) * (~batch.mask[:, 0]).long()
    column = at + left[line]

    def copy(site: Site, value: Float[Tensor, "example pos *site"]) -> Tensor:
        picked = value.detach()[line, column]
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
