"""Exact log-probabilities of every option of every item, in as few tokens as possible.

What is shared is computed once. Options of one token are all read from one forward pass's last logits.
Longer options hang on the prompt as a tree in the same row: each branch sees the prompt and its own
ancestors only (a 4-d attention mask) and stands at the positions it would have had alone, so the numbers
equal those of one pass an option; where a layer attends within a window, its mask counts positions, not
columns. Equal prompts of different items are one row. Rows are sorted by length
and cut into batches under a token budget.

Where one option's tokens begin another's ('10', '100'), all options of that item are scored with the token
that ends the turn, so that options are disjoint events and their probabilities add up to at most 1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from activations.conversation import tails, template_of
from activations.tokens import Template
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import Item

if TYPE_CHECKING:
    import torch

MAX_LOGITS = 2**27
"""Most logits held at once (512 MiB in fp32): matters at vocabularies of 100,000 tokens."""


@runtime_checkable
class Askable(Protocol):
    """What asking needs of a model; `activations.Model` is one."""

    inner: Any
    tokenizer: Any

    def variant(self, name: str) -> contextlib.AbstractContextManager[Any]: ...


@dataclass(frozen=True)
class Branching:
    """One row for the model: a prompt, then the tree of its options' tokens but each option's last.

    `ids`: prompt and tree nodes; `parents[k]`: row index of node k's parent (its last prompt token for a
    root); `reads[o]`: pairs (row index whose logits are read, token id), whose log-probabilities add up to
    option o's.
    """

    prompt: tuple[int, ...]
    nodes: tuple[int, ...]
    parents: tuple[int, ...]
    reads: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def ids(self) -> tuple[int, ...]:
        return self.prompt + self.nodes

    @property
    def depths(self) -> tuple[int, ...]:
        """The position of every node, as if its option stood alone behind the prompt."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(parent + 1 if parent < len(self.prompt) else depths[parent - len(self.prompt)] + 1)
        return tuple(depths)

    @property
    def deepest(self) -> int:
        """The last position that is forwarded."""
        return max(self.depths, default=len(self.prompt) - 1)


def option_log_probs(
    model: Askable, items: Sequence[Item], *, max_tokens: int = 2048
) -> list[Float[np.ndarray, " option"]]:
    """Log-probability (natural log) of every option of every item under the model's active variant, in item
    order.

    `max_tokens`: padded tokens a batch (2048 suits a CPU, 16384 and more a GPU). Raises `ItemError` where a
    prompt exceeds the model's context, or where two options are the same tokens; `TemplateError` where the
    chat template cannot carry an answer.
    """
    import torch

    from activations.anatomy import context_length

    template = template_of(model)
    limit = context_length(model.inner.config)
    rows = branches(items, template, limit=limit)
    unique = {(r.prompt, r.nodes, r.parents): r for r in rows}
    wanted: dict[Any, set[int]] = {key: set() for key in unique}
    for row in rows:
        wanted[(row.prompt, row.nodes, row.parents)].update(at for reads in row.reads for at, _ in reads)
    keys = sorted(unique, key=lambda k: (bool(k[1]), len(k[0]) + len(k[1])))
    readers: dict[Any, list[int]] = {key: [] for key in unique}
    for n, row in enumerate(rows):
        readers[(row.prompt, row.nodes, row.parents)].append(n)
    log_probs_of: list[Any] = [None] * len(items)
    vocab = model.inner.config.get_text_config().vocab_size
    with torch.no_grad():
        for batch in batches([unique[k] for k in keys], [wanted[k] for k in keys], max_tokens, vocab):
            keep = sorted({at for n in batch for at in wanted[keys[n]]})
            column = {at: c for c, at in enumerate(keep)}
            some = [unique[keys[n]] for n in batch]
            with prompts_end(model, some):
                logits = forward(model.inner, some, keep).float()
            log_probs = torch.log_softmax(logits, dim=-1).cpu().numpy()
            for b, n in enumerate(batch):
                for which in readers[keys[n]]:
                    log_probs_of[which] = np.array(
                        [
                            sum(float(log_probs[b, column[at], token]) for at, token in reads)
                            for reads in rows[which].reads
                        ]
                    )
    return log_probs_of


def branches(items: Sequence[Item], template: Template, *, limit: int) -> list[Branching]:
    """Every item as one row. Raises `ItemError` for one that is longer than the model reads (`limit`)."""
    rows = [branch(item, template) for item in items]
    for item, row in zip(items, rows, strict=True):
        if row.deepest + 2 > limit:
            more = f", with its longest option {row.deepest + 2}," if row.nodes else ""
            raise ItemError(
                f"item {item.id!r}: its prompt has {len(row.prompt)} tokens{more} and the model reads "
                f"{limit}; shorten it"
            )
    return rows


def branch(item: Item, template: Template) -> Branching:
    """The item as one row: its prompt, and its options as a tree of tokens found in context."""
    prompt, ends = tails(template, item.messages, [text for text, _ in item.options])
    if len({tail.lead for tail in ends}) == 1:
        prompt += ends[0].lead
        options = [tail.answer for tail in ends]
    else:
        options = [tail.lead + tail.answer for tail in ends]
    texts = [text for text, _ in item.options]
    for n, option in enumerate(options):
        if option in options[:n]:
            raise ItemError(
                f"item {item.id!r}: options {texts[options.index(option)]!r} and {texts[n]!r} are the same "
                "tokens; use options that the tokenizer tells apart"
            )
    if any(option != other and other[: len(option)] == option for option in options for other in options):
        if not all(tail.closing for tail in ends):
            raise ItemError(
                f"item {item.id!r}: one option begins another and the template closes a turn with "
                "nothing; use other options"
            )
        options = [option + tail.closing[:1] for option, tail in zip(options, ends, strict=True)]
    last = len(prompt) - 1
    nodes: list[int] = []
    parents: list[int] = []
    place: dict[tuple[int, ...], int] = {(): last}
    for option in options:
        for depth in range(1, len(option)):
            if option[:depth] not in place:
                place[option[:depth]] = len(prompt) + len(nodes)
                nodes.append(option[depth - 1])
                parents.append(place[option[: depth - 1]])
    reads = tuple(tuple((place[option[:k]], option[k]) for k in range(len(option))) for option in options)
    return Branching(prompt, tuple(nodes), tuple(parents), reads)


def batches(
    rows: Sequence[Branching], wanted: Sequence[set[int]], max_tokens: int, vocab: int
) -> Iterator[list[int]]:
    """Indices of consecutive rows that fit one batch; trees and plain rows are kept apart."""
    batch: list[int] = []
    width, keep = 0, set[int]()
    for n, row in enumerate(rows):
        wide, more = max(width, len(row.ids)), keep | wanted[n]
        size = len(batch) + 1
        mixed = batch and bool(rows[batch[0]].nodes) != bool(row.nodes)
        if batch and (mixed or wide * size > max_tokens or size * len(more) * vocab > MAX_LOGITS):
            yield batch
            batch, wide, more = [], len(row.ids), wanted[n]
        batch.append(n)
        width, keep = wide, set(more)
    if batch:
        yield batch


@contextlib.contextmanager
def prompts_end(model: Askable, rows: Sequence[Branching]) -> Iterator[None]:
    """Tell edits in force about each row, where the model keeps such notes: where its prompt ends (a tree's
    branches stand behind it), how far its options reach, and that equal rows are asked once.
    """
    import torch

    if not hasattr(model, "_prompts_end_at"):
        yield
        return
    ends = torch.tensor([len(row.prompt) for row in rows])
    reach = torch.tensor([row.deepest + 1 for row in rows])
    sizes = torch.tensor([len(row.ids) for row in rows])
    real = torch.arange(int(sizes.max())) < sizes[:, None]
    noting: Any = model
    with noting._prompts_end_at(ends, reach=reach, real=real), noting._rows_are(None, ()):
        yield


def forward(
    inner: Any, rows: Sequence[Branching], keep: Sequence[int]
) -> Float[torch.Tensor, "example pos vocab"]:
    """Logits at the row positions `keep` of right-padded rows; plainly causal unless a row has a tree."""
    import torch

    device = next(inner.parameters()).device
    width = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    positions = torch.zeros(len(rows), width, dtype=torch.long)
    real = torch.zeros(len(rows), width, dtype=torch.long)
    tree = any(row.nodes for row in rows)
    allowed = torch.eye(width, dtype=torch.bool).repeat(len(rows), 1, 1) if tree else None
    for b, row in enumerate(rows):
        n, length = len(row.prompt), len(row.ids)
        ids[b, :length] = torch.tensor(row.ids)
        positions[b, :length] = torch.tensor([*range(n), *row.depths])
        real[b, :length] = 1
        if allowed is not None:
            allowed[b, :n, :n] = torch.ones(n, n, dtype=torch.bool).tril()
            for k, parent in enumerate(row.parents):
                allowed[b, n + k] |= allowed[b, parent]
    mask: Any = real.to(device)
    if allowed is not None:
        if inner.config._attn_implementation not in ("sdpa", "eager"):
            raise ItemError(
                "options of several tokens need attention 'sdpa' or 'eager', not "
                f"{inner.config._attn_implementation!r}; load the model with attention='sdpa'"
            )
        mask = tree_masks(inner, allowed, positions, device)
    out = inner(
        input_ids=ids.to(device),
        attention_mask=mask,
        position_ids=positions.to(device),
        use_cache=False,
        logits_to_keep=torch.tensor(list(keep), device=device),
    )
    return out.logits


def tree_masks(
    inner: Any,
    allowed: Bool[torch.Tensor, "example query key"],
    positions: Int[torch.Tensor, "example key"],
    device: torch.device,
) -> Float[torch.Tensor, "example 1 query key"] | dict[str, Float[torch.Tensor, "example 1 query key"]]:
    """The additive mask of a tree; one a kind of layer where some attend within a window."""
    import torch

    from activations import families

    dtype = next(inner.parameters()).dtype

    def additive(window: int | None) -> torch.Tensor:
        seen = allowed
        if window is not None:  # a token sees itself and the window - 1 positions before it
            seen = allowed & (positions[:, :, None] - positions[:, None, :] < window)
        mask = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
        return mask[:, None].to(device)

    config = inner.config.get_text_config()
    each = families.of(config).windows(config)
    if len(set(each)) == 1:
        return additive(each[0])
    return {kind: additive(window) for kind, window in zip(config.layer_types, each, strict=True)}
