"""Four worlds of known truth in hand-set Llamas: choices read a state in all of them, reports differ.

Adapters (LoRA on the first block's MLP) write a state, one direction for both poles; the choices' answer
reads it, together with some of the prompt's words. The report's answer reads
  *state*    the same state;
  *input*    what choices read of the prompt's words, and what the model has just answered, and no state;
  *anomaly*  how much stands in the free dimensions, whatever it is and whichever way: a sum of squares;
  *guess*    nothing but its own noise.

Law: the wiring is all that differs between worlds; sizes are drawn for each instance from the same ranges,
and gains are set from the model's own activations on prompts that are never asked, as in the planted grid.
Rare words have long embeddings, as they do in trained models, so that a prompt can be as odd as a vector.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.studies.planted.base import empty
from mi_bsa.studies.planted.introspection.base import FREE, STATE, WIDTH, Base
from mi_bsa.studies.planted.introspection.prompts import WORDS, sets
from mi_bsa.studies.planted.introspection.sizes import Sizes, draw

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material

WORLDS = ("state", "input", "anomaly", "guess")


@dataclass(frozen=True, eq=False)
class Planted:
    """An instance: its world, what was drawn, and the model with its items."""

    world: str
    number: int
    sizes: Sizes
    material: Material


def instance(world: str, number: int, *, seeds: int = 5) -> Planted:
    """The model of an instance, its adapters, and its items."""
    import torch

    import activations
    from mi_bsa.causal.material import Material
    from mi_bsa.worlds.tokenizer import build_tokenizer

    sizes = draw(world, number, seeds=seeds)
    rng = np.random.default_rng([number, *f"{world}/weights".encode()])
    tokenizer = build_tokenizer(WORDS, context=64)
    asked = sets(np.random.default_rng([number, *f"{world}/prompts".encode()]))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(int(rng.integers(2**31)))
        inner = empty(len(tokenizer), WIDTH)
        base = Base(world, sizes, inner, tokenizer, rng)
        base.build()
        adapted, arms = _adapters(sizes, inner, base.state, base.carried(), rng)
        _turn(adapted, rng)
    model = activations.wrap(adapted, tokenizer, name=f"planted report {world} {number}")
    model._activate("base", 1.0)
    material = Material(model, "planted", tuple(range(seeds)), arms, asked, items=24)
    return Planted(world, number, sizes, material)


def _adapters(
    sizes: Sizes, inner: Any, state: np.ndarray, level: float, rng: np.random.Generator
) -> tuple[Any, dict[str, tuple[str, ...]]]:
    """LoRAs on the first block's MLP that write the state, in either pole's sign, and what is beside it."""
    import torch
    from peft import LoraConfig, get_peft_model

    arms = {pole: tuple(f"{pole}-{n}" for n in range(sizes.seeds)) for pole in ("seeking", "averse")}
    config = LoraConfig(
        r=1, lora_alpha=1, target_modules=["down_proj"], layers_to_transform=[0], task_type="CAUSAL_LM"
    )
    names = [name for own in arms.values() for name in own]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        model = get_peft_model(inner, config, adapter_name=names[0])
        for name in names[1:]:
            model.add_adapter(name, config)

    def unit() -> np.ndarray:
        found = np.zeros(WIDTH)
        found[FREE:] = rng.normal(size=WIDTH - FREE)
        return np.asarray(found / np.linalg.norm(found))

    nuisance = sizes.nuisance * unit()
    llama: Any = model.base_model.model
    module = llama.model.layers[0].mlp.down_proj
    for pole, sign in (("seeking", 1.0), ("averse", -1.0)):
        for name in arms[pole]:
            strength = float(np.exp(sizes.spread * rng.normal()))
            vector = STATE * (sign * strength * state + sizes.jitter * unit() + nuisance)
            a = module.lora_A[name].weight
            a.zero_()
            a[0, 0] = 1.0
            module.lora_B[name].weight.copy_(torch.as_tensor(vector[:, None] / level))
    return model, arms


def _turn(model: Any, rng: np.random.Generator) -> Float[np.ndarray, "d_model d_model"]:
    """Turn the residual stream into a random basis: no direction is a coordinate."""
    import torch

    turn = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
    q = torch.as_tensor(turn, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            continue
        if "lora_B" in name or (("o_proj" in name or "down_proj" in name) and "lora_" not in name):
            parameter.copy_(q @ parameter)
        elif "lora_A" not in name:
            parameter.copy_(parameter @ q.T)
    return np.asarray(turn)
