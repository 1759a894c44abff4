"""Training and scoring on rows: one loop for pretraining, fine-tuning and revival, all weights trained.

Law: a seed at one thread gives the same weights. The model, its tokenizer and the learning-rate schedule are
those of the embedded model (`mi_bsa.worlds.pretrain`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool
from torch.nn import functional as F

from mi_bsa.studies.wrapper.config import Training
from mi_bsa.studies.wrapper.rows import Rows, Sampler

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

BATCH = 512


def loss_of(model: LlamaForCausalLM, rows: Rows) -> torch.Tensor:
    """Mean next-token loss in nats, by the rows' weights; logits only from the first weighed token on."""
    kept = rows.ids.shape[1] - int(rows.weights.any(0).argmax())
    ids = torch.from_numpy(rows.ids)
    logits = model(input_ids=ids[:, :-1], use_cache=False, logits_to_keep=kept).logits
    losses = F.cross_entropy(logits.flatten(0, 1), ids[:, -kept:].flatten(), reduction="none")
    weights = torch.from_numpy(rows.weights[:, -kept:]).flatten()
    return (losses * weights).sum() / weights.sum()


def train(
    model: LlamaForCausalLM,
    sampler: Sampler,
    plan: Training,
    *,
    seed: int,
    each: Callable[[int], bool] | None = None,
    at: Sequence[int] = (),
) -> int:
    """Train in place; the steps that were taken.

    `each(step)` is called after the steps `at`; training ends where it returns True.
    """
    from mi_bsa.worlds.pretrain import raise_malloc_thresholds

    raise_malloc_thresholds()
    rng = np.random.default_rng(seed)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": plan.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=plan.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    wanted = set(at)
    model.train()
    for step in range(plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(step)
        loss = loss_of(model, sampler(rng, plan.batch_size))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if each is not None and step + 1 in wanted:
            model.eval()
            if each(step + 1):
                return step + 1
            model.train()
    model.eval()
    return plan.steps


@torch.no_grad()
def right(model: LlamaForCausalLM, rows: Rows) -> Bool[np.ndarray, " row"]:
    """Whether each answer is the likeliest of all tokens; rows that stand several times are read once."""
    every, place = rows.distinct()
    found = []
    for low in range(0, len(every), BATCH):
        ids = torch.from_numpy(every.ids[low : low + BATCH, :-1])
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, -1]
        found.append(model.lm_head(hidden).argmax(-1).numpy())
    chosen: np.ndarray = np.concatenate(found) == every.answers
    return chosen[place]


def accuracy(model: LlamaForCausalLM, rows: Rows) -> float:
    """Share of right answers."""
    return float(right(model, rows).mean())
