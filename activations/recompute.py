"""Recompute: from a finished forward pass, run on from one layer and one position as if something there had
been different.

The law: only what can change is computed. Attention is causal, so a change at layer L and position p leaves
everything before p and below L as it was: the blocks from L on run over the positions from p on, keys and
values of earlier positions are those of the finished pass, and in the last block only the position that is
read is carried through (unless attention scores are capped). Blocks are the model's own modules, so that LoRA
layers, norms and attention are what they are everywhere else.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from activations.batches import Batch
from activations.cache_names import name_of
from activations.errors import EditError, ModelError

if TYPE_CHECKING:
    from activations.models import Model


@dataclass(frozen=True)
class Trace:
    """What a forward pass leaves for later: the input of every block, and the output of the last one; keys
    and values.

    Attributes:
        residual: `residual[L]` is `resid_pre.L`; the last is `resid_post` of the last block. (example,
            pos, d_model) each.
        keys: post-rotary keys of every block, (example, head, pos, d_head).
        values: likewise.
        rotary: (cos, sin) of the longest row, (1, pos, d_head), for every block.
    """

    residual: tuple[Float[Tensor, "example pos d_model"], ...]
    keys: tuple[Float[Tensor, "example head pos d_head"], ...]
    values: tuple[Float[Tensor, "example head pos d_head"], ...]
    rotary: tuple[tuple[Tensor, Tensor], ...]

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return sum(part.nbytes for part in (*self.residual, *self.keys, *self.values))


class _Recorder:
    """Stands for a cache in one block's attention: puts the keys and values of earlier positions before the
    new ones, and keeps all. `update` is all that attention asks of a cache, and transformers' own would drop
    what lies outside a window."""

    def __init__(self, keys: Tensor | None = None, values: Tensor | None = None) -> None:
        self.keys, self.values = keys, values

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if self.keys is not None and self.values is not None and self.keys.shape[2]:
            keys = torch.cat([self.keys.to(keys.device), keys], 2)
            values = torch.cat([self.values.to(values.device), values], 2)
        self.keys, self.values = keys, values
        return keys, values


def check(model: "Model") -> None:
    """Refuse states in which blocks cannot be run one by one.

    Raises:
        EditError: edits are in force.
        ModelError: an attention implementation that takes no mask.
    """
    model.check()
    if model.anatomy.decoder._forward_pre_hooks:
        raise EditError(
            "the model is being edited: patching runs its blocks one by one; leave activations.edit(...) "
            "first"
        )
    if model.attention not in ("sdpa", "eager"):
        raise ModelError(
            f"attention {model.attention!r} takes no explicit mask; load with attention='sdpa' or 'eager'"
        )


def mask(model: "Model", layer: int, start: int, width: int, *, like: Tensor) -> Tensor | None:
    """The additive causal mask of a block for queries at `start`, ..., `start + width - 1`; None where
    everything is seen."""
    seen = _seen(model, layer, torch.arange(start, start + width, device=like.device), start + width)
    if width == 1 and bool(seen.all()):
        return None  # only for one query: attention takes several without a mask for a row that begins at 0
    closed = torch.zeros(seen.shape, dtype=like.dtype, device=like.device).masked_fill(
        ~seen,
        torch.finfo(like.dtype).min,  # as in transformers: -inf in a whole line would give NaN
    )
    return rearrange(closed, "query key -> 1 1 query key")


def _seen(model: "Model", layer: int, queries: Tensor, keys: int) -> Tensor:
    """Which of so many keys the attention of a block sees from each query's place, (query, key)."""
    window, query = model.anatomy.windows[layer], rearrange(queries, "query -> query 1")
    key = torch.arange(keys, device=queries.device)
    return (key <= query) & (key > query - window) if window is not None else key <= query


def run_block(
    model: "Model",
    layer: int,
    hidden: Float[Tensor, "row pos d_model"],
    *,
    start: int,
    rotary: tuple[Tensor, Tensor],
    cache: _Recorder,
) -> Float[Tensor, "row pos d_model"]:
    """One block over positions from `start` on; the result lies where `hidden` does."""
    width = hidden.shape[1]
    block = model.anatomy.layers[layer]
    output = block(
        hidden,
        attention_mask=mask(model, layer, start, width, like=hidden),
        position_embeddings=tuple(part[:, start : start + width] for part in rotary),
        position_ids=rearrange(torch.arange(start, start + width, device=hidden.device), "pos -> 1 pos"),
        use_cache=True,
        **{name_of(block): cache},
    )
    return (output if isinstance(output, Tensor) else output[0]).to(hidden.device)


def trace(model: "Model", batch: Batch) -> Trace:
    """Run a right-padded batch and keep what `resume` needs, all of it where the tokens are."""
    found: list[Tensor] = []
    rotary: list[tuple[Tensor, Tensor]] = []
    longest = int(batch.lengths.argmax())

    def before(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        found.append((arguments[0] if arguments else named["hidden_states"]).detach())
        cos, sin = named["position_embeddings"]
        row = longest if len(cos) > 1 else 0  # a shorter row's end is padding's
        rotary.append((cos[row : row + 1], sin[row : row + 1]))

    def after(_: Any, __: Any, output: Any) -> None:
        found.append((output if isinstance(output, Tensor) else output[0]).detach())

    caches = [_Recorder() for _ in model.anatomy.layers]
    with ExitStack() as stack, torch.no_grad():
        for layer, parts, cache in zip(model.anatomy.layers, model.anatomy.parts, caches, strict=True):
            name = name_of(parts.attention)

            def record(
                _: Any, arguments: Any, named: dict[str, Any], cache: _Recorder = cache, name: str = name
            ) -> Any:
                return arguments, {**named, name: cache}

            stack.callback(layer.register_forward_pre_hook(before, with_kwargs=True).remove)
            stack.callback(parts.attention.register_forward_pre_hook(record, with_kwargs=True).remove)
        # the next block's input is this one's output, so that only the last block's is read
        stack.callback(model.anatomy.layers[-1].register_forward_hook(after).remove)
        model.forward(batch)
    keys, values = [cache.keys for cache in caches], [cache.values for cache in caches]
    home = model.device

    def kept(parts: Iterable[Tensor | None]) -> tuple[Tensor, ...]:
        return tuple(part.to(home) for part in parts if part is not None)

    return Trace(kept(found), kept(keys), kept(values), tuple((c.to(home), s.to(home)) for c, s in rotary))


def at_one(
    model: "Model",
    layer: int,
    hidden: Float[Tensor, "row pos d_model"],
    *,
    start: int,
    read: Int[Tensor, " row"],
    rotary: tuple[Tensor, Tensor],
    keys: Float[Tensor, "prompt head past d_head"],
    values: Float[Tensor, "prompt head past d_head"],
    at: Int[Tensor, " prompt"] | None = None,
) -> Float[Tensor, "row d_model"]:
    """A block at one position of each row (`read`, counted from `start`), as the last block is read: keys and
    values of all, the rest of one.

    `keys` and `values` of the past are the prompts' own: the rows hold all of these again and again, in this
    order, and nothing of the past is copied for them. Rows of one token each may stand at a position of
    their prompt (`at`): the past is then as long as the longest needs, and what does not stand before a
    position is not seen. The result lies where `hidden` does.
    """
    parts, home = model.anatomy.parts[layer], hidden.device
    place = next(model.anatomy.layers[layer].parameters()).device
    hidden, read, keys, values = (given.to(place) for given in (hidden, read, keys, values))
    normed = parts.attention_reads(hidden)
    width, prompts = hidden.shape[1], len(keys)
    new_keys, new_values = parts.heads("k", normed), parts.heads("v", normed)
    if width > 1:
        rows = torch.arange(len(hidden), device=hidden.device)
        hidden, normed = hidden[rows, read], normed[rows, read][:, None]
    else:
        hidden = hidden[:, 0]
    query = parts.heads("q", normed)
    if at is None:
        cos, sin = (part[0, start : start + width].to(place) for part in rotary)
        new_keys = turned(new_keys, cos, sin)
        query = turned(query, cos[read][:, None, None], sin[read][:, None, None]) * parts.scaling
        # of rows of one length the slot is the same, and so is what it sees
        seen = _seen(model, layer, (read if width > 1 else read[:1]) + start, start + width)
    else:
        at = at.to(place)
        own = at.repeat(len(hidden) // prompts)
        cos, sin = (part.to(place)[0, own][:, None, None] for part in rotary)
        new_keys, query = turned(new_keys, cos, sin), turned(query, cos, sin) * parts.scaling
        before = torch.arange(start, device=place) < rearrange(at, "prompt -> prompt 1")
        seen = torch.cat([_seen(model, layer, at, start) & before, torch.ones_like(before[:, :1])], 1)
    query = rearrange(query, "row (head own) 1 d_head -> row head own d_head", head=new_keys.shape[1])
    query = query.to(torch.promote_types(query.dtype, torch.float32))  # no score is rounded to bfloat16
    keys, values, new_keys, new_values = (part.to(query) for part in (keys, values, new_keys, new_values))
    # One multiplication a prompt and head, for all of its rows; keys stand before rows, as a softmax over the
    # last dimension of some ten keys takes twenty times as long.
    to_prompt = "(again prompt) head own key -> prompt head key (again own)"
    to_row = "prompt head key (again own) -> (again prompt) head own key"
    past = keys @ rearrange(query, to_prompt, prompt=prompts)
    new = rearrange(query @ new_keys.transpose(-1, -2), to_prompt, prompt=prompts)
    scores = torch.cat([past, new], 2)
    if not bool(seen.all()):
        if at is None:
            closed = rearrange(~seen, "row key -> row 1 1 key").expand(len(query), 1, query.shape[2], -1)
            closed = rearrange(closed, to_prompt, prompt=prompts)
        else:
            closed = rearrange(~seen, "prompt key -> prompt 1 key 1")
        scores = scores.masked_fill(closed, -torch.inf)
    weights = scores.softmax(2)
    mixed = rearrange(values.transpose(-1, -2) @ weights[:, :, :start], to_row, own=query.shape[2])
    now = rearrange(weights[:, :, start:], to_row, own=query.shape[2])
    mixed = mixed + (now * new_values if width == 1 else now @ new_values)
    mixed = rearrange(mixed, "row head own d_head -> row (head own d_head)").to(hidden)
    middle = hidden + parts.attention_adds(mixed)
    return (middle + parts.mlp_adds(middle)).to(home)


def at_slots(
    model: "Model",
    trace: Trace,
    layer: int,
    hidden: Float[Tensor, "line 1 d_model"],
    *,
    rows: Int[Tensor, " row"],
    slots: Int[Tensor, " row"],
) -> Float[Tensor, "line d_model"]:
    """A block at one position of each prompt (`slots`), over the keys and values that rows of a finished pass
    have before it; the lines are these rows again and again."""
    longest = int(slots.max())
    keys, values = (part[layer][rows][:, :, :longest] for part in (trace.keys, trace.values))
    return at_one(
        model,
        layer,
        hidden,
        start=longest,
        read=torch.zeros(len(hidden), dtype=torch.int64, device=hidden.device),
        rotary=trace.rotary[layer],
        keys=keys,
        values=values,
        at=None if bool((slots == longest).all()) else slots,
    )


def turned(
    value: Float[Tensor, "*row d_head"],
    cos: Float[Tensor, "*#row d_head"],
    sin: Float[Tensor, "*#row d_head"],
) -> Float[Tensor, "*row d_head"]:
    """Queries or keys turned to their positions; halves are paired and not neighbors."""
    half = value.shape[-1] // 2
    return value * cos + torch.cat([-value[..., half:], value[..., :half]], -1) * sin


def plain_blocks(model: "Model") -> bool:
    """Whether `at_one` computes this model's attention."""
    return not model.anatomy.caps_attention
