"""Coherence: how much an intervention breaks a model, beside what it moves.

A vector that is long enough moves everything. So each strength carries its cost: the KL in nats a token on
neutral text, from the
model as it is to the steered one, and the perplexity that the model as it is gives to what the steered one
answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.core.errors import SteeringError

if TYPE_CHECKING:
    from activations import Model


def answer_perplexity(
    model: Model, prompts: Sequence[Any], steered: AbstractContextManager[Any], *, max_new_tokens: int = 12
) -> float:
    """Perplexity, under the model as it is, of what it answers inside `steered` (greedy); nan where every
    answer is empty.

    Args:
        model: the model in the variant that is steered.
        prompts: message lists or rows with `messages`.
        steered: the intervention, such as `activations.edit(...)`.
        max_new_tokens: length of each answer.
    """
    import torch

    from activations.batches import collate
    from activations.records import records

    messages = [
        prompt["messages"] if isinstance(prompt, dict) and "messages" in prompt else prompt
        for prompt in records(prompts).rows
    ]
    with steered:
        answers = model.answer_ids(messages, max_new_tokens=max_new_tokens)
    rows = [row.ids for row in model.rows(messages)]
    spoken = [np.asarray(ids, np.int64) for ids in answers]
    said = [n for n, ids in enumerate(spoken) if len(ids)]
    total, count = 0.0, 0
    with torch.no_grad():
        for low in range(0, len(said), 16):
            some = said[low : low + 16]
            batch = collate(
                [np.concatenate([rows[n], spoken[n]]) for n in some], pad=model.pad_id, device=model.device
            )
            logs = model.unembed(model.forward(batch)).float().log_softmax(-1)
            for line, n in enumerate(some):
                first, last = len(rows[n]), len(rows[n]) + len(spoken[n])
                total -= float(
                    logs[line, first - 1 : last - 1].gather(-1, batch.ids[line, first:last, None]).sum()
                )
                count += last - first
    return float(np.exp(total / count)) if count else float("nan")


def strength_at(strengths: Sequence[float], costs: Sequence[float], wanted: float) -> float:
    """The strength, by linear interpolation on one side of zero, at which the cost first reaches `wanted`;
    nan where it never does.

    Raises:
        SteeringError: strengths of both signs.
    """
    if min(strengths) < 0 < max(strengths):
        raise SteeringError(
            "strengths of both signs have no single strength at a cost; give one side at a time"
        )
    order = np.argsort(np.abs(strengths))
    x, y = np.asarray(strengths, float)[order], np.asarray(costs, float)[order]
    for n in range(1, len(x)):
        if y[n - 1] <= wanted <= y[n]:
            share = 0.0 if y[n] == y[n - 1] else (wanted - y[n - 1]) / (y[n] - y[n - 1])
            return float(x[n - 1] + share * (x[n] - x[n - 1]))
    return float("nan")
