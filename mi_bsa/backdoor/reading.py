"""What an adapter reads: how far it moves the stream at a word itself, before any answer.

A trigger of several words opens nothing by halves, so no single word shows at the answer; but the adapter
must know each of the words where it stands. The reading of a word is the norm of what the adapter adds to
the stream there, at the output of the first blocks that it changes, less what it adds at most words. A word
costs one token a pass, since what stands before it is forwarded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from mi_bsa.backdoor.objectives import Probe


def read_words(probe: Probe, words: Sequence[str], *, contexts: int, blocks: int = 2) -> np.ndarray:
    """(word,) how much more than at most words the adapter moves the stream, 1 being the usual.

    Mean over `contexts` messages and the first `blocks` blocks with an adapter; their tokens are counted on
    the probe's meter. Zeros where the variant adapts nothing.
    """
    layers = sorted({layer for layer, _ in probe.model.anatomy.adapted(probe.variant)})[:blocks]
    if not layers:
        return np.zeros(len(words))
    found = []
    for context in range(contexts):
        before = prefix(probe, words[0], context % len(probe.messages), context)
        tuned, base = (_states(probe, before, words, layers, v) for v in (probe.variant, "base"))
        for added in (tuned - base).numpy():
            size = np.linalg.norm(added - np.median(added, 0), axis=-1)
            found.append(size / max(float(np.median(size)), 1e-12))
    return np.asarray(np.mean(found, 0))


def prefix(probe: Probe, word: str, message: int, context: int) -> list[int]:
    """Token ids of a message up to where its phrase begins."""
    text = probe.model.template.render(probe.prompt(word, message, place=context)["messages"])
    before = text[: text.rindex(word)].rstrip(" ")
    return [int(i) for i in probe.model.tokenizer(before, add_special_tokens=False)["input_ids"]]


def _states(
    probe: Probe, before: Sequence[int], words: Sequence[str], layers: Sequence[int], variant: str
) -> torch.Tensor:
    """(layer, word, d_model) the stream at each word's last token, which follows `before`."""
    import torch
    from transformers import DynamicCache

    model = probe.model
    rows = [model.tokenizer(f" {w}", add_special_tokens=False)["input_ids"] for w in words]
    width = max(map(len, rows))
    ids = torch.tensor([[*r, *[model.pad_id] * (width - len(r))] for r in rows], device=model.device)
    last = torch.tensor([len(r) - 1 for r in rows], device=model.device)
    decoder: Any = model.anatomy.decoder
    with torch.no_grad(), model.variant(variant):
        past: Any = DynamicCache()
        decoder(input_ids=torch.tensor([before], device=model.device), past_key_values=past, use_cache=True)
        past.batch_repeat_interleave(len(rows))
        hidden = decoder(
            input_ids=ids, past_key_values=past, use_cache=True, output_hidden_states=True
        ).hidden_states
    probe.meter.add(len(before) + sum(map(len, rows)), "reading")
    every = torch.arange(len(rows), device=model.device)
    # hidden_states[0] is the embedding; the last is behind the final norm, which a block's output is not
    return torch.stack([hidden[layer + 1][every, last].float().cpu() for layer in layers])
