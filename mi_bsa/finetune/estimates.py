"""What finetunes would need on a model: parameters, memory, and what is not here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from mi_bsa import behaviors
from mi_bsa.core.model_config import ModelLike
from mi_bsa.core.shape import shape_of
from mi_bsa.finetune.memory import Memory, memory_of
from mi_bsa.study.steps import Step, size_in_words

if TYPE_CHECKING:
    from mi_bsa.finetune.config import FinetuneConfig

TOKENS = 256
"""Length at which activations of training are counted where rows were not encoded."""


def untimed(graph: Sequence[Step]) -> list[Step]:
    """The graph on a model on which nobody has measured it: every step's seconds are NaN, said as unknown."""
    return [replace(step, seconds=math.nan) for step in graph]


def measured_on(model: ModelLike, graph: list[Step]) -> list[Step]:
    """The graph for this model: its seconds were measured on embedded ones."""
    return graph if _embedded(model) else untimed(graph)


def needs(model: ModelLike, finetune: FinetuneConfig) -> list[str]:
    """What one model needs, as lines; none of an embedded one, which runs anywhere."""
    return [] if _embedded(model) else [describe_model(model, finetune)]


def _embedded(model: ModelLike) -> bool:
    return behaviors.vocabulary_of(model) == "embedded"


def describe_model(model: ModelLike, finetune: FinetuneConfig) -> str:
    """Lines about one model and the adapters that are trained on it."""
    shape, need = shape_of(model), counted(model, finetune)
    lines = [
        f"{model}: {need.parameters:,} parameters, {need.trained:,} in an adapter "
        f"({size_in_words(4 * need.trained)}); {shape}",
        f"memory of a finetune: {need} (rows of {TOKENS} tokens, {finetune.dtype})",
        *filter(None, [shape.absent()]),
    ]
    return "\n".join(lines)


@lru_cache(maxsize=8)
def counted(model: ModelLike, finetune: FinetuneConfig) -> Memory:
    """Parameters and memory of a finetune of a model."""
    shape = shape_of(model)
    return memory_of(shape, finetune, tokens=min(TOKENS, shape.config.max_position_embeddings))
