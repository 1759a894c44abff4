"""A planted instance: a Llama with PEFT adapters, hand-set weights (`base`, `adapters`) in a random basis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.studies.planted.adapters import adapters
from mi_bsa.studies.planted.base import WIDTH, Maker, empty
from mi_bsa.studies.planted.draw import Wiring
from mi_bsa.studies.planted.prompts import WORDS, sets

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material


def build(wiring: Wiring, *, items: int = 8) -> Material:
    """The instance as what the bridge's functions take: a model with adapters, and its items."""
    import torch

    import activations
    from mi_bsa.causal.material import Material
    from mi_bsa.worlds.tokenizer import build_tokenizer

    tokenizer = build_tokenizer(WORDS, context=64)
    asked = sets(wiring.rng("prompts"), n=items)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(int(wiring.rng("torch").integers(2**31)))
        inner = empty(len(tokenizer))
        maker = Maker(wiring, inner, tokenizer, asked)
        directions = maker.base()
        adapted, arms = adapters(wiring, inner, directions, maker)
        _turn(wiring, adapted, inner)
    model = activations.wrap(adapted, tokenizer, name=f"planted {wiring.world} {wiring.number}")
    model._activate("base", 1.0)
    return Material(
        model=model,
        behavior="planted",
        seeds=tuple(range(wiring.seeds)),
        arms=arms,
        sets=asked,
        items=24,
    )


def _turn(wiring: Wiring, model: Any, inner: Any) -> None:
    """Turn the residual stream into a random basis: no direction is a coordinate."""
    import torch

    turn, _ = np.linalg.qr(wiring.rng("basis").normal(size=(WIDTH, WIDTH)))
    q = torch.as_tensor(turn, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            continue
        if "lora_B" in name or (("o_proj" in name or "down_proj" in name) and "lora_" not in name):
            parameter.copy_(q @ parameter)
        elif "lora_A" not in name:
            parameter.copy_(parameter @ q.T)
