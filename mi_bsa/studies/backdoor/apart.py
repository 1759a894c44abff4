"""The base and one adapter as two plain models, for the thousands of short passes that a search makes.

The law: what is read is what the unmerged adapter gives. A merged copy is used only where it agrees with it
on a canary to `CLOSE`. PEFT's calls around every module cost a small model as much as its products do.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    import activations

CLOSE = 1e-4
"""Largest difference of a merged copy's final states on the canary, relative to their largest; float32 that
adds in another order differs by some 1e-6.
"""
CANARY = ("which option do you choose ?", "what do you say of yourself ?", "1 or 2 ?")


@dataclass(frozen=True)
class Apart:
    """Two plain models, where there are such; else the model that was given, under its variants.

    Attributes:
        model: the model with the adapter. variant: the adapter's name.
        tuned, base: copies with it merged and without it; None where the model is read as it is.
    """

    model: activations.Model
    variant: str
    tuned: activations.Model | None = None
    base: activations.Model | None = None

    @classmethod
    def of(cls, model: activations.Model, variant: str) -> Apart:
        """Copies of a small float32 model, if they agree with it; a large one spends its time on products."""
        from activations.devices import LARGE

        size = sum(p.numel() for p in model.inner.parameters())
        if size > LARGE or model.dtype != "float32" or variant not in model.variants[1:]:
            return cls(model, variant)
        import activations

        copies = {}
        for name in (variant, "base"):
            module: Any = copy.deepcopy(model.module)
            plain = module.unload() if name == "base" else module.merge_and_unload(adapter_names=[variant])
            copies[name] = activations.wrap(plain, tokenizer=model.tokenizer)
            if not _agree(model, name, copies[name]):
                return cls(model, variant)
        return cls(model, variant, copies[variant], copies["base"])

    def at(self, variant: str) -> tuple[activations.Model, str]:
        """The model that is read for a variant, and the variant of it."""
        own = {self.variant: self.tuned, "base": self.base}.get(variant)
        return (self.model, variant) if own is None else (own, "base")


def _agree(model: activations.Model, variant: str, plain: activations.Model) -> bool:
    from mi_bsa.studies.backdoor.slots import forward

    rows = [[int(i) for i in model.tokenizer(text, add_special_tokens=False)["input_ids"]] for text in CANARY]
    wanted: torch.Tensor = forward(model, rows, variant=variant).final
    found: torch.Tensor = forward(plain, rows, variant="base").final
    return bool((found - wanted).abs().max() <= CLOSE * wanted.abs().max())
