"""Decoding: a pass over prompts, then one token after the other over their cached keys and values.

The law: what is told of a token, its log-probability and through hooks its states, is of the very pass that
decided it, and equals what one pass over the whole row gives. A row that has ended goes on with padding until
its neighbors have, which changes none of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from activations.cache_names import name_of


@dataclass(frozen=True, eq=False)
class Decoded:
    """New tokens of some rows.

    Attributes:
        tokens: on the CPU; from the token that ended a row, what follows is padding.
        log_probs: natural logarithm of each token's probability at temperature 1; likewise.
        lengths: tokens of each row before the one that ended it.
    """

    tokens: Int[Tensor, "example step"]
    log_probs: Float[Tensor, "example step"]
    lengths: Int[Tensor, " example"]

    @property
    def answers(self) -> list[list[int]]:
        """The tokens of each row, without the one that ended it."""
        rows = zip(self.tokens.tolist(), self.lengths.tolist(), strict=True)
        return [row[:length] for row, length in rows]


@dataclass(frozen=True, eq=False)
class Prefilled:
    """Prompts that were forwarded already: their cache, as of left-padded rows, and the logits behind."""

    cache: Any
    logits: Float[Tensor, "example vocab"]


@torch.no_grad()
def decode(
    inner: Any,
    ids: Int[Tensor, "example pos"],
    mask: Bool[Tensor, "example pos"],
    *,
    most: int,
    ends: frozenset[int],
    pad: int,
    temperature: float = 0.0,
    use_cache: bool = True,
    start: Prefilled | None = None,
    after: Callable[[], None] | None = None,
) -> Decoded:
    """Answer left-padded rows; torch's global generator draws, unless the temperature is 0.

    Args:
        inner: a causal language model of Hugging Face.
        ids: token ids. mask: True at real tokens.
        most: tokens of an answer. ends: tokens that end one. pad: what follows an end.
        temperature: 0 takes the likeliest token.
        use_cache: else every token is found by a pass over all before it.
        start: the prompts' own pass, where it was run.
        after: called after each pass; there is one more then, over the last tokens, so that pass n is over
            the nth token of every answer and the first one over the prompts.
    """
    from transformers import DynamicCache

    seen, positions = mask.long(), torch.where(mask, mask.long().cumsum(1) - 1, 0)
    cache = (
        start.cache if start else DynamicCache(config=inner.config.get_text_config()) if use_cache else None
    )
    done = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    stops = torch.tensor(sorted(ends), device=ids.device)
    told: list[tuple[Tensor, Tensor, Tensor]] = []
    now = ids
    for step in range(most + 1):
        if start is None or step:
            given = inner(
                input_ids=now,
                attention_mask=seen,
                position_ids=positions[:, -now.shape[1] :],
                use_cache=use_cache,
                logits_to_keep=1,
                **{name_of(inner): cache},
            ).logits[:, -1]
            if after:
                after()
        else:
            given = start.logits
        if step == most:
            break
        given = given.to(ids.device).float()
        if temperature == 0:
            token = given.argmax(-1)
        else:
            token = torch.multinomial((given / temperature).softmax(-1), 1)[:, 0]
        token = torch.where(done, pad, token)
        told.append((token, given.gather(1, token[:, None])[:, 0] - given.logsumexp(-1), done))
        done = done | torch.isin(token, stops)
        if bool(done.all()) or (after is None and len(told) == most):
            break
        seen = torch.cat([seen, torch.ones_like(seen[:, :1])], 1)
        positions = torch.cat([positions, positions[:, -1:] + 1], 1)
        now = token[:, None] if use_cache else torch.cat([now, token[:, None]], 1)
    tokens, log_probs, ended = (torch.stack(part, 1).cpu() for part in zip(*told, strict=True))
    lengths = (~ended & ~torch.isin(tokens, stops.cpu())).sum(1)
    return Decoded(tokens, log_probs, lengths)
