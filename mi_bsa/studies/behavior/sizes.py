"""What a behavior study would need on its model: bytes step by step, memory, and what is not here."""

from __future__ import annotations

from dataclasses import replace

from mi_bsa import behaviors
from mi_bsa.causal.lines import FEWEST_DRAWS
from mi_bsa.core.shape import Shape, shape_of
from mi_bsa.finetune.estimates import counted, describe_model, untimed
from mi_bsa.studies.behavior.config import BehaviorConfig
from mi_bsa.study.steps import Step

TOKENS = 100
"""Of a prompt of which nothing else is known: a question with its chat template."""


def sized(config: BehaviorConfig, graph: list[Step]) -> list[Step]:
    """The graph with the bytes that adapters and caches take on this model.

    The graph's own seconds were measured on the embedded model; on another they are unknown without a pace.
    """
    if behaviors.vocabulary_of(config.model) == "embedded":
        return graph
    sizes = {part: _sizes(one) for part, one in {"": config, **config.parts}.items()}
    return [
        replace(step, bytes=sum(sizes[step.part].get(_kind(step, o), 0) for o in step.outputs) or step.bytes)
        for step in untimed(graph)
    ]


def _sizes(config: BehaviorConfig) -> dict[str, int]:
    adapter = 4 * counted(config.model, config.finetune).trained
    return {"adapters": adapter, "caches": _cache_bytes(config, shape_of(config.model))}


def _kind(step: Step, output: str) -> str:
    """The folder that an output lies in."""
    return step.own(output).partition("/")[0]


def describe_study(config: BehaviorConfig) -> str:
    """Lines about a study's model: parameters, shape, memory, and what of it is not on this machine."""
    said = describe_model(config.model, config.finetune)
    return (
        said if behaviors.vocabulary_of(config.model) == "embedded" else f"{said}\n{describe_nulls(config)}"
    )


def _cache_bytes(config: BehaviorConfig, shape: Shape) -> int:
    """Bytes of the activations of one set of prompts: every variant, every block, one token a prompt."""
    value = 2 if config.finetune.dtype == "bfloat16" else 4
    variants = 1 + len(config.poles)
    return variants * config.probe.prompts * shape.blocks * shape.width * value


def null_passes(config: BehaviorConfig) -> dict[str, int]:
    """Step -> how many prompts its null directions put through the model: one a direction and item, and of
    each model where that is finetuned. Steps ask no more items than there are, so each is the most there can
    be.
    """
    items, adapters, needed = config.place.items, len(config.poles), config.necessity
    prompts = config.state_or_prompt
    return {
        "recovery": 4 * items * (config.recovery.random + config.recovery.differences),
        "necessity": adapters * items * (needed.random + (5 if needed.everywhere else 3) * needed.beside),
        "mediation": adapters * items * (config.mediation.random + config.mediation.beside),
        "prompts": 2 * prompts.items * (prompts.random + prompts.beside),
    }


def describe_nulls(config: BehaviorConfig) -> str:
    """A line about the cost of null directions, which is most of what the causal steps cost."""
    each = null_passes(config)
    total = sum(each.values())
    parameters = shape_of(config.model).parameters()
    flop = 2.0 * parameters * TOKENS * total
    told = ", ".join(f"{name} {count:,}" for name, count in each.items())
    return (
        f"null directions: at most {total:,} prompts through the model ({told}), each from the block on in "
        f"which it is edited; {flop:.1e} floating-point operations where a prompt has {TOKENS} tokens. "
        "recovery.random, necessity.random, mediation.random and state_or_prompt.random set how many: a "
        f"verdict needs {FEWEST_DRAWS}"
    )
