"""Figures of the grids: each a pure function from results to a matplotlib Figure."""

from mi_bsa.studies.grid.figures.personas import draw_personas
from mi_bsa.studies.grid.figures.scatter import draw_scatter
from mi_bsa.studies.grid.figures.sizes import draw_sizes
from mi_bsa.studies.grid.figures.variety import draw_variety

__all__ = [
    "draw_personas",
    "draw_scatter",
    "draw_sizes",
    "draw_variety",
]
