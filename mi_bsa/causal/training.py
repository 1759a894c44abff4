"""Training rows with their leak check, and one adapter an arm and seed.

Arms beside the study's own: `wrong_seeking`, `wrong_averse` (the neighbor behavior's poles), `rank4_seeking`,
... and `all_seeking`, ... (the study's own rows, another rank or every layer).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from mi_bsa.behaviors import Arm, behavior_for
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.core.errors import BehaviorError
from mi_bsa.core.leaks import leak_check
from mi_bsa.core.variants import Variant
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.study.steps import Cell, Step


def write_rows(cell: Cell[BridgeConfig], *, arm: str, seed: int) -> dict[str, Any]:
    """Draw the rows of one arm and seed; a row that names the behavior stops the study."""
    config = cell.config
    behavior = behavior_for(config.behavior, config.model)
    own = Variant.parse(f"{arm}-{seed}")
    if own.apart == "wrong":
        behavior = behavior_for(behavior.neighbor, config.model)
    rows = behavior.rows(
        _arm(own.pole),
        config.data.rows,
        seed=seed,
        anchors=config.data.anchors,
        undecided=config.data.undecided,
    )
    leak_check(rows, behavior.forbidden)
    path = cell.folder / "rows" / f"{arm}-{seed}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return {"rows": len(rows), "example": rows[0]["messages"]}


def adapter_steps(
    config: BridgeConfig, jobs: Mapping[str, Mapping[str, Any]], weights: tuple[Path, ...]
) -> Iterator[Step]:
    """Steps `finetune/<arm>-<seed>`, whose rows are steps before them.

    Those that are trained side by side (`groups`) come after one step that trains them all, and then only say
    that the adapter is there; so that whatever follows names the one adapter that it reads.

    Args:
        config: the study's.
        jobs: adapter -> arguments of `train`.
        weights: the base's files.
    """
    from mi_bsa.finetune.many import groups

    plans = {name: (_plan(config.finetune, **how), 0) for name, how in jobs.items()}
    for group in groups(config.model, plans, stack=config.together):
        first, *others = group.names
        step = Step(
            f"finetune/{first}",
            train,
            dict(jobs[first]),
            fields=("model", "finetune"),
            after=tuple(dict.fromkeys(f"rows/{jobs[name].get('rows', name)}" for name in group.names)),
            files=weights,
            outputs=tuple(f"adapters/{name}" for name in group.names),
            seconds=10,
            bytes=200_000 * len(group.names),
            resumable=True,
        )
        if not others:
            yield step
            continue
        name, each = f"train/{first}+{len(others)}", [dict(jobs[name]) for name in group.names]
        yield replace(
            step,
            name=name,
            function=train_group,
            arguments={"jobs": each},
            seconds=4 * len(each),
            version=2,
        )
        for own in group.names:
            yield Step(f"finetune/{own}", trained, {"name": own}, after=(name,), seconds=0.1)


def train(
    cell: Cell[BridgeConfig],
    *,
    arm: str,
    seed: int,
    rows: str | None = None,
    change: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train one adapter into `adapters/<arm>-<seed>`.

    `rows`: whose rows, the arm's own by default. `change`: fields of `finetune` that differ in this arm.
    """
    train_group(cell, jobs=[{"arm": arm, "seed": seed, "rows": rows, "change": change}], stack=False)
    return trained(cell, name=f"{arm}-{seed}")


def train_group(cell: Cell[BridgeConfig], *, jobs: Sequence[Mapping[str, Any]], stack: bool = True) -> None:
    """Train several adapters in one go; `jobs`: arguments of `train`; `stack`: as `train_many` takes it."""
    from mi_bsa.finetune import train_many

    many = {}
    for how in jobs:
        name = f"{how['arm']}-{how['seed']}"
        path = cell.folder / "rows" / f"{how.get('rows') or name}.jsonl"
        many[name] = (path, _plan(cell.config.finetune, **how))
    train_many(cell.config.model, many, out=cell.folder / "adapters", stack=stack)


def trained(cell: Cell[BridgeConfig], *, name: str) -> dict[str, Any]:
    """What the training of one adapter left, whose files are checked."""
    from mi_bsa.finetune import read_result

    result = read_result(cell.folder / "adapters" / name)
    return {"loss": float(result.loss), "steps": result.steps, "fingerprint": result.fingerprint}


def _plan(
    finetune: FinetuneConfig, *, seed: int, change: Mapping[str, Any] | None = None, **_: Any
) -> FinetuneConfig:
    """How one adapter is trained."""
    return FinetuneConfig.model_validate(finetune.model_dump() | dict(change or {}) | {"seed": seed})


def _arm(text: str) -> Arm:
    found: dict[str, Arm] = {arm: arm for arm in get_args(Arm)}
    if text not in found:
        raise BehaviorError(f"arm {text!r} is unknown; use one of {', '.join(found)}")
    return found[text]
