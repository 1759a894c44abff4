"""All arms and seeds of one behavior on one base: trained, then asked, each in one go.

A study of many behaviors, or of many bases, does this for each of them. A small base trains all its adapters
at once; a large one trains them one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mi_bsa.behaviors import behavior_for
from mi_bsa.core.items import Item
from mi_bsa.core.model_config import ModelLike
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.data import DataConfig

if TYPE_CHECKING:
    from mi_bsa.behaviors import Arm
    from mi_bsa.finetune import FinetuneResult

REPORTS = ("neighbor_report-test", "named_report-test")
"""Sets of reports that only say what stayed; they are thinned, the trained trait's own are not."""


def train_arms(
    model: ModelLike,
    name: str,
    *,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    data: DataConfig,
    finetune: FinetuneConfig,
    out: Path,
) -> dict[str, FinetuneResult]:
    """Adapters of every arm and seed in `out/adapters/<arm>-<seed>`, their rows in `out/rows`.

    What a killed call finished is kept. Raises `LeakError` where a row says the behavior's words, and what
    `finetune` raises.
    """
    from mi_bsa.finetune import leak_check, train_many

    behavior = behavior_for(name, model)
    jobs = {}
    (out / "rows").mkdir(parents=True, exist_ok=True)
    for arm in arms:
        for seed in seeds:
            rows = behavior.rows(arm, data.rows, seed=seed, anchors=data.anchors, undecided=data.undecided)
            leak_check(rows, behavior.forbidden)
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (out / "rows" / f"{arm}-{seed}.jsonl").write_text(text, encoding="utf-8")
            jobs[f"{arm}-{seed}"] = (rows, finetune.model_copy(update={"seed": seed}))
    return train_many(model, jobs, out=out / "adapters")


def sets_of(name: str, model: ModelLike, *, data: DataConfig, stays: int) -> dict[str, list[Item]]:
    """The items of a study of one behavior; reports that say what stayed are thinned to about `stays`."""
    from mi_bsa.core.items import thin

    sets = behavior_for(name, model).study_sets(choices=data.choices, others=data.others)
    return {key: thin(items, stays) if key in REPORTS else items for key, items in sets.items()}
