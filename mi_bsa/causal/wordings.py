"""The wordings of the reports that a study judges: how many, of how many kinds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mi_bsa.causal.bridge_config import BridgeConfig


@dataclass(frozen=True)
class Wordings:
    """Wordings of a study's reports: how many, of how many kinds; `effective` where kinds have unequally
    many.
    """

    count: int
    kinds: int
    effective: float


def wordings_of(config: BridgeConfig) -> Wordings:
    """The wordings of the reports that a study of this config judges."""
    from mi_bsa import behaviors

    bound = behaviors.behavior_for(config.behavior, config.model)
    sets = bound.study_sets(choices=config.data.choices, others=config.data.others)
    asked = {(i.labels["kind"], i.labels["template"]) for i in sets["report-test"]}
    kinds = [kind for kind, _ in asked]
    sizes = np.array([kinds.count(kind) for kind in dict.fromkeys(kinds)], dtype=float)
    return Wordings(len(asked), len(sizes), float(len(sizes) ** 2 / (1 / sizes).sum()))
