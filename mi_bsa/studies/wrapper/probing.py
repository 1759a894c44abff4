"""Probing: can the old and the new answer be read after every block, at the place where the answer is due?

The label is whether an answer lies above its median (at it, where none lies above). Beside each accuracy
stands that of a control task (Hewitt and Liang 2019, arXiv 1909.03368): a random label for each value of the
answer, so that what a probe gains by remembering values is taken off (selectivity). Where values are few and
each can be read, the control task is solved too, and selectivity says little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from mi_bsa.studies.wrapper.rows import Rows

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

PENALTY = 1.0
LABELINGS = 10


@torch.no_grad()
def states(model: LlamaForCausalLM, rows: Rows) -> Float[np.ndarray, "block example d_model"]:
    """The residual stream at the answer slot: the embedding, then after each block (the last one normed)."""
    ids = torch.from_numpy(rows.ids[:, : rows.slot + 1])
    hidden = model.model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
    return np.stack([layer[:, -1].numpy() for layer in hidden])


def probe(model: LlamaForCausalLM, rows: Rows, *, label: str, seed: int) -> list[dict[str, Any]]:
    """One record a block, from block 0 on: `accuracy`, `control` (the control task's) and `selectivity`."""
    import pandas as pd

    from probes.controls import Setting, control_task
    from probes.splits import Split

    values = rows.labels[label]
    above = values > np.median(values)
    y = (above if above.any() else values >= np.median(values)).astype(np.int64)
    half = np.arange(len(y)) % 2 == 0
    halves = [Split(np.flatnonzero(half != k), np.flatnonzero(half == k)) for k in (True, False)]
    found = []
    for x in states(model, rows)[1:]:
        setting = Setting(
            x=x,
            y=y,
            table=pd.DataFrame({"value": values}),
            splits=halves,
            groups=None,
            unit=None,
            method="logistic",
            penalty=PENALTY,
            seed=seed,
            device="cpu",
        )
        held = control_task(setting, types="value", n_draws=LABELINGS)
        names = {"accuracy": held.task, "control": held.control, "selectivity": held.selectivity}
        found.append({name: one.value for name, one in names.items()})
    return found
