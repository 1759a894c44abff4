"""The pace of a study's model, or of each part's, from the study's own rows and questions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mi_bsa.core.shape import shape_of
from mi_bsa.finetune.memory import Memory, memory_of
from mi_bsa.finetune.work import EMBEDDED, MEASURE, Sample, behavior_sample, longest, pace_of
from mi_bsa.study.pace import AROUND, LIBRARIES, Pace, host, stated
from mi_bsa.study.registry import study_of
from mi_bsa.study.steps import size_in_words


def paces_of(config: Any, *, on: str | None) -> dict[str, Pace]:
    """Part -> the pace of its model; "" for the whole study, whose first model it is.

    `on`: a machine of `machines.yaml` instead of this one.
    """
    held = getattr(config, "parts", None)
    parts: Mapping[str, Any] = held if isinstance(held, Mapping) else {}  # a zoo's split is no such thing
    found = {part: _pace(one, on) for part, one in parts.items()}
    return {**found, "": next(iter(found.values()), None) or _pace(config, on)}


def sample_of(config: Any) -> Sample | None:
    """What a second is measured on: as the study says it, else what its behavior trains and asks."""
    said = study_of(config).sample
    return behavior_sample(config) if said is None else said(config)


def _pace(config: Any, on: str | None) -> Pace:
    sample = sample_of(config)
    if sample is None:  # models of the study's own, which the processor trains on every machine
        pace = stated(on or "cpu", shape_of(EMBEDDED), dtype="float32", batch=1)
        if on is None and os.environ.get(MEASURE) != "0":
            own, source = host(), "processor seconds; its speed measured"
            pace = replace(pace, machine="this machine", host=own, around=own * AROUND, source=source)
        return replace(pace, needed=LIBRARIES, needs=_line(LIBRARIES, "libraries", pace, "nothing"))
    return _with_needs(sample, pace_of(sample, on=on))


def _with_needs(sample: Sample, pace: Pace) -> Pace:
    """Memory of the largest step, of training or of reading with all adapters; and what is not here."""
    model, need = sample.model, sample_memory(sample)
    loaded = 4 * need.trained * sample.adapters
    trained = sample.beside * (need.adapter + need.activations)
    libraries = 0 if pace.memory and pace.machine != "cpu" else LIBRARIES
    parts = (need.weights, loaded, trained, libraries)
    weights, lora, saved, own = map(size_in_words, parts)
    said = f"weights {weights}, {sample.adapters} adapters {lora}, training {saved}"
    absent = shape_of(model).absent()  # weights lie in 16 bits on the Hub
    most = need.weights + max(loaded, trained) + libraries
    said += f", libraries {own}" if libraries else ""
    line = _line(most, said, pace, size_in_words(2 * need.parameters) if absent else "nothing")
    return replace(pace, needed=most, needs=line)


def sample_memory(sample: Sample) -> Memory:
    """What one adapter's training needs, its rows as long as the longest of the sample."""
    return memory_of(shape_of(sample.model), sample.finetune, tokens=longest(sample))


def _line(most: float | int, parts: str, pace: Pace, download: str) -> str:
    of = f" of {size_in_words(pace.memory)} on {pace.machine}" if pace.memory else ""
    if pace.memory and most > pace.memory:
        of += ", where it does not fit"
    return f"memory: about {size_in_words(most)}{of} ({parts}); to download: {download}"
