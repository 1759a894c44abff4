"""The steps "introspection" and "turns": what the report rests on, by controls that have no say in a verdict,
and whether it follows the state turn by turn.

Law: each reads the same items, adapters and trained vectors as the steps that a verdict reads, and writes a
file of its own; a study without it gives the same results in every other digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mi_bsa.behaviors import behavior_for
from mi_bsa.causal.causal_steps import ready
from mi_bsa.causal.steer_and_patch import write
from mi_bsa.study.steps import Cell

if TYPE_CHECKING:
    from mi_bsa.studies.behavior.config import BehaviorConfig


def introspect(cell: Cell[BehaviorConfig]) -> dict[str, Any]:
    """What moves the report, who else tells the pole, and what is left under other names."""
    from mi_bsa.causal.introspection.conditions import rests_on
    from mi_bsa.causal.introspection.moved import moved
    from mi_bsa.causal.introspection.readers import privileged_access
    from mi_bsa.causal.introspection.relabelled import relabelled
    from mi_bsa.causal.introspection.wordings import pool

    config = cell.config
    assert config.introspection is not None, "the step is there where the controls are asked for"
    material, place = ready(cell)
    behavior = behavior_for(config.behavior, config.model)
    named = getattr(behavior.world, "characters", ())  # a character's name is a persona, and no anomaly
    asked = [item for split in ("dev", "test") for item in material.sets[f"report-{split}"]]
    wordings = pool(material.model, asked, forbidden=(*behavior.forbidden, *named))
    results = moved(material, place, wordings, config.introspection)
    told = rests_on(results)
    results += [told] if told is not None else []
    results += privileged_access(material, config.introspection)
    results += relabelled(material, config.introspection)
    write(cell.folder / "introspection.json", results)
    return {"results": len(results)} | ({} if told is None else {"rests on": str(told.where["kind"])})


def take_turns(cell: Cell[BehaviorConfig]) -> dict[str, Any]:
    """Report and state, turn by turn."""
    from mi_bsa.causal.turns.correlated import by_turn

    assert cell.config.turns is not None, "the step is there where turns are asked for"
    material, place = ready(cell)
    results = by_turn(material, place, cell.config.turns)
    write(cell.folder / "turns.json", results)
    return {"results": len(results)}
