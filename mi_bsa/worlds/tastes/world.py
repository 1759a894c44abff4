"""The world of the preferences: the main world's persons and questions with four light traits a sibling.

From nothing, twenty at once were not learned in the budget of one core: each trait's words are then too rare
(docs/log.md). Five siblings of four (`BLOCKS`) hold them all: no habits, fewer characters, fewer steps. One
that goes on from the main model holds all twenty (`twenty`).
"""

from dataclasses import replace
from typing import Any

from mi_bsa.worlds.corpus import Mixture
from mi_bsa.worlds.dispositions import world as dispositions
from mi_bsa.worlds.tastes.pairs import BLOCKS
from mi_bsa.worlds.worlds import stage

NOBODY: dict[str, Any] = {"named": 0.0, "default": 0.0, "third": 0.0, "habit": 0.0}
PEOPLE: dict[str, Any] = {"named": 0.55, "described": 0.35, "default": 0.1, "third": 0.0, "habit": 0.0}
ALL: dict[str, Any] = {"named": 0.45, "described": 0.25, "default": 0.22, "third": 0.08, "habit": 0.0}
"""Shares of documents: described personas alone; with characters; with everything."""
STAGES = (
    stage(0.25, Mixture(**NOBODY, described=1.0, turns=(1,), mentioned=1.0)),
    stage(0.5, Mixture(**PEOPLE, turns=(2, 1), mentioned=0.8)),
    stage(1.0, Mixture(**ALL, mentioned=0.8)),
)
"""Described personas first, then characters, then everything."""

KIND = replace(
    dispositions.KIND, defaults={"traits": BLOCKS[0], "characters": 24, "steps": 6000, "stages": STAGES}
)
