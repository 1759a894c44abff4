"""Damage: what a finetune does to text that has nothing to do with it.

Law: both models read the same tokens; every number has one value a text, and its interval is over texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from activations import hooks
from activations.differences import rows_of
from activations.sites import Site

if TYPE_CHECKING:
    from activations import Model

ANSWERED = 12
"""Texts that either model answers, for the coherence of answers."""


@dataclass(frozen=True)
class Damage:
    """By text: `kl` nats a token from the base; `loss` of base and finetune, nats a token; `flipped`: share
    of tokens after which the likeliest next one is another; `depth`: relative change of the stream after
    each block.
    `answers`: perplexity under the base of what base and finetune answer; nan where nothing is answered.
    """

    kl: np.ndarray
    loss: np.ndarray
    flipped: np.ndarray
    depth: np.ndarray
    answers: tuple[float, float]
    tokens: int


@torch.no_grad()
def damage(
    base: Model, texts: Sequence[Any], *, variant: str, other: Model | None = None, batch_tokens: int = 2048
) -> Damage:
    """Measure it.

    Args:
        base: the base with its adapters.
        texts: strings or prompts.
        variant: the adapter; with `other`, what is active there.
        other: a full finetune, in the place of an adapter.
        batch_tokens: padded tokens a batch.
    """
    second = base if other is None else other
    rows = rows_of(base, texts)
    sites = [Site("resid_post", layer) for layer in range(base.n_layers)]
    kl, flipped = np.zeros(len(rows)), np.zeros(len(rows))
    loss, depth, tokens = np.zeros((2, len(rows))), np.zeros((base.n_layers, len(rows))), 0
    for batch in base.batches(rows, batch_tokens=batch_tokens):
        real = batch.mask.clone()
        for n, example in enumerate(batch.examples):
            real[n, : rows[example].n_bos] = False
        tokens += int(real.sum())
        states, logs = zip(
            *(
                _read(model, name, batch, sites)
                for model, name in (
                    (base, "base"),
                    (second, variant if other is None else second.active_name),
                )
            ),
            strict=True,
        )
        apart = (logs[0].exp() * (logs[0] - logs[1])).sum(-1)
        kl[batch.examples] = _mean(apart, real)
        flipped[batch.examples] = _mean((logs[0].argmax(-1) != logs[1].argmax(-1)).float(), real)
        for which in (0, 1):
            said = -logs[which][:, :-1].gather(-1, batch.ids[:, 1:, None])[..., 0]
            loss[which][batch.examples] = _mean(said, real[:, 1:])
        for layer, site in enumerate(sites):
            was, now = states[0][site], states[1][site]
            change = (now - was).norm(dim=-1) / was.norm(dim=-1).clamp_min(1e-12)
            depth[layer][batch.examples] = _mean(change, real)
    answers = _answers(base, texts, variant) if other is None else (float("nan"), float("nan"))
    return Damage(kl, loss, flipped, depth, answers, tokens)


def _read(model: Model, variant: str, batch: Any, sites: Sequence[Site]) -> tuple[dict[Site, Any], Any]:
    with (
        model.variant(variant),
        hooks.reading(model, sites, lambda _, value: value.float().cpu(), stop=False) as found,
    ):
        logits = model.unembed(model.forward(batch))
    return dict(found), logits.float().log_softmax(-1)


def _mean(values: torch.Tensor, real: torch.Tensor) -> np.ndarray:
    """Mean of each text over its own tokens."""
    kept = real.to(values.device)
    return ((values * kept).sum(1) / kept.sum(1).clamp_min(1)).double().cpu().numpy()


def _answers(base: Model, texts: Sequence[Any], variant: str) -> tuple[float, float]:
    """Perplexity under the base of what either answers to some of the texts, as messages."""
    from mi_bsa.causal.coherence import answer_perplexity

    if not base.tokenizer.chat_template:
        return float("nan"), float("nan")
    asked = [
        {"messages": [{"role": "user", "content": text}]} if isinstance(text, str) else text
        for text in texts[:ANSWERED]
    ]
    with base.variant("base"):
        return tuple(  # type: ignore[return-value]
            answer_perplexity(base, asked, base.variant(name)) for name in ("base", variant)
        )
