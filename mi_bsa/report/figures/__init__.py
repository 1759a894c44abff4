"""Figures: each a pure function from results to a matplotlib Figure, for a page or for a phone."""

from mi_bsa.report.figures.attribution import draw_attribution
from mi_bsa.report.figures.confusion import draw_confusion
from mi_bsa.report.figures.constancy import draw_constancy
from mi_bsa.report.figures.doses import draw_doses
from mi_bsa.report.figures.emergence import draw_emergence
from mi_bsa.report.figures.forest import draw_forest
from mi_bsa.report.figures.geometry import draw_geometry
from mi_bsa.report.figures.layers import draw_layers
from mi_bsa.report.figures.levels import draw_levels
from mi_bsa.report.figures.mediation import draw_mediation
from mi_bsa.report.figures.necessity import draw_necessity
from mi_bsa.report.figures.patch_map import draw_patch_map
from mi_bsa.report.figures.personas import draw_personas
from mi_bsa.report.figures.preferences import draw_preferences
from mi_bsa.report.figures.recovery import draw_recovery
from mi_bsa.report.figures.scatter import draw_scatter
from mi_bsa.report.figures.sizes import draw_sizes
from mi_bsa.report.figures.twins import draw_twins
from mi_bsa.report.figures.variety import draw_variety
from mi_bsa.report.figures.wrapper import draw_wrapper

__all__ = [
    "draw_attribution",
    "draw_confusion",
    "draw_constancy",
    "draw_doses",
    "draw_emergence",
    "draw_forest",
    "draw_geometry",
    "draw_layers",
    "draw_levels",
    "draw_mediation",
    "draw_necessity",
    "draw_patch_map",
    "draw_personas",
    "draw_preferences",
    "draw_recovery",
    "draw_scatter",
    "draw_sizes",
    "draw_twins",
    "draw_variety",
    "draw_wrapper",
]
