"""An adapter added to its base's weights, where a second finetune begins from the finetuned model.

A LoRA of the embeddings acts where tokens are read, one of the output layer where they are said. Where both
share their weights the output layer gets a copy of its own first, so that the merged model is the unmerged
one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mi_bsa.core.model_config import ModelLike, as_config, load


def merge(base: ModelLike, adapter: Path, out: Path, *, dtype: str) -> Path:
    """Write the base with an adapter added to its weights as a model folder of its own."""
    from activations import lora

    whole = as_config(base).model_copy(
        update={"quantization": None}
    )  # what is merged in 4 bits is rounded again
    loaded = load(whole, {"adapter": adapter}, dtype=dtype, device="cpu")
    if lora.on_embeddings(loaded.inner, "adapter") or lora.on_head(loaded.inner, "adapter"):
        _untie(loaded.inner)
    merged: Any = loaded.module
    merged.merge_and_unload().save_pretrained(out)
    loaded.tokenizer.save_pretrained(out)
    return out


def _untie(inner: Any) -> None:
    """Give the output layer weights of its own, where it shares those of the embeddings."""
    import torch

    if inner.config.tie_word_embeddings:
        head = inner.get_output_embeddings()
        head = getattr(head, "base_layer", head)
        own = head.weight
        head.weight = torch.nn.Parameter(own.detach().clone(), requires_grad=own.requires_grad)
        inner.config.tie_word_embeddings = False
