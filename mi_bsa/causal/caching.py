"""Activations of behavior, self-report and neutral prompts, base and adapters, in HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.causal.asking import load
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.items import items_of
from mi_bsa.core.items import prompts_of, thin
from mi_bsa.core.variants import Variant
from mi_bsa.study.steps import Cell

if TYPE_CHECKING:
    import pandas as pd

CACHED = ("choice-dev", "choice-test", "report-dev", "report-test", "neutral-test")


def cache_set(cell: Cell[BridgeConfig], *, name: str, variants: list[str]) -> dict[str, Any]:
    """Cache one set of prompts for the base and the adapters of both poles: `caches/<set>/<variant>.h5`."""
    import activations

    probe = cell.config.probe
    model = load(cell, *variants)
    prompts = prompts_of(thin(items_of(cell.folder, name), probe.prompts))
    stores = activations.capture(
        model,
        prompts,
        sites=probe.site,
        positions=probe.position,
        out=cell.folder / "caches" / name,
        variants=variants,
    )
    return {"rows": len(prompts), "variants": len(stores)}


def examples(
    folder: Path, name: str, variants: tuple[str, ...], site: str
) -> tuple[dict[int, np.ndarray], pd.DataFrame]:
    """Arrays by layer, (prompt x adapter, d_model), and their row table.

    The label is `pole` (the pole of the run: seeking 1, averse 0); `seed` and `adapter` say whose
    activations a row holds, `scenario` which prompt's.
    """
    import pandas as pd

    import activations

    frames, stacks = [], dict[int, list[np.ndarray]]()
    for variant in variants:
        store = activations.Store(folder / "caches" / name / f"{variant}.h5")
        own = Variant.parse(variant)
        table = store.table()
        frames.append(
            table.assign(
                pole=int(own.pole == "seeking"),
                seed=own.seed,
                adapter=variant,
            )
        )
        for layer in store.layers(site):
            stacks.setdefault(layer, []).append(store.read(site, layer))
    joined = pd.concat(frames, ignore_index=True)
    return {layer: np.concatenate(parts) for layer, parts in stacks.items()}, joined


def base_examples(folder: Path, name: str, site: str) -> tuple[dict[int, np.ndarray], pd.DataFrame]:
    """The base's arrays by layer and row table; `answer` is its own score of each item where it was asked,
    `pole` that of the persona which the system line describes.
    """
    import pandas as pd

    arrays, table = examples(folder, name, ("base",), site)
    asked = folder / "asked" / "base.csv"
    if asked.is_file():
        known = pd.read_csv(asked).drop_duplicates("id").set_index("id")["score"]
        table["answer"] = table["id"].map(known)
    if "person" in table:
        table["pole"] = table["person"].astype(str).str.endswith(" seeking").astype(int)
    return arrays, table
