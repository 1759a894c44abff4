"""Questions of a study that are drawn as seeds are, wordings of reports and scenarios of choices: how many
there are, and how many stand behind each number.

The law: a number over seeds x wordings (or scenarios) is planned over both, with as many of them as its step
asks. A step thins its items, and each may be of another wording, so the count is an upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mi_bsa.causal.bridge_config import BridgeConfig

ASKED = {
    "behavior.effect": ("scenarios", ""),
    "bridge.recovery.behavior": ("scenarios", "place"),
    "bridge.recovery.self_report": ("wordings", "place"),
    "bridge.rival.self_report": ("wordings", "place"),
    "bridge.necessity.self_report": ("wordings", "place"),
    "bridge.mediation.nie": ("wordings", "place"),
    "bridge.attribution.observed": ("wordings", "attribution"),
    "bridge.words.in_context": ("wordings", "state_or_prompt"),
    "bridge.words.bag": ("wordings", "state_or_prompt"),
    "bridge.state_or_prompt.counter": ("wordings", "state_or_prompt"),
}
"""Result -> what it is over beside seeds, and the part of the config whose `items` are the most of them. What
is not here is over seeds alone, or over wordings within kinds.
"""


@dataclass(frozen=True)
class Wordings:
    """Wordings of a study's reports: how many, of how many kinds; `effective` where kinds have unequally
    many. `scenarios`: of its choices.
    """

    count: int
    kinds: int
    effective: float
    scenarios: int = 0


def wordings_of(config: BridgeConfig) -> Wordings:
    """The wordings of the reports, and the scenarios of the choices, that a study of this config judges."""
    from mi_bsa import behaviors

    bound = behaviors.behavior_for(config.behavior, config.model)
    sets = bound.study_sets(choices=config.data.choices, others=config.data.others)
    asked = {(i.labels["kind"], i.labels["template"]) for i in sets["report-test"]}
    kinds = [kind for kind, _ in asked]
    sizes = np.array([kinds.count(kind) for kind in dict.fromkeys(kinds)], dtype=float)
    scenarios = len({i.labels.get("scenario", i.id) for i in sets["choice-test"]})
    return Wordings(len(asked), len(sizes), float(len(sizes) ** 2 / (1 / sizes).sum()), scenarios)


def items_of(result: str, config: BridgeConfig, wordings: Wordings) -> tuple[int, str] | None:
    """How many wordings or scenarios a result is over, and which of the two; None of one that is not."""
    if result not in ASKED:
        return None
    what, part = ASKED[result]
    there = wordings.scenarios if what == "scenarios" else wordings.count
    return (min(there, int(getattr(config, part).items)) if part else there), what
