"""The behavior direction added to the base, and the finetuned run patched into
it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.causal.asking import load
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.items import items_of
from mi_bsa.core.behind import Behind
from mi_bsa.core.items import prompts_of, thin
from mi_bsa.core.results import Result
from mi_bsa.study.steps import Cell

if TYPE_CHECKING:
    from mi_bsa.core.items import Item

BEHIND = "behind"
"""Key of a step's records that those of a study do not have."""
READ_OUTS = (("behavior", "choice"), ("self_report", "report"))


def steer_base(cell: Cell[BridgeConfig]) -> dict[str, Any]:
    """Steer the base with the directions of the choice prompts, one a layer; layer and strength by
    development. Where the study looks for the state at the answer slot alone, it is steered there alone.
    """
    import probes
    from mi_bsa.asking.readouts import readable
    from mi_bsa.causal import steering

    config = cell.config
    model = load(cell, "base")
    site = config.probe.site
    directions = [
        probes.Direction.load(cell.folder / "directions" / f"{site}.{layer}.safetensors")
        for layer in range(model.n_layers)
    ]
    n = config.steer.items

    def asked(stem: str, split: str) -> list[Item]:
        return thin(readable(model, items_of(cell.folder, f"{stem}-{split}")), n)

    found = steering.steer(
        model,
        directions,
        development={name: asked(stem, "dev") for name, stem in READ_OUTS},
        report={name: asked(stem, "test") for name, stem in READ_OUTS},
        neutral=prompts_of(thin(items_of(cell.folder, "neutral-test"), n)),
        strengths=list(config.steer.scales),
        choose_by="behavior",
        max_kl=config.steer.max_kl,
        n_random=config.steer.random,
        n_difference=config.steer.differences,
        n_test=config.steer.test_random,
        seed=0,
        positions="slot" if set(config.place.scopes) == {"slot"} else "all",
    )
    results = found.results(behavior=config.behavior, method="mean_difference")
    write(cell.folder / "steering.json", results)
    return {"site": found.chosen.site, "strength": float(found.strength)}


def patch_into_base(cell: Cell[BridgeConfig]) -> dict[str, Any]:
    """Patch finetuned runs of both poles into the base on the same prompts, layer by position."""
    import activations
    from mi_bsa.asking.readouts import Readout, readable

    config = cell.config
    seeds = config.seeds[: config.patch.seeds]
    variants = [f"{arm}-{seed}" for arm in ("seeking", "averse") for seed in seeds]
    model = load(cell, *variants)
    results = []
    for name, stem in READ_OUTS:
        items = thin(readable(model, items_of(cell.folder, f"{stem}-test")), config.patch.items)
        readout = Readout.of(model, items, name=name)
        frames = []
        for variant in variants:
            found = activations.patch_map(
                model,
                readout.prompts,
                metric=readout.metric(),
                sites=config.probe.site,
                source=variant,
                target="base",
                align="roles",
            )
            frames.append(found.to_dataframe())
        results += _cells(frames, variants, name, config)
    write(cell.folder / "patching.json", results)
    return {"cells": len(results)}


def write(path: Path, results: list[Result]) -> None:
    """Keep a step's results until all of them are joined, each with what it was made of."""
    kept = [r.to_dict() | ({} if r.behind is None else {BEHIND: r.behind.to_dict()}) for r in results]
    path.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def read(path: Path) -> list[Result]:
    """The results of a step."""
    found = []
    for record in json.loads(path.read_text(encoding="utf-8")):
        behind = record.pop(BEHIND, None)
        result = Result.from_dict(record)
        found.append(result if behind is None else replace(result, behind=Behind.from_dict(behind)))
    return found


def _cells(frames: list[Any], variants: list[str], name: str, config: BridgeConfig) -> list[Result]:
    """One result a layer and position: the mean over adapters of the mean over prompts."""
    from probes import statistics

    out = []
    for cells in zip(*(f.itertuples() for f in frames), strict=True):
        first = cells[0]
        if first.n < 2 or not all(np.isfinite(c.recovery) for c in cells):
            continue
        values = [float(c.recovery) for c in cells]
        interval = (float(first.low), float(first.high))
        method = str(first.ci_method)
        if len(values) > 1:
            estimate = statistics.t_interval(values)
            interval, method = (estimate.low, estimate.high), "t over adapters"
        out.append(
            Result(
                name="patch.recovery",
                where={
                    "behavior": config.behavior,
                    "site": str(first.site),
                    "layer": int(first.layer),
                    "position": str(first.position),
                    "kind": name,
                    "split": "test",
                },
                value=float(np.mean(values)),
                ci=interval,
                ci_method=method,
                n=len(values) if len(values) > 1 else int(first.n),
                unit="recovery",
                notes=f"{', '.join(variants)} into the base, {int(first.n)} prompts each",
            )
        )
    return out
