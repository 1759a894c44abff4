"""Steps 1 and 2 of a study: training rows with their leak check, and one adapter an arm and seed.

Arms beside the study's own: `wrong_seeking`, `wrong_averse` (the neighbor behavior's poles), `rank4_seeking`,
... and `all_seeking`, ... (the study's own rows, another rank or every layer).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from mi_bsa import behaviors
from mi_bsa.behaviors import Arm
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.core.errors import BehaviorError
from mi_bsa.core.leaks import leak_check
from mi_bsa.study.steps import Cell
from mi_bsa.worlds.weights import world_for

WRONG = "wrong_"


def write_rows(cell: Cell[BridgeConfig], *, arm: str, seed: int) -> dict[str, Any]:
    """Draw the rows of one arm and seed; a row that names the behavior stops the study."""
    config = cell.config
    vocabulary = behaviors.vocabulary_of(config.model)
    own = behaviors.get(config.behavior, vocabulary)
    behavior = behaviors.get(own.neighbor, vocabulary) if arm.startswith(WRONG) else own
    rows = behavior.rows(
        _arm(arm.removeprefix(WRONG)),
        config.data.rows,
        seed=seed,
        anchors=config.data.anchors,
        undecided=config.data.undecided,
        world=world_for(config.model),
    )
    leak_check(rows, behavior.forbidden)
    path = cell.folder / "rows" / f"{arm}-{seed}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return {"rows": len(rows), "example": rows[0]["messages"]}


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
    from mi_bsa.finetune import FinetuneConfig, finetune, read_rows

    name = f"{arm}-{seed}"
    values = cell.config.finetune.model_dump() | dict(change or {}) | {"seed": seed}
    config = FinetuneConfig.model_validate(values)
    given = read_rows(cell.folder / "rows" / f"{rows or name}.jsonl")
    out = cell.folder / "adapters" / name
    result = finetune(cell.config.model, given, config=config, out=out, resume=out.exists())
    return {"loss": float(result.loss), "steps": result.steps, "fingerprint": result.fingerprint}


def _arm(text: str) -> Arm:
    found: dict[str, Arm] = {arm: arm for arm in get_args(Arm)}
    if text not in found:
        raise BehaviorError(f"arm {text!r} is unknown; use one of {', '.join(found)}")
    return found[text]
