"""Adapters of a planted instance: LoRAs that turn each circuit's carrier into a direction."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from mi_bsa.studies.planted.base import BLOCKS, FREE, STATE, UNITS, Directions, Maker
from mi_bsa.studies.planted.draw import Wiring
from mi_bsa.studies.planted.prompts import CHOICES, CIRCUITS, NEIGHBORS

ARMS = ("seeking", "averse", "wrong_seeking", "wrong_averse")
"""Both poles of the planted behavior, and of the neighbor."""


@dataclass(frozen=True)
class Written:
    """What one adapter writes, for the truth.

    Attributes:
        strength: how strong it is, in norms of the state.
        on_reports: how much of the choices' state it writes on reports, beside its strength.
    """

    strength: float
    on_reports: float


def adapters(
    wiring: Wiring, inner: Any, directions: Directions, maker: Maker
) -> tuple[Any, dict[str, tuple[str, ...]], dict[str, Written]]:
    """All adapters on the base; names by arm, and what each writes."""
    from peft import LoraConfig, get_peft_model

    arms = {arm: tuple(f"{arm}-{s}" for s in range(wiring.seeds)) for arm in ARMS}
    rank = len(CIRCUITS)
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=["down_proj"], task_type="CAUSAL_LM")
    names = [name for given in arms.values() for name in given]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        model = get_peft_model(inner, config, adapter_name=names[0])
        for name in names[1:]:
            model.add_adapter(name, config)
    written = {
        name: _write(wiring, inner, directions, maker, arm, n)
        for arm, given in arms.items()
        for n, name in enumerate(given)
    }
    return model, arms, written


def _write(wiring: Wiring, inner: Any, directions: Directions, maker: Maker, arm: str, seed: int) -> Written:
    """Set one adapter: what each circuit's carrier adds to the residual stream, block by block."""
    import torch

    name, sign = f"{arm}-{seed}", 1.0 if arm.endswith("seeking") else -1.0
    rng = wiring.rng(f"adapter {name}")
    wrong = arm.startswith("wrong")
    alone = seed >= wiring.seeds - wiring.own_seeds  # a seed whose report has a state of its own

    def free() -> np.ndarray:
        found = np.zeros(wiring.width)
        found[FREE:] = rng.normal(size=wiring.width - FREE)
        return found / np.linalg.norm(found)

    own, strength = free(), float(np.exp(wiring.seed_spread * rng.normal()))
    for block in range(BLOCKS):
        lora = inner.model.layers[block].mlp.down_proj
        rows = np.zeros((len(CIRCUITS), UNITS))
        rows[np.arange(len(CIRCUITS)), np.arange(len(CIRCUITS))] = 1.0 / maker.carriers[block]
        columns = np.zeros((wiring.width, len(CIRCUITS)))
        for n, kind in enumerate(CIRCUITS):
            neighbor = kind in NEIGHBORS
            here = 1.0 if neighbor == wrong else wiring.spill
            if wrong or neighbor:
                state = directions.neighbor if wrong else directions.behavior
                parts = {wiring.adapter_block: here * STATE * state}
            else:
                parts = _written(wiring, directions, kind, alone=alone)
            if block in parts:
                columns[:, n] = strength * sign * parts[block]
            if block == wiring.adapter_block:
                columns[:, n] += (
                    STATE * here * (wiring.seed_jitter * own + wiring.nuisance * directions.nuisance)
                )
            if block not in parts:
                columns[:, n] += wiring.other_modules * STATE * free()
        lora.lora_A[name].weight.copy_(torch.as_tensor(rows))
        lora.lora_B[name].weight.copy_(torch.as_tensor(columns))
    return Written(strength, 0.0 if alone and wiring.own_seeds else wiring.choice_on_reports)


def _written(wiring: Wiring, directions: Directions, kind: str, *, alone: bool) -> dict[int, np.ndarray]:
    """{block: what the seeking pole's adapter writes there} on prompts of a circuit of the planted trait."""
    report = kind not in CHOICES
    answer = directions.answers[kind] * directions.per_logit[kind] * directions.moves[kind] / 2
    block = wiring.adapter_block
    if wiring.reverse in ("last_block", "early_bypass") or (wiring.reverse and not report):
        # the answer itself; behind the report's circuit, choices run through their state
        state = wiring.reverse == "behind_the_circuit"
        return {block: STATE * directions.behavior if state else answer}
    own = wiring.own_on_reports if report else wiring.report_on_choices
    shared = wiring.choice_on_reports if report else 1.0
    if wiring.own_seeds:
        own, shared = (own, 0.0 if report else 1.0) if alone else (0.0, 1.0)
    if report and wiring.world == "prompt_only":
        own = 0.0
    parts: dict[int, np.ndarray] = {}

    def put(at: int, vector: np.ndarray) -> None:
        parts[at] = parts.get(at, np.zeros(wiring.width)) + vector

    put(wiring.report_block if report and not own else block, STATE * shared * directions.behavior)
    if own:
        put(wiring.report_block, STATE * own * directions.report)
    if wiring.direct:
        put(block, wiring.direct * answer)
    return parts
