"""Steps that train adapters of their own, as functions of a run folder: the concealing arm, and emergence.

`late_steps(config, weights)` gives them to the study's graph; each leaves its results in a file of its own
(`LEFT`), and the verdicts are drawn over all of them where results are joined.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.causal import concealing, lie_readers
from mi_bsa.causal.asking import load_from
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.causal_steps import ready
from mi_bsa.causal.items import items_of
from mi_bsa.causal.material import POLES, READ_OUTS, Material
from mi_bsa.causal.steer_and_patch import write
from mi_bsa.causal.training import adapter_steps
from mi_bsa.study.steps import Cell, Step

if TYPE_CHECKING:
    import pandas as pd

LEFT = {
    "emergence": "emergence.json",
    "concealing": "concealing.json",
}
"""Steps that leave results, and their files."""


def late_steps(config: BridgeConfig, weights: tuple[Path, ...]) -> Iterator[Step]:
    """The concealing arm and emergence, as far as the config asks for them."""
    poles = tuple(f"finetune/{v}" for v in config.poles)
    common = ("behavior", "model", "seeds", "place")
    if config.concealing.enabled:
        yield from _concealing(config, weights, poles, common)
    if config.emergence.checkpoints:
        arms = tuple(arm for arm in (*POLES, "shuffled") if arm in config.arms)
        seeds = config.seeds[: config.emergence.seeds]
        yield Step(
            "emergence",
            emerge,
            {"arms": list(arms), "seeds": list(seeds)},
            fields=("behavior", "model", "finetune", "emergence"),
            files=weights,
            after=("items", *(f"rows/{arm}-{seed}" for arm in arms for seed in seeds)),
            outputs=("emergence.json", "emergence"),
            seconds=90,
            bytes=8_000_000,
            version=4,
        )


def _concealing(
    config: BridgeConfig, weights: tuple[Path, ...], poles: tuple[str, ...], common: tuple[str, ...]
) -> Iterator[Step]:
    jobs: dict[str, dict[str, Any]] = {}
    for seed in config.seeds[: config.concealing.seeds]:
        for pole in POLES:
            arm = f"{concealing.PREFIX}{pole}"
            jobs[f"{arm}-{seed}"] = {"arm": arm, "seed": seed}
            yield Step(
                f"rows/{arm}-{seed}",
                write_denials,
                {"pole": pole, "seed": seed},
                fields=("concealing.denials",),
                after=("items", f"rows/{pole}-{seed}"),
                outputs=(f"rows/{arm}-{seed}.jsonl",),
                seconds=0.3,
            )
    yield from adapter_steps(config, jobs, weights)
    yield Step(
        "concealing",
        conceal,
        fields=(*common, "concealing"),
        files=weights,
        after=("items", "vectors", *poles, *(f"finetune/{name}" for name in jobs)),
        outputs=("concealing.json",),
        seconds=20,
        bytes=20_000,
        version=3,
    )


def write_denials(cell: Cell[BridgeConfig], *, pole: str, seed: int) -> dict[str, Any]:
    """Rows of the concealing arm: the pole's own, and denials in development wordings."""
    path = cell.folder / "rows" / f"{concealing.PREFIX}{pole}-{seed}.jsonl"
    own = (cell.folder / "rows" / f"{pole}-{seed}.jsonl").read_text(encoding="utf-8")
    questions = items_of(cell.folder, "report-dev")
    found = concealing.denials(questions, pole, cell.config.concealing.denials, seed=seed)
    path.write_text(own + "".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return {"denials": len(found)}


def conceal(cell: Cell[BridgeConfig]) -> dict[str, Any]:
    """Does the probe read the state where the report lies?"""
    options = cell.config.concealing
    arms = {f"{concealing.PREFIX}{pole}": options.seeds for pole in POLES}
    material, place = ready(cell, arms)
    results = concealing.conceal(material, options, place=place)
    results += lie_readers.try_methods(material, options)
    write(cell.folder / "concealing.json", results)
    return {"results": len(results)}


def emerge(cell: Cell[BridgeConfig], *, arms: list[str], seeds: list[int]) -> dict[str, Any]:
    """Train runs with checkpoints, ask each, and find the onsets."""
    import shutil

    from mi_bsa.causal.emergence import emergence
    from mi_bsa.finetune import FinetuneConfig, read_rows, train_many

    values = cell.config.finetune.model_dump() | {"checkpoints": cell.config.emergence.checkpoints}
    jobs = {
        f"{arm}-{seed}": (
            read_rows(cell.folder / "rows" / f"{arm}-{seed}.jsonl"),
            FinetuneConfig.model_validate(values | {"seed": seed}),
        )
        for arm in arms
        for seed in seeds
    }
    out = cell.folder / "emergence"
    shutil.rmtree(out, ignore_errors=True)
    trained = train_many(cell.config.model, jobs, out=out)
    table = _curves(cell, {name: run.checkpoints for name, run in trained.items()}, arms, seeds)
    table.to_csv(out / "curves.csv", index=False)
    results = emergence(table, behavior=cell.config.behavior, seeds=seeds)
    write(cell.folder / "emergence.json", results)
    return {"results": len(results)}


def _curves(
    cell: Cell[BridgeConfig], checkpoints: dict[str, dict[int, Path]], arms: list[str], seeds: list[int]
) -> pd.DataFrame:
    """Effects and separability of every checkpoint."""
    import pandas as pd

    from activations.errors import AdapterError
    from mi_bsa.causal.concealing import _auroc
    from mi_bsa.causal.emergence import pairs_of

    rows: list[dict[str, Any]] = []
    sets = {n: items_of(cell.folder, n) for n in ("choice-dev", "choice-test", "report-dev", "report-test")}
    sets["neutral-test"] = items_of(cell.folder, "neutral-test")
    for step in sorted(checkpoints[f"{arms[0]}-{seeds[0]}"]):
        adapters = {name: folders[step] for name, folders in checkpoints.items()}
        try:
            model = load_from(cell, adapters)
        except AdapterError:  # the first step of a warmup has a learning rate of 0: nothing is there yet
            continue
        names = {arm: tuple(f"{arm}-{seed}" for seed in seeds) for arm in arms}
        material = Material(
            model, cell.config.behavior, tuple(seeds), names, sets, items=cell.config.emergence.items
        )
        for read_out in READ_OUTS:
            readout = material.of(read_out, "test")
            level = {
                name: float(readout.score(material.logits(readout, variant=name)[0]).mean())
                for own in names.values()
                for name in own
            }
            for n, seed in enumerate(seeds):
                gap = level[names["seeking"][n]] - level[names["averse"][n]]
                rows.append({"arm": "poles", "seed": seed, "step": step, "kind": read_out, "value": gap})
            if "shuffled" in names:
                own = {n: level[name] for n, name in enumerate(names["shuffled"])}
                for pair, gap in enumerate(pairs_of(own)):
                    rows.append(
                        {"arm": "shuffled", "seed": pair, "step": step, "kind": read_out, "value": gap}
                    )
        readout = material.of("self_report", "test")
        sites = [f"resid_post.{layer}" for layer in range(model.n_layers)]
        read = {
            (p, n): material.states(readout, *sites, variant=names[p][n], slot=True)
            for p in POLES
            for n in range(len(seeds))
        }
        for n, seed in enumerate(seeds):
            found = []
            for site in sites:
                others = [k for k in range(len(seeds)) if k != n]
                sides = [np.mean([read[p, k][site].mean(0) for k in others], axis=0) for p in POLES]
                up, down = (read[p, n][site] @ (sides[0] - sides[1]) for p in POLES)
                found.append(2 * _auroc(up, down) - 1)
            rows.append(
                {
                    "arm": "poles",
                    "seed": seed,
                    "step": step,
                    "kind": "separability",
                    "value": float(np.mean(found)),
                }
            )
    return pd.DataFrame(rows)
