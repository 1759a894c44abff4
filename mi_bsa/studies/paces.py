"""The pace of a study's model, or of each part's, from the study's own rows and questions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mi_bsa.behaviors import behavior_for
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.core.shape import shape_of
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.estimates import TOKENS, counted
from mi_bsa.finetune.many import groups
from mi_bsa.finetune.work import SAMPLE, pace_of
from mi_bsa.study.pace import Pace, stated
from mi_bsa.study.steps import size_in_words
from mi_bsa.study.study import models_of

TOGETHER = 5
"""Adapters that are timed in one go, where a study trains them so."""


def paces_of(config: Any, *, on: str | None) -> dict[str, Pace]:
    """Part -> the pace of its model; "" for the whole study, whose first model it is.

    `on`: a machine of `machines.yaml` instead of this one.
    """
    parts: dict[str, Any] = getattr(config, "parts", {})
    found = {part: _pace(one, next(models_of(one)), on) for part, one in parts.items()}
    first = next(models_of(config), ModelConfig(name="embedded"))
    return {**found, "": next(iter(found.values()), None) or _pace(config, first, on)}


def _pace(config: Any, model: ModelConfig, on: str | None) -> Pace:
    finetune = getattr(config, "finetune", FinetuneConfig(steps=1))
    named = getattr(config, "behavior", None) or next(iter(getattr(config, "behaviors", ())), None)
    if named is None:  # worlds of their own, whose steps say no work
        shape, batch = shape_of(model), float(TOKENS * finetune.batch_size)
        pace = stated(on or "cpu", shape, dtype=finetune.dtype, batch=batch)
        return replace(pace, needs=_needs(model, finetune, 1, pace))
    behavior = behavior_for(named, model)
    sets = behavior.study_sets(choices=SAMPLE, others=SAMPLE)
    items = [item for own in sets.values() for item in own]
    jobs = {f"{n}": (finetune.model_copy(update={"seed": n}), 1) for n in range(TOGETHER)}
    beside = max(len(group.names) for group in groups(model, jobs, stack=getattr(config, "together", False)))
    rows = behavior.rows("seeking", SAMPLE, seed=0)
    pace = pace_of(model, finetune, items=items, rows=rows, beside=beside, on=on)
    return replace(pace, needs=_needs(model, finetune, len(getattr(config, "poles", ())) or 1, pace))


def _needs(model: ModelConfig, finetune: FinetuneConfig, adapters: int, pace: Pace) -> str:
    """Memory of the largest step, of training or of reading with all adapters; and what is not here."""
    need = counted(model, finetune)
    loaded = 4 * need.trained * adapters
    most = need.weights + max(loaded, need.adapter + need.activations)
    parts = (need.weights, loaded, need.activations, most)
    weights, lora, saved, total = map(size_in_words, parts)
    of = f" of {size_in_words(pace.memory)} on {pace.machine}" if pace.memory else ""
    line = (
        f"memory: weights {weights}, {adapters} adapters {lora}, activations of training {saved}: {total}{of}"
    )
    absent = shape_of(model).absent()  # weights lie in 16 bits on the Hub
    return f"{line}; to download: " + (size_in_words(2 * need.parameters) if absent else "nothing")
