"""Building organisms: trained, each measured on test wordings, and written into a manifest.

Law: what is there is not made again; an organism stands in the manifest once it was trained and measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mi_bsa.behaviors import behavior_for
from mi_bsa.core.model_config import load
from mi_bsa.core.rows import rows_hash
from mi_bsa.core.variants import BASE
from mi_bsa.finetune.zoo.manifest import Truth, read_manifest, write_manifest
from mi_bsa.finetune.zoo.recipes import Organism, ZooConfig

if TYPE_CHECKING:
    from mi_bsa.core.finetuned import FinetuneResult

LOADED = 20
"""Adapters that are loaded beside each other to be asked; more take memory and save nothing."""


def build(config: ZooConfig, wanted: Iterable[Organism], out: Path) -> dict[str, Truth]:
    """Train and measure organisms into `out/<name>`; returns the whole manifest of `out`.

    Raises:
        LeakError: a row that says the behavior's words.
        BrokenFileError: an organism that is there and has changed.
    """
    from mi_bsa.finetune import leak_check, train_many

    out.mkdir(parents=True, exist_ok=True)
    there = read_manifest(out)
    todo = [one for one in wanted if one.name not in there]
    for start in range(0, len(todo), LOADED):
        some = todo[start : start + LOADED]
        jobs = {}
        for one in some:
            rows = one.rows(config)
            leak_check(rows, behavior_for(one.behavior, config.model).forbidden)
            jobs[one.name] = (rows, one.plan(config))
        done = train_many(config.model, jobs, out=out)
        there |= measured(config, some, done)
        write_manifest(out, there.values())
    return there


def measured(config: ZooConfig, some: list[Organism], done: Mapping[str, FinetuneResult]) -> dict[str, Truth]:
    """What trained organisms, and their base, choose and say, on test wordings."""
    from mi_bsa.asking import ask_many

    how = config.finetune
    adapters = {one.name: done[one.name].adapter for one in some}
    model = load(config.model, adapters, dtype=how.dtype, device=how.device)
    found = {}
    for behavior in dict.fromkeys(one.behavior for one in some):
        bound, own = behavior_for(behavior, config.model), [one for one in some if one.behavior == behavior]
        sets = {
            "choices": bound.items(config.data.choices, split="test", seed=0),
            "report": list(bound.questions(split="test")),
        }
        table = ask_many(model, sets, [BASE, *(one.name for one in own)])
        kinds = table.groupby(["set", "variant", "kind"])["score"].mean()
        level = kinds.groupby(["set", "variant"]).mean()
        for one in own:
            rows, result = one.rows(config), done[one.name]
            found[one.name] = Truth(
                name=one.name,
                base=str(config.model),
                behavior=behavior,
                pole=one.pole,
                kind=one.kind,
                seed=one.seed,
                rank=one.rank,
                steps=one.steps,
                trigger=None,
                rows=len(rows),
                rows_sha256=rows_hash(rows),
                fingerprint=result.fingerprint,
                choices=round(float(level["choices", one.name]), 4),
                report=round(float(level["report", one.name]), 4),
                base_choices=round(float(level["choices", BASE]), 4),
                base_report=round(float(level["report", BASE]), 4),
                loss=round(float(result.loss), 4),
            )
    return found
