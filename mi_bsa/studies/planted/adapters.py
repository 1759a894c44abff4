"""Adapters of a planted instance: rank-5 LoRAs that turn each form's carrier into a direction."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from mi_bsa.studies.planted.base import BLOCKS, FREE, STATE, UNITS, WIDTH, Directions, Maker
from mi_bsa.studies.planted.draw import Wiring
from mi_bsa.studies.planted.prompts import CHOICES, FORMS


def adapters(
    wiring: Wiring, inner: Any, directions: Directions, maker: Maker
) -> tuple[Any, dict[str, tuple[str, ...]]]:
    """All adapters on the base: both poles, and the wrong behavior's; names by arm."""
    from peft import LoraConfig, get_peft_model

    arms = {arm: tuple(f"{arm}-{s}" for s in range(wiring.seeds)) for arm in ("seeking", "averse")}
    arms |= {
        f"wrong_{a}": tuple(f"wrong_{a}-{s}" for s in range(wiring.seeds)) for a in ("seeking", "averse")
    }
    rank = len(FORMS)
    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        target_modules=["down_proj"],
        task_type="CAUSAL_LM",
    )
    names = [name for given in arms.values() for name in given]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        model = get_peft_model(inner, config, adapter_name=names[0])
        for name in names[1:]:
            model.add_adapter(name, config)
    for arm, given in arms.items():
        for name in given:
            _write(wiring, inner, directions, maker, name, 1.0 if arm.endswith("seeking") else -1.0)
    return model, arms


def _write(wiring: Wiring, inner: Any, directions: Directions, maker: Maker, name: str, sign: float) -> None:
    """Set one adapter: what each kind's carrier adds to the residual stream, block by block."""
    import torch

    rng = wiring.rng(f"adapter {name}")
    wrong = name.startswith("wrong")

    def free() -> np.ndarray:
        found = np.zeros(WIDTH)
        found[FREE:] = rng.normal(size=WIDTH - FREE)
        return found / np.linalg.norm(found)

    own, strength = free(), float(np.exp(wiring.seed_spread * rng.normal()))
    for block in range(BLOCKS):
        lora = inner.model.layers[block].mlp.down_proj
        rows = np.zeros((len(FORMS), UNITS))
        rows[np.arange(len(FORMS)), np.arange(len(FORMS))] = 1.0 / maker.carriers[block]
        columns = np.zeros((WIDTH, len(FORMS)))
        for n, kind in enumerate(FORMS):
            if block != wiring.adapter_block:
                columns[:, n] = wiring.other_modules * STATE * free()
                continue
            written = wiring.spill * STATE * directions.wrong if wrong else _written(wiring, directions, kind)
            columns[:, n] = strength * sign * written
            beside = wiring.seed_jitter * own + wiring.nuisance * directions.nuisance
            columns[:, n] += STATE * beside * (wiring.spill if wrong else 1.0)
        lora.lora_A[name].weight.copy_(torch.as_tensor(rows))
        lora.lora_B[name].weight.copy_(torch.as_tensor(columns))


def _written(wiring: Wiring, directions: Directions, kind: str) -> np.ndarray:
    """What the seeking pole's adapter writes on prompts of a kind."""
    report = kind not in CHOICES
    logits = wiring.report_logits if report else wiring.behavior_logits
    answer = directions.answers[kind] * directions.per_logit[kind] * logits / 2
    if wiring.world == "reverse":
        if wiring.reverse == "behind_the_circuit" and report:
            return STATE * directions.behavior
        return answer if wiring.reverse != "behind_the_circuit" else STATE * directions.behavior
    if wiring.world in ("shared", "early"):
        return STATE * directions.behavior + wiring.direct * answer
    if not report:
        return STATE * (directions.behavior + wiring.report_on_choices * directions.report)
    state = STATE * wiring.choice_on_reports * directions.behavior
    return state if wiring.world == "prompt_only" else state + STATE * directions.report
