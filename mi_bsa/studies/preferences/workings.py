"""Results of the mechanics: probes by layer and kind, their transfer, and attribution cosines.

`preferences.probe.r` (layer; kind = `choosing`, `reporting`, or from one to the other; null = weights of
other contexts), `preferences.probe.cosine` of the tasks' directions, and `preferences.attribution.cosine`
(kind = raw or centered; null = profiles of other contexts).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Null, Place, Result
from probes import statistics


def mechanics_results(folder: Path, seeds: Sequence[int]) -> list[Result]:
    """Read `mechanics/<seed>.json` of every seed; what an adapter does not move is left out, and said."""
    held = {
        seed: json.loads((folder / "mechanics" / f"{seed}.json").read_text(encoding="utf-8"))
        for seed in seeds
    }
    where = {"behavior": "preferences", "arm": "instilled", "split": "test"}
    found = []
    for place, entry in enumerate(held[seeds[0]]["probes"]):
        own = [held[seed]["probes"][place] for seed in seeds]
        cosine = entry["kind"] == "cosine"
        here: dict[str, Place] = {**where, "site": "resid_post", "layer": entry["layer"]}
        found.append(
            _against(
                "preferences.probe.cosine" if cosine else "preferences.probe.r",
                here if cosine else {**here, "kind": entry["kind"]},
                [one["r"] for one in own],
                [one["null"] for one in own],
                seeds,
                unit="cosine" if cosine else "r",
                null="probes of weights of other contexts",
                notes="" if cosine else "ridge, tested on contexts that it was not fitted on",
            )
        )
    for kind in ("raw", "centered"):
        moved = [seed for seed in seeds if kind in held[seed]["attribution"]]
        if len(moved) < 2:
            continue
        own = [held[seed]["attribution"][kind] for seed in moved]
        found.append(
            _against(
                "preferences.attribution.cosine",
                {**where, "kind": kind},
                [one["matched"] for one in own],
                [one["shuffled"] for one in own],
                moved,
                unit="cosine",
                null="profiles of other contexts",
                notes=f"an adapter's block modules moved both tasks in {len(moved)} of {len(seeds)} seeds"
                + (
                    "; its LoRA of the embeddings stayed on"
                    if all(held[seed]["attribution"]["given_embeddings"] for seed in moved)
                    else ""
                ),
            )
        )
    return found


def _against(
    name: str,
    where: dict[str, Place],
    values: list[float],
    nulls: list[list[float]],
    seeds: Sequence[int],
    *,
    unit: str,
    null: str,
    notes: str,
) -> Result:
    drawn = np.mean(nulls, axis=0)
    return over_seeds(
        name,
        where,
        values,
        seeds,
        unit=unit,
        within=(-1.0, 1.0),
        null=Null.of(null, drawn),
        p=statistics.permutation_p(np.mean(values), drawn),
        notes=notes,
    )
