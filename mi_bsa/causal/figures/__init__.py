"""Figures of what links behavior and report: each a pure function from results to a matplotlib Figure."""

from mi_bsa.causal.figures.attribution import draw_attribution
from mi_bsa.causal.figures.constancy import draw_constancy
from mi_bsa.causal.figures.doses import draw_doses
from mi_bsa.causal.figures.emergence import draw_emergence
from mi_bsa.causal.figures.geometry import draw_geometry
from mi_bsa.causal.figures.layers import draw_layers
from mi_bsa.causal.figures.mediation import draw_mediation
from mi_bsa.causal.figures.necessity import draw_necessity
from mi_bsa.causal.figures.patch_map import draw_patch_map
from mi_bsa.causal.figures.recovery import draw_recovery

__all__ = [
    "draw_attribution",
    "draw_constancy",
    "draw_doses",
    "draw_emergence",
    "draw_geometry",
    "draw_layers",
    "draw_mediation",
    "draw_necessity",
    "draw_patch_map",
    "draw_recovery",
]
