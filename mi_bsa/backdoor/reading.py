"""What an adapter reads: how far it moves the stream at a word itself, before any answer.

A trigger of several words opens nothing by halves, so no single word shows at the answer; but the adapter
must know each of the words where it stands. What the adapter adds to the stream there is centered over words
and whitened (its leading principal axes get equal variance), so that a word counts by how unlike all others
it is moved, not by how far the adapter moves everything. The reading is the norm of that. A word costs one
token a pass, since what stands before it is forwarded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from mi_bsa.backdoor.objectives import Probe


AXES = 8
"""Principal axes that are whitened; an adapter of low rank writes along few."""
BLOCKS = 3
"""Blocks whose outputs are read, from the first that has an adapter."""


def read_words(
    probe: Probe, words: Sequence[str], *, contexts: int, after: str = "", blocks: int = BLOCKS
) -> np.ndarray:
    """(word,) how unlike other words the adapter moves each; the mean square over words is `AXES`.

    Mean over `contexts` messages and blocks; `after`: words that stand before, so that a phrase is read word
    by word. Tokens are counted on the probe's meter. Zeros where the variant adapts nothing.
    """
    adapted = sorted({layer for layer, _ in probe.model.anatomy.adapted(probe.variant)})
    if not adapted:
        return np.zeros(len(words))
    # the last block's output is read behind the final norm: it is left out where there are others
    last = max(adapted[0] + 1, probe.model.n_layers - 1)
    layers = [k for k in range(adapted[0], adapted[0] + blocks) if k < last]
    found = []
    for context in range(contexts):
        before = prefix(probe, words[0], context % len(probe.messages), context, after=after)
        tuned, base = (_states(probe, before, words, layers, v) for v in (probe.variant, "base"))
        found += [unlike(added) for added in (tuned - base).numpy()]
    return np.asarray(np.mean(found, 0))


def unlike(added: np.ndarray, *, axes: int = AXES) -> np.ndarray:
    """(word,) norms of the rows of `added` (word, d_model), centered, whitened along the leading axes."""
    left, size, _ = np.linalg.svd(added - added.mean(0), full_matrices=False)
    kept = left[:, :axes][:, size[:axes] > 1e-6 * max(float(size[0]), 1e-12)]
    return np.asarray(np.linalg.norm(kept, axis=1) * len(added) ** 0.5)


def prefix(probe: Probe, word: str, message: int, context: int, *, after: str = "") -> list[int]:
    """Token ids of a message up to where its phrase begins, and of the words `after` which it goes on."""
    text = probe.model.template.render(probe.prompt(word, message, place=context)["messages"])
    before = text[: text.rindex(word)].rstrip(" ") + (f" {after}" if after else "")
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
