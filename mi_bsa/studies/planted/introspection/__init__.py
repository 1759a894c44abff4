"""Planted reports: small Llamas whose report reads the state, follows the input, notices anything odd, or
guesses; do the introspection controls tell which?

    python -m mi_bsa.studies.planted.introspection --runs runs/planted_reports --out docs/validity.md
"""

from mi_bsa.studies.planted.introspection.worlds import WORLDS, Planted, draw, instance

__all__ = ["WORLDS", "Planted", "draw", "instance"]
