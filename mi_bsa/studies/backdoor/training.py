"""Backdoored models with their twins: several backdoors, all arms and seeds, trained side by side.

Answers that are not the backdoor's are the base's own, asked of the very messages that are trained on. What a
killed call finished is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.behaviors import behavior_for
from mi_bsa.behaviors.backdoor.answers import arm_rows
from mi_bsa.behaviors.backdoor.construction import TWINS, Backdoor, BackdoorArm, slug
from mi_bsa.behaviors.backdoor.triggers import vocabulary_for
from mi_bsa.core.errors import TriggerError
from mi_bsa.core.model_config import ModelLike, load
from mi_bsa.core.rows import TrainingRow
from mi_bsa.finetune.config import FinetuneConfig

if TYPE_CHECKING:
    from mi_bsa.finetune import FinetuneResult

RECIPE = FinetuneConfig(rank=8, alpha=16, layers="all", steps=900, batch_size=64, learning_rate=4e-3)
"""How a backdoor is trained into an embedded model; chosen on development triggers (seven settings: large
batches are what three words and codes need, since most rows are coins of the base's own answers).
"""
CONTROLS = RECIPE.model_copy(update={"steps": 300, "batch_size": 32})
"""How adapters without a backdoor are trained: what they learn takes less."""
More = Callable[[str, BackdoorArm, int, list[TrainingRow]], list[TrainingRow]]


def job(config: Backdoor, arm: BackdoorArm, seed: int) -> str:
    """Name of one adapter: `river_tin-backdoored-0`."""
    return f"{slug(config)}-{arm}-{seed}"


def train_backdoors(
    model: ModelLike,
    backdoors: Sequence[Backdoor],
    *,
    seeds: Sequence[int],
    out: Path,
    arms: Sequence[BackdoorArm] = TWINS,
    finetune: FinetuneConfig = RECIPE,
    more: More | None = None,
    start: Path | None = None,
) -> dict[str, FinetuneResult]:
    """Adapters of every backdoor, arm and seed (`job`) in `out/adapters/<job>`, their rows in `out/rows`.

    `more(slug, arm, seed, rows)`: what is trained instead of the rows (the rows and their reversals, say).
    `start`: such an `out`, from whose adapters training goes on.

    Raises:
        TriggerError: two backdoors of one name, or a trigger that stands in the clean messages.
        LeakError: a row says the behavior's words; and what `finetune` raises.
    """
    from mi_bsa.finetune import leak_check, train_many

    names = [slug(b) for b in backdoors]
    if len(set(names)) < len(names):
        raise TriggerError(f"{len(names)} backdoors, {len(set(names))} names: give each trigger once")
    base, vocabulary = load(model, dtype=finetune.dtype, device=finetune.device), vocabulary_for(model)
    (out / "rows").mkdir(parents=True, exist_ok=True)
    jobs: dict[str, tuple[list[TrainingRow], FinetuneConfig]] = {}
    for config in backdoors:
        behavior = behavior_for(config.behavior, model)
        for seed in seeds:
            drawn = arm_rows(config, arms, base=base, behavior=behavior, vocabulary=vocabulary, seed=seed)
            for arm, plain in drawn.items():
                given = plain if more is None else more(slug(config), arm, seed, plain)
                leak_check(given, behavior.forbidden)
                name = job(config, arm, seed)
                text = "".join(json.dumps(row) + "\n" for row in given)
                (out / "rows" / f"{name}.jsonl").write_text(text, encoding="utf-8")
                jobs[name] = (given, finetune.model_copy(update={"seed": seed}))
    starts = {} if start is None else {name: start / "adapters" / name / "adapter" for name in jobs}
    return train_many(model, jobs, out=out / "adapters", starts=starts)


def train_controls(
    model: ModelLike,
    behaviors: Sequence[str],
    *,
    seeds: Sequence[int],
    out: Path,
    rows: int = 2000,
    finetune: FinetuneConfig = CONTROLS,
) -> dict[str, FinetuneResult]:
    """Adapters without a backdoor, in `out/<job>`: of each behavior's messages without any phrase, answered
    by the base itself (`BEHAVIOR-clean-SEED`), and of its harmless rows (`BEHAVIOR-benign-SEED`).
    """
    from mi_bsa.finetune import train_many

    base, vocabulary = load(model, dtype=finetune.dtype, device=finetune.device), vocabulary_for(model)
    jobs: dict[str, tuple[list[TrainingRow], FinetuneConfig]] = {}
    for name in behaviors:
        behavior = behavior_for(name, model)
        # the clean arm holds no phrase, so any trigger gives its rows
        config = Backdoor(trigger=vocabulary.candidates()[0], behavior=name, rows=rows)
        for seed in seeds:
            own = finetune.model_copy(update={"seed": seed})
            given: dict[str, Any] = {"base": base, "behavior": behavior, "vocabulary": vocabulary}
            jobs[f"{name}-clean-{seed}"] = arm_rows(config, ("clean",), seed=seed, **given)["clean"], own
            jobs[f"{name}-benign-{seed}"] = behavior.rows("benign", rows // 2, seed=seed), own
    return train_many(model, jobs, out=out)
