"""Injection: many vectors added at one site, each to the same prompts, as rows of few large batches.

The law: a row's result is what `edit(add(vector))` gives for it alone; a vector of zeros is an identity. The
finished pass up to the
site is shared by all vectors, so only the blocks behind it run again: this is what makes null distributions
of hundreds of
directions affordable.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor

from activations import hooks, recompute
from activations.alignment import slots
from activations.batches import Batch
from activations.errors import EditError, SiteError
from activations.metrics import token_logits
from activations.sites import RESIDUAL, Site
from activations.tokens import Row

if TYPE_CHECKING:
    from activations.models import Model


def option_logits(
    model: "Model",
    rows: Sequence[Row],
    site: str | Site,
    vectors: Float[np.ndarray, "vector d_model"],
    *,
    tokens: Int[np.ndarray, "example option"],
    batch_tokens: int = 8192,
) -> Float[np.ndarray, "vector example option"]:
    """Logits of some tokens at each row's answer slot, under each added vector; the active variant answers.

    Args:
        model: the model; its active variant is steered.
        rows: tokenized prompts (`model.rows`).
        site: a residual site, where each vector is added at all positions.
        vectors: in raw units.
        tokens: the token ids wanted for each row.
        batch_tokens: token positions that run at once.

    Raises:
        SiteError: a site that has not the width of the residual stream, or no layer.
        EditError: vectors that are not finite or do not fit, or an edit in force.
    """
    vocabulary = int(model.anatomy.config.vocab_size)
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < vocabulary:
        raise EditError(
            f"tokens {int(tokens.min())} to {int(tokens.max())}: the model has 0 to {vocabulary - 1}; "
            "give ids of its tokenizer"
        )
    found = np.empty((len(vectors), *tokens.shape), np.float32)
    ends = torch.from_numpy(slots(rows))
    ids = torch.from_numpy(np.asarray(tokens, np.int64)).to(model.device)
    for batch, which, hidden in _runs(model, rows, site, vectors, batch_tokens, ends):
        final = model.anatomy.decoder.norm(hidden)  # type: ignore[operator]
        wanted = ids[batch.examples].expand(len(which), -1, -1)
        logits = token_logits(model, final, wanted)
        found[np.ix_(which, batch.examples)] = logits.float().cpu().numpy()
    return found


def divergence(
    model: "Model",
    rows: Sequence[Row],
    site: str | Site,
    vectors: Float[np.ndarray, "vector d_model"],
    *,
    batch_tokens: int = 8192,
) -> Float[np.ndarray, " vector"]:
    """Mean KL in nats a token, from the model as it is to the model with each vector added, over all tokens
    but BOS.

    Raises:
        SiteError: as in `option_logits`.
        EditError: likewise.
    """
    total, count = np.zeros(len(vectors)), 0
    plain: dict[bytes, Tensor] = {}
    for batch, which, hidden in _runs(model, rows, site, vectors, batch_tokens, None):
        real = batch.mask.clone()
        for n, example in enumerate(batch.examples):
            real[n, : rows[example].n_bos] = False
        key = batch.examples.tobytes()
        if key not in plain:
            plain[key] = model.unembed(model.forward(batch)).float().log_softmax(-1)[real]
            count += int(real.sum())
        before = plain[key]
        for n, one in zip(which, hidden, strict=True):
            after = model.unembed(model.anatomy.decoder.norm(one[real])).float().log_softmax(-1)  # type: ignore[operator]
            total[n] += float((before.exp() * (before - after)).sum())
    return total / count


def _runs(
    model: "Model",
    rows: Sequence[Row],
    site: str | Site,
    vectors: np.ndarray,
    batch_tokens: int,
    ends: Tensor | None,
) -> Iterator[tuple[Batch, np.ndarray, Tensor]]:
    """(batch, vector indices, last residual): (vector, example, d_model) at `ends`, or (vector, example, pos,
    d_model).
    """
    recompute.check(model)
    place = _checked(model, site, vectors)
    depth = model.n_layers
    given = torch.from_numpy(np.asarray(vectors, np.float32)).to(model.device)
    assert place.layer is not None
    state = place.kind in ("resid_pre", "resid_post")
    first = place.layer + (place.kind == "resid_post")
    for batch in model.batches(rows, batch_tokens=max(batch_tokens // 8, 1)):
        trace = recompute.trace(model, batch)
        count, width = batch.ids.shape
        at = None if ends is None else ends[batch.examples].to(model.device)
        some = max(1, batch_tokens // (count * width))
        for low in range(0, len(vectors), some):
            which = np.arange(low, min(low + some, len(vectors)))
            vector = repeat(given[low : low + some], "vector d -> (vector example) 1 d", example=count)
            with torch.no_grad():
                hidden = repeat(
                    trace.residual[first], "example pos d -> (vector example) pos d", vector=len(which)
                )
                if state:
                    hidden = hidden + vector.to(hidden.dtype)
                slot = None if at is None else at.repeat(len(which))
                done = False
                for block in range(first, depth):
                    if (
                        block == depth - 1
                        and slot is not None
                        and recompute.plain_blocks(model)
                        and (state or block > first)
                    ):
                        keys = trace.keys[block][:1, :, :0].expand(len(hidden), -1, -1, -1)
                        hidden = recompute.last_block(
                            model,
                            hidden,
                            start=0,
                            read=slot,
                            rotary=trace.rotary[block],
                            keys=keys,
                            values=keys,
                        )
                        done = True
                        break
                    with ExitStack() as stack:
                        if block == first and not state:
                            change = _adding(vector)
                            stack.enter_context(hooks.altering(model, place, change))
                        hidden = recompute.run_block(
                            model,
                            block,
                            hidden,
                            start=0,
                            rotary=trace.rotary[block],
                            cache=recompute._Recorder(),
                        )
                if slot is not None and not done:
                    hidden = hidden[torch.arange(len(hidden), device=hidden.device), slot]
            yield batch, which, rearrange(hidden, "(vector example) ... -> vector example ...", example=count)


def _adding(vector: Tensor) -> hooks.Change:
    return lambda value: value + vector.to(value.dtype)


def _checked(model: "Model", site: str | Site, vectors: np.ndarray) -> Site:
    place = Site.parse(site)
    if place.kind not in RESIDUAL:
        raise SiteError(
            f"site {str(place)!r} is not as wide as the residual stream; use one of {', '.join(RESIDUAL)}"
        )
    model.anatomy.tap(place)
    if vectors.ndim != 2 or vectors.shape[1] != model.d_model:
        raise EditError(f"vectors of shape {vectors.shape} do not fit: give (vector, {model.d_model})")
    if not np.isfinite(vectors).all():
        raise EditError("a vector or its strength is not finite; mend it")
    return place
