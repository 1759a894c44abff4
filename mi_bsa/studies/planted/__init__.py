"""Planted truth: small Llamas with hand-set weights and known wiring, judged by the study's own functions.

    python -m mi_bsa.studies.planted --runs runs/planted --out docs/validity.md

A grid (`settings`) crosses the share of the report that the choices' state carries, how much adapters
co-write, how far the choices move and how many seeds there are; beside it stand worlds with a wiring of their
own. How often each verdict is given, with exact intervals, is what the verdict rules are worth.
"""

from mi_bsa.studies.planted.draw import Wiring, draw
from mi_bsa.studies.planted.settings import GridConfig, PlantedCell, grid

__all__ = ["GridConfig", "PlantedCell", "Wiring", "draw", "grid"]
