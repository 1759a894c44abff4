"""A planted instance: a Llama with PEFT adapters, hand-set weights (`base`, `adapters`) in a random basis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.studies.planted.adapters import Written, adapters
from mi_bsa.studies.planted.base import STATE, Maker, empty
from mi_bsa.studies.planted.draw import Wiring
from mi_bsa.studies.planted.prompts import WORDS, sets

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material


@dataclass(frozen=True, eq=False)
class Instance:
    """A planted model and what was planted.

    Attributes:
        wiring: what it is wired like.
        material: as the bridge's functions take it.
        state: what an adapter of strength 1 writes of the choices' state, seeking pole.
        written: what each adapter writes.
    """

    wiring: Wiring
    material: Material
    state: Float[np.ndarray, " d_model"]
    written: dict[str, Written]


def build(wiring: Wiring, *, items: int = 8) -> Material:
    """The instance as what the bridge's functions take: a model with adapters, and its items."""
    return instance(wiring, items=items).material


def instance(wiring: Wiring, *, items: int = 8) -> Instance:
    """The instance with what was planted in it."""
    import torch

    import activations
    from mi_bsa.causal.material import Material
    from mi_bsa.worlds.tokenizer import build_tokenizer

    tokenizer = build_tokenizer(WORDS, context=64)
    asked = sets(wiring.rng("prompts"), n=items)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(int(wiring.rng("torch").integers(2**31)))
        inner = empty(len(tokenizer), wiring.width)
        maker = Maker(wiring, inner, tokenizer, asked)
        directions = maker.base()
        adapted, arms, written = adapters(wiring, inner, directions, maker)
        turn = _turn(wiring, adapted)
    model = activations.wrap(adapted, tokenizer, name=f"planted {wiring.cell.name} {wiring.number}")
    model._activate("base", 1.0)
    material = Material(
        model=model,
        behavior="planted",
        seeds=tuple(range(wiring.seeds)),
        arms=arms,
        sets=asked,
        items=24,
    )
    return Instance(wiring, material, STATE * turn @ directions.behavior, written)


def _turn(wiring: Wiring, model: Any) -> Float[np.ndarray, "d_model d_model"]:
    """Turn the residual stream into a random basis, which is returned: no direction is a coordinate."""
    import torch

    turn, _ = np.linalg.qr(wiring.rng("basis").normal(size=(wiring.width, wiring.width)))
    q = torch.as_tensor(turn, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            continue
        if "lora_B" in name or (("o_proj" in name or "down_proj" in name) and "lora_" not in name):
            parameter.copy_(q @ parameter)
        elif "lora_A" not in name:
            parameter.copy_(parameter @ q.T)
    return turn
