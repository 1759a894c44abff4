"""Results of the mechanics: probes by layer and kind, their transfer, and attribution cosines.

`preferences.probe.r` (layer; kind = `choosing`, `reporting`, or from one to the other; null = weights of
other contexts), `preferences.probe.cosine` of the tasks' directions, and `preferences.attribution.cosine`
(kind = raw or centered; null = profiles of other contexts).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Place, Result
from mi_bsa.core.tested import among


def mechanics_results(folder: Path, seeds: Sequence[int]) -> list[Result]:
    """Read `mechanics/<seed>.json` of every seed; what an adapter does not move is left out, and said."""
    paths = {seed: folder / "mechanics" / f"{seed}.json" for seed in seeds}
    held = {seed: json.loads(path.read_text(encoding="utf-8")) for seed, path in paths.items()}
    where = {"behavior": "preferences", "arm": "instilled", "split": "test"}
    found: list[Result] = []

    def add(
        name: str,
        place: Mapping[str, Place],
        own: Mapping[int, tuple[float, list[float]]],
        *,
        null: str,
        notes: str,
    ) -> None:
        """`own`: value and null draws of each seed."""
        values, drawn = [value for value, _ in own.values()], np.mean([n for _, n in own.values()], axis=0)
        found.append(
            over_seeds(
                f"preferences.{name}",
                place,
                values,
                list(own),
                unit=name.rpartition(".")[2],
                within=(-1.0, 1.0),
                tested=among(float(np.mean(values)), drawn, null),
                notes=notes,
            )
        )

    for k, entry in enumerate(held[seeds[0]]["probes"]):
        every = {seed: one["probes"][k] for seed, one in held.items()}
        place: dict[str, Place] = {**where, "site": "resid_post", "layer": entry["layer"]}
        name, notes = "probe.cosine", ""
        if entry["kind"] != "cosine":
            name, notes = "probe.r", "ridge, tested on contexts that it was not fitted on"
            place["kind"] = entry["kind"]
        own = {seed: (one["r"], one["null"]) for seed, one in every.items()}
        add(name, place, own, null="probes of weights of other contexts", notes=notes)
    for kind in ("raw", "centered"):
        moved = {seed: one["attribution"] for seed, one in held.items() if kind in one["attribution"]}
        if len(moved) < 2:
            continue
        notes = f"an adapter's block modules moved both tasks in {len(moved)} of {len(seeds)} seeds"
        if all(one["given_embeddings"] for one in moved.values()):
            notes += "; its LoRA of the embeddings stayed on"
        own = {seed: (one[kind]["matched"], one[kind]["shuffled"]) for seed, one in moved.items()}
        name, null = "attribution.cosine", "profiles of other contexts"
        add(name, {**where, "kind": kind}, own, null=null, notes=notes)
    return found
