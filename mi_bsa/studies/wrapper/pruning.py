"""Pruning: which units stand between a model and its old skill, and does taking them out bring it back?

A unit is a row of a block's linear matrix. Gradient x weight of the old task's loss, summed over a row, is
to first order what the loss loses when the row is set to zero (Molchanov et al. 2017, arXiv 1611.06440; used
so by Jain et al. 2023): the units with the largest values go first. Scores are taken on development rows,
once for all units, or again after each unit that is gone: a unit's value changes with what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from mi_bsa.studies.wrapper.rows import Rows
from mi_bsa.studies.wrapper.training import accuracy, loss_of

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

Unit = tuple[str, int]
"""Name of a matrix, and a row of it."""


def units(model: LlamaForCausalLM) -> list[Unit]:
    """All rows of all linear matrices of the blocks."""
    return [(name, row) for name, matrix in _matrices(model).items() for row in range(len(matrix))]


def order(model: LlamaForCausalLM, rows: Rows) -> list[Unit]:
    """All units by gradient x weight of the loss on the rows' answers, those first whose loss falls most."""
    matrices = _matrices(model)
    loss = loss_of(model, rows.distinct()[0])
    gradients = torch.autograd.grad(loss, list(matrices.values()))
    values = np.concatenate(
        [(g * m.detach()).sum(1).numpy() for g, m in zip(gradients, matrices.values(), strict=True)]
    )
    named = units(model)
    return [named[k] for k in np.argsort(-values, kind="stable")]


def stepwise(model: LlamaForCausalLM, rows: Rows, count: int) -> list[Unit]:
    """The first units when scores are taken again after each that is gone."""
    gone: list[Unit] = []
    for _ in range(count):
        with pruned(model, gone):
            ranked = order(model, rows)
        gone.append(next(unit for unit in ranked if unit not in gone))
    return gone


@contextmanager
def pruned(model: LlamaForCausalLM, some: Sequence[Unit]) -> Iterator[LlamaForCausalLM]:
    """The model with these rows at zero, put back afterwards."""
    matrices = _matrices(model)
    kept = {name: matrices[name].detach().clone() for name in {name for name, _ in some}}
    try:
        with torch.no_grad():
            for name, row in some:
                matrices[name][row] = 0.0
        yield model
    finally:
        with torch.no_grad():
            for name, values in kept.items():
                matrices[name].copy_(values)


def curve(
    model: LlamaForCausalLM, ranked: Sequence[Unit], counts: Sequence[int], tests: Mapping[str, Rows]
) -> dict[str, list[float]]:
    """Accuracy on each test after the first K units are gone, for each K."""
    found: dict[str, list[float]] = {name: [] for name in tests}
    for count in counts:
        with pruned(model, ranked[:count]):
            for name, rows in tests.items():
                found[name].append(accuracy(model, rows))
    return found


def random_curves(
    model: LlamaForCausalLM, counts: Sequence[int], tests: Mapping[str, Rows], *, draws: int, seed: int
) -> list[dict[str, list[float]]]:
    """The same after K units at random, for several orders; rising counts, from 0 on."""
    rng, every = np.random.default_rng(seed), units(model)
    whole = curve(model, [], counts[:1], tests)
    found = []
    for _ in range(draws):
        one = [every[k] for k in rng.permutation(len(every))[: counts[-1]]]
        after = curve(model, one, counts[1:], tests)
        found.append({name: whole[name] + after[name] for name in tests})
    return found


def _matrices(model: LlamaForCausalLM) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if ".layers." in name and p.ndim == 2}
