"""All twenty preferences in one model, which goes on from the main world's.

From nothing the circuit from persona to answer does not come within minutes where traits are many: each
one's words are too rare. The main model has it for two traits; on its weights, with described personas of all
twenty read first, it spreads to all of them in 1,500 steps (docs/log.md).
"""

from dataclasses import replace
from typing import Any

from mi_bsa.worlds.corpus import Mixture
from mi_bsa.worlds.tastes.pairs import TASTES
from mi_bsa.worlds.tastes.world import ALL, NOBODY, PEOPLE
from mi_bsa.worlds.tastes.world import KIND as TASTE
from mi_bsa.worlds.worlds import stage

STAGES: tuple[dict[str, Any], ...] = (
    stage(0.2, Mixture(**NOBODY, described=1.0, turns=(1,), mentioned=1.0)),
    stage(0.5, Mixture(**PEOPLE, turns=(2, 1), mentioned=0.8)),
    stage(1.0, Mixture(**ALL, mentioned=0.8)),
)
"""Described personas first, then characters, then everything."""

KIND = replace(
    TASTE,
    defaults={
        "traits": tuple(trait.name for trait in TASTES),
        "characters": 16,
        "steps": 10000,
        "start": "embedded",
        "stages": STAGES,
    },
)
