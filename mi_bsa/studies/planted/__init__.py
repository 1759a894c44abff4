"""Planted truth: small Llamas with hand-set weights and known wiring, judged by the study's own functions.

    python -m mi_bsa.studies.planted --instances 100 --runs runs/planted --out docs/validity.md

Five worlds of 100 instances each: behavior and report read one shared state; two separate states; the report
follows the prompt only; the adapter acts early and the report's circuit reads it later; and the reverse. How
often each verdict is given, with exact intervals, is what the verdict rules are worth.
"""

from mi_bsa.studies.planted.draw import REPORTED, WORLDS, Wiring, draw

__all__ = ["REPORTED", "WORLDS", "Wiring", "draw"]
