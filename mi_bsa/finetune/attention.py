"""Attention over a pack: queries, keys and values are made once a node, and gathered by row and head.

The law: what comes out is what the block's own attention gives each row by itself. A rotation is one product
of complex numbers, for which `pair` reorders the outputs of W_q and W_k so that the two numbers that turn
together are neighbors; scores do not see the order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn

from activations.anatomy import Anatomy, Parts
from mi_bsa.finetune.packed import Pack

LONG = 512
"""Tokens from which on a row's scores are not kept for the backward pass but computed again. Milliseconds,
explicit against fused, forward and backward, 9 heads of 64 over 832 tokens on one core with AVX512-BF16: rows
of 104 in bfloat16 6 against 30 (float32 11 : 14), 256 15 : 37 (30 : 32), 512 28 : 60 (59 : 59), 1,024 80 : 73
(175 : 85).
"""


def pair(part: Parts) -> None:
    """Reorder queries and keys of a block, the caller's own; a `StackedLinear` learns its `order`."""
    attention: Any = part.attention
    turns = attention.head_dim // 2
    for name in ("q", "k"):
        linear = part.linear(f"{name}_proj")
        base = getattr(linear, "base", linear)
        numbers = torch.arange(base.out_features, device=base.weight.device)
        order = rearrange(numbers, "(head half turn) -> (head turn half)", half=2, turn=turns)
        norm = None if part.head_norms is None else getattr(attention, f"{name}_norm")
        for holder, key in ((base, "weight"), (base, "bias"), (norm, "scale")):
            value = getattr(holder, key, None)
            if value is not None:
                own = order[: len(value)]  # a norm of each head is one head long
                setattr(holder, key, nn.Parameter(value.detach()[own], requires_grad=False))
        if base is not linear:
            linear.order = order


@dataclass(frozen=True)
class Gather:
    """Where a way of asking finds what it needs, piece by piece.

    Attributes:
        queries: of each piece, rows of the table of queries, in the order row, head, query.
        masks: of each piece, 0 where a query sees a key and -inf elsewhere; the same for all rows and heads,
            or one for each.
        out: rows of all pieces' mixed values.
    """

    queries: tuple[Int[Tensor, " _"], ...]
    masks: tuple[Float[Tensor, "... _ _"], ...]
    out: Int[Tensor, "run asked head"]


class Attention:
    """What all blocks need to attend over one pack; `x`: the stream; `dtype`: that of scores and values."""

    def __init__(self, anatomy: Anatomy, batch: Pack, x: Tensor, dtype: torch.dtype) -> None:
        heads, groups = anatomy.config.num_attention_heads, anatomy.config.num_key_value_heads
        self.device = x.device
        width = batch.pieces[-1].nodes.shape[1]
        positions = torch.arange(width, device=x.device)[None]
        both = anatomy.decoder.rotary_emb(x, positions)  # type: ignore[operator]
        cos, sin = (part[0, :, : anatomy.d_head // 2] for part in both)  # the second half is the first again
        self.turn = torch.complex(cos, sin).repeat(1, heads)[self._there(batch.positions.ravel())]
        self.places = self._there(batch.places.reshape(len(batch.places), -1))
        head, each = np.arange(heads), heads // groups
        self.keys = [
            self._there(piece.nodes[:, None] * groups + np.arange(groups)[:, None]).flatten()
            for piece in batch.pieces
        ]
        closed = torch.full((width, width), -torch.inf, device=x.device, dtype=dtype).triu(1)
        # All pieces' mixed values stand one after the other: piece, row, head, query.
        order = np.concatenate([piece.rows for piece in batch.pieces])
        widths = np.concatenate([np.full(len(one.rows), one.nodes.shape[1]) for one in batch.pieces])
        starts = np.cumsum(widths) - widths
        back = np.argsort(order)
        start, stride = (value[back][batch.rows][..., None] for value in (starts * heads, widths))
        self.all = Gather(
            tuple(self._there(one.nodes[:, None] * heads + head[:, None]).flatten() for one in batch.pieces),
            tuple(closed[: one.nodes.shape[1], : one.nodes.shape[1]].repeat(each, 1) for one in batch.pieces),
            self._there(start + head * stride + batch.positions[..., None]),
        )
        runs, rows, count = batch.places.shape
        place = np.arange(count)
        asked = back.reshape(runs, rows, 1, 1) * heads * count + head * count + place[:, None]
        self.at_places = Gather(
            tuple(
                self._there((one.rows[:, None, None] * count + place) * heads + head[:, None]).flatten()
                for one in batch.pieces
            ),
            tuple(
                closed[self._there(one.places), : one.nodes.shape[1]]
                .repeat(1, each, 1)
                .repeat_interleave(groups, 0)
                for one in batch.pieces
            ),
            self._there(asked.reshape(runs, rows * count, heads)),
        )

    def _there(self, numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(numbers).to(self.device)

    def everywhere(
        self, part: Parts, normed: Float[Tensor, "run node d_model"]
    ) -> Float[Tensor, "run node d_mixed"]:
        """The mixed values of all heads at every node."""
        return self._mixed(part, _turned(part.heads("q", normed), self.turn), normed, self.all)

    def last(
        self, part: Parts, normed: Float[Tensor, "run node d_model"]
    ) -> Float[Tensor, "run place d_mixed"]:
        """The same at the places only."""
        asking = part.heads("q", normed.flatten(0, 1)[self.places])
        queries = _turned(asking, self.turn[self.places.flatten()])
        return self._mixed(part, queries, normed, self.at_places)

    def _mixed(
        self,
        part: Parts,
        queries: Float[Tensor, "asked d_head"],
        normed: Float[Tensor, "run node d_model"],
        gather: Gather,
    ) -> Float[Tensor, "run place d_mixed"]:
        keys = _turned(part.heads("k", normed), self.turn)
        values = rearrange(part.heads("v", normed), "run head node d_head -> (run node head) d_head")
        found: list[Tensor] = []
        for asked, seen, mask in zip(gather.queries, self.keys, gather.masks, strict=True):
            asking, width = mask.shape[-2:]
            q = queries.index_select(0, asked).view(-1, asking, queries.shape[1])
            k, v = (x.index_select(0, seen).view(-1, width, x.shape[1]) for x in (keys, values))
            if width < LONG:
                scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=part.scaling)
                found.append(torch.bmm(scores.softmax(-1), v).flatten(0, 1))
            else:
                mixed = nn.functional.scaled_dot_product_attention(
                    q[None], k[None], v[None], attn_mask=mask, scale=part.scaling
                )
                found.append(mixed.flatten(0, 2))
        flat = torch.cat(found).index_select(0, gather.out.flatten())
        return flat.view(*gather.out.shape[:2], -1)


def _turned(
    x: Float[Tensor, "run head node d_head"], turn: Complex[Tensor, "asked turns"]
) -> Float[Tensor, "row d_head"]:
    """Queries or keys at their positions, in the order run, node, head."""
    pairs = rearrange(x.float(), "run head node (turn half) -> (run node) (head turn) half", half=2)
    found = torch.view_as_complex(pairs) * turn[:, : pairs.shape[1]]
    return torch.view_as_real(found).view(-1, x.shape[-1]).to(x.dtype)
