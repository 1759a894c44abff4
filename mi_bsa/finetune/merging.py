"""An adapter added to its base's weights, where a second finetune begins from the finetuned model."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def merge(base: str, adapter: Path, out: Path, *, dtype: str) -> Path:
    """Write the base with an adapter added to its weights as a model folder of its own."""
    import activations

    loaded = activations.load(base, adapter=adapter, dtype=dtype)
    whole: Any = loaded.module
    whole.merge_and_unload().save_pretrained(out)
    loaded.tokenizer.save_pretrained(out)
    return out
