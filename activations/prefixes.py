"""Prefixes: many token sequences as one tree, of which every token is forwarded once.

The law: what is read is what one pass a sequence gives. A token sees the tokens before it in its own sequence
and no other (a mask of ancestors) and stands at the position that it has there; a window counts positions. So
a system turn, examples and whatever else sequences begin with are computed once, whatever their number.

Nodes stand in preorder, so that a subtree is a range of numbers: node a is an ancestor of node n, or n
itself, where a <= n < ends[a]. The tree is cut into pieces of consecutive nodes, one pass each; what a piece
sees of earlier ones are the ancestors of its first node, whose keys and values are kept and no others.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int

from activations import families, lora
from activations.cache_names import name_of
from activations.decoding import Prefilled
from activations.kept import standing_still

if TYPE_CHECKING:
    from activations.models import Model

MOST_KEPT = 2**30
"""Most bytes of hidden states that `Lower` keeps: 8B's width in 16 bits for 130,000 tokens."""


@dataclass(frozen=True, eq=False)
class Prefixes:
    """Token sequences as a tree.

    Attributes:
        tokens: token id of each node, in preorder.
        parents: the node before it; -1 where a sequence begins.
        depths: its position in every sequence that holds it.
        ends: one more than the last node of its subtree.
        leaves: the last node of each sequence.
    """

    tokens: Int[np.ndarray, " node"]
    parents: Int[np.ndarray, " node"]
    depths: Int[np.ndarray, " node"]
    ends: Int[np.ndarray, " node"]
    leaves: Int[np.ndarray, " sequence"]

    @classmethod
    def of(cls, sequences: Sequence[tuple[int, ...]]) -> "Prefixes":
        """The tree of some sequences, none of them empty."""
        tokens: list[int] = []
        parents: list[int] = []
        depths: list[int] = []
        leaves = np.zeros(len(sequences), np.int64)
        before: tuple[int, ...] = ()
        path: list[int] = []
        for n in sorted(range(len(sequences)), key=sequences.__getitem__):
            own = sequences[n]
            del path[len(os.path.commonprefix([before, own])) :]
            for depth in range(len(path), len(own)):
                parents.append(path[-1] if path else -1)
                depths.append(depth)
                path.append(len(tokens))
                tokens.append(own[depth])
            before, leaves[n] = own, path[-1]
        ends = np.arange(1, len(tokens) + 1)
        for node in range(len(tokens) - 1, -1, -1):
            if parents[node] >= 0:
                ends[parents[node]] = max(ends[parents[node]], ends[node])
        return cls(np.array(tokens), np.array(parents), np.array(depths), ends, leaves)

    def __len__(self) -> int:
        return len(self.tokens)

    def path(self, node: int, last: int | None = None) -> Int[np.ndarray, " pos"]:
        """From its sequence's beginning to a node, or the `last` nodes of that."""
        found: list[int] = []
        while node >= 0 and len(found) != last:
            found.append(node)
            node = int(self.parents[node])
        return np.array(found[::-1], np.int64)


def logits(
    inner: Any,
    tree: Prefixes,
    wanted: Int[np.ndarray, " read"],
    *,
    width: int,
    most: int,
    lower: "Lower | None" = None,
    kept: list[Any] | None = None,
) -> Iterator[tuple[Int[np.ndarray, " read"], Float[torch.Tensor, "read vocab"]]]:
    """Next-token logits at some nodes, piece by piece: indices into `wanted`, and their logits.

    Args:
        inner: a causal language model of Hugging Face with attention `sdpa` or `eager`.
        tree: what is read.
        wanted: nodes in ascending order.
        width: most tokens of a piece. most: most logits rows of a piece.
        lower: what its variants share.
        kept: gets the keys and values of every piece, a pair for each block.
    """
    from transformers import DynamicCache

    device = next(inner.parameters()).device
    cache: Any = (
        DynamicCache()
    )  # of plain layers, also where attention has a window: the masks say who is seen
    columns = np.zeros(0, np.int64)
    start = 0
    while start < len(tree):
        reads = np.arange(np.searchsorted(wanted, start), len(wanted))
        end = min(start + width, len(tree), *wanted[reads[most : most + 1]])
        path = tree.path(int(tree.parents[start]))
        _keep(cache, torch.from_numpy(np.searchsorted(columns, path)).to(device))
        nodes = np.arange(start, end)
        columns = np.concatenate([path, nodes])
        seen = (columns <= nodes[:, None]) & (nodes[:, None] < tree.ends[columns])
        reads = reads[wanted[reads] < end]
        depths = torch.from_numpy(tree.depths)
        with ExitStack() as stack:
            if lower is not None:
                stack.enter_context(lower.at(start))
            out = inner(
                input_ids=torch.from_numpy(tree.tokens[start:end]).to(device)[None],
                attention_mask=masks(
                    inner, torch.from_numpy(seen)[None], depths[nodes][None], depths[columns][None], device
                ),
                position_ids=depths[nodes].to(device)[None],
                use_cache=True,
                # a list, for a tensor would have to lie where the last block does
                logits_to_keep=(wanted[reads] - start).tolist(),
                **{name_of(inner): cache},
            )
        if kept is not None:
            new = slice(len(path), None)
            kept.append([(layer.keys[:, :, new], layer.values[:, :, new]) for layer in cache.layers])
        if len(reads):
            yield reads, out.logits[0]
        start = end


@torch.no_grad()
def prefill(inner: Any, rows: Sequence[tuple[int, ...]], *, width: int) -> Prefilled:
    """The pass over some prompts, of which equal beginnings and equal rows are computed once, as
    `decoding.decode` goes on from it."""
    from transformers import DynamicCache

    tree = Prefixes.of(rows)
    kept: list[Any] = []
    wanted, which = np.unique(tree.leaves, return_inverse=True)
    read = logits(inner, tree, wanted, width=width, most=len(wanted), kept=kept)
    given = torch.cat([lines for _, lines in read])
    columns = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for row, leaf in zip(columns, tree.leaves.tolist(), strict=True):
        path = tree.path(leaf)
        row[len(row) - len(path) :] = path
    cache: Any = DynamicCache()
    for number in range(len(kept[0])):
        index = torch.from_numpy(columns.ravel()).to(kept[0][number][0].device)
        keys, values = (
            rearrange(
                torch.cat([piece[number][part] for piece in kept], 2)[0].index_select(1, index),
                "head (row pos) d_head -> row head pos d_head",
                row=len(rows),
            )
            for part in (0, 1)
        )
        cache.update(keys, values, number)
    return Prefilled(cache, given[torch.from_numpy(which).to(given.device)])


def _keep(cache: Any, columns: Int[torch.Tensor, " pos"]) -> None:
    """Of a cache's keys and values, those at some columns; blocks that stood still have none."""
    for layer in cache.layers:
        if layer.is_initialized:
            at = columns.to(layer.keys.device)
            layer.keys, layer.values = (part.index_select(2, at) for part in (layer.keys, layer.values))


def masks(
    inner: Any,
    allowed: Bool[torch.Tensor, "example query key"],
    queries: Int[torch.Tensor, "example query"],
    keys: Int[torch.Tensor, "example key"],
    device: torch.device,
) -> Float[torch.Tensor, "example 1 query key"] | dict[str, Float[torch.Tensor, "example 1 query key"]]:
    """The additive mask of who may see whom, by the positions of both; one a kind of layer where some attend
    within a window."""
    dtype = next(inner.parameters()).dtype

    def additive(window: int | None) -> torch.Tensor:
        seen = allowed
        if window is not None:  # a token sees itself and the window - 1 positions before it
            seen = allowed & (queries[:, :, None] - keys[:, None, :] < window)
        mask = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
        return mask[:, None].to(device)

    config = inner.config.get_text_config()
    each = families.of(config).windows(config)
    if len(set(each)) == 1:
        return additive(each[0])
    return {kind: additive(window) for kind, window in zip(config.layer_types, each, strict=True)}


class Lower:
    """The blocks below the lowest one that any of some variants adapts: run once, then they stand still and
    the highest of them gives what it gave. Exact, since variants differ in nothing below."""

    def __init__(self, model: "Model", variants: Sequence[str]) -> None:
        adapters = {name for name, _ in map(model.parse_variant, variants)} - {"base"}
        adapted = [layer for name in adapters for layer, _ in model.anatomy.adapted(name)]
        above = model.n_layers if not adapted else min(adapted)
        if len(variants) < 2 or any(lora.on_embeddings(model.inner, name) for name in adapters):
            above = 0
        self.model = model
        self.blocks: Any = list(model.anatomy.layers)[:above]
        self.room = MOST_KEPT
        self._kept: dict[Any, Any] = {}

    @contextmanager
    def at(self, key: Any) -> Iterator[None]:
        """Around one pass, which is that of the same key under every variant."""
        if not self.blocks:
            yield
        elif key in self._kept:
            with standing_still(self.model, len(self.blocks), self._kept[key]):
                yield
        else:
            handle = self.blocks[-1].register_forward_hook(lambda _, __, output: self._keep(key, output))
            try:
                yield
            finally:
                handle.remove()

    def _keep(self, key: Any, output: Any) -> None:
        state = output if isinstance(output, torch.Tensor) else output[0]
        size = state.numel() * state.element_size()
        if size <= self.room:
            self.room -= size
            self._kept[key] = output
