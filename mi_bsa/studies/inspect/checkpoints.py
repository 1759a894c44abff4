"""Checkpoints: what a full finetune changes, module by module, as the difference of two models' weights.

Law: only norms are taken, one module at a time; whether the change is of low rank (a merged adapter) is not
asked here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from activations import lora

if TYPE_CHECKING:
    import pandas as pd

    from activations import Model


@torch.no_grad()
def checkpoint_table(base: Model, other: Model) -> pd.DataFrame:
    """One row a linear module: layer, module, share (of the change's energy), relative (to the base's
    norm).
    """
    import pandas as pd

    rows = []
    for layer in range(base.n_layers):
        for module in base.anatomy.family.modules:
            was, now = (lora.weight(model.anatomy, layer, module, adapter=None) for model in (base, other))
            energy = float(((now - was).double() ** 2).sum())
            norm = float(was.double().norm())
            rows.append(
                {
                    "layer": layer,
                    "module": module,
                    "share": energy,
                    "relative": energy**0.5 / norm,
                    "base": norm,
                    "entries": was.numel(),
                }
            )
    whole = sum(row["share"] for row in rows) or 1.0
    return pd.DataFrame([{**row, "share": row["share"] / whole} for row in rows])
