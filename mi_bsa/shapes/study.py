"""What a behavior study would need on a model: bytes step by step, memory, and what is not here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from mi_bsa import behaviors
from mi_bsa.model_config import ModelLike
from mi_bsa.shapes.memory import Memory, memory_of
from mi_bsa.shapes.shape import Shape, shape_of
from mi_bsa.steps import Step, size_in_words

if TYPE_CHECKING:
    from mi_bsa.finetune.config import FinetuneConfig
    from mi_bsa.study_config import StudyConfig

TOKENS = 256
"""Length at which activations of training are counted where rows were not encoded."""


def sized(graph: Sequence[Step], config: StudyConfig) -> list[Step]:
    """The graph with the bytes that adapters and caches take on this model.

    The graph's own seconds were measured on the embedded model; on another they are unknown until a step has
    run and its own time is known.
    """
    if behaviors.vocabulary_of(config.model) == "embedded":
        return list(graph)
    sizes = {
        "finetune": 4 * _counted(config.model, config.finetune).trained,
        "cache": _cache_bytes(config, shape_of(config.model)),
    }
    return [
        replace(step, bytes=sizes.get(step.name.partition("/")[0], step.bytes)) for step in untimed(graph)
    ]


def untimed(graph: Sequence[Step]) -> list[Step]:
    """The graph on a model on which nobody has measured it: every step's seconds are NaN, said as unknown."""
    return [replace(step, seconds=math.nan) for step in graph]


def describe_study(config: StudyConfig) -> str:
    """Lines about a study's model: parameters, shape, memory, and what of it is not on this machine."""
    return describe_model(config.model, config.finetune)


def describe_model(model: ModelLike, finetune: FinetuneConfig) -> str:
    """Lines about one model and the adapters that are trained on it."""
    shape, need = shape_of(model), _counted(model, finetune)
    lines = [
        f"{model}: {need.parameters:,} parameters, {need.trained:,} in an adapter "
        f"({size_in_words(4 * need.trained)}); {shape}",
        f"memory of a finetune: {need} (rows of {TOKENS} tokens, {finetune.dtype})",
        *filter(None, [shape.absent()]),
    ]
    return "\n".join(lines)


def _cache_bytes(config: StudyConfig, shape: Shape) -> int:
    """Bytes of the activations of one set of prompts: every variant, every block, one token a prompt."""
    value = 2 if config.finetune.dtype == "bfloat16" else 4
    variants = 1 + len(config.poles)
    return variants * config.probe.prompts * shape.blocks * shape.width * value


@lru_cache(maxsize=8)
def _counted(model: ModelLike, finetune: FinetuneConfig) -> Memory:
    shape = shape_of(model)
    return memory_of(shape, finetune, tokens=min(TOKENS, shape.config.max_position_embeddings))
