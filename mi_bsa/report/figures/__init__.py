"""Figures that any study can use: pure functions from results to a matplotlib Figure, for a page or a phone.

Those of single studies and of the causal steps lie with them.
"""

from mi_bsa.report.figures.forest import draw_forest
from mi_bsa.report.figures.levels import draw_levels

__all__ = ["draw_forest", "draw_levels"]
