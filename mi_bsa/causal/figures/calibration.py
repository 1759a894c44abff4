"""Reliability of the probe on self-reports: what it said, and what was so.

Reads `bridge.calibration.observed` (by method; variant `bin-01`, ...; the null's mean is what the bin was
predicted, its band what a calibrated probe would show on so few rows).
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mi_bsa.core.results import Result
from mi_bsa.report.figures.forest import draw_forest
from mi_bsa.report.figures.style import (
    MUTED,
    NULL,
    PAINTS,
    RULE,
    distinct,
    key,
    legend_above,
    panels,
    plain,
    styled,
)

OBSERVED = "bridge.calibration.observed"


@styled
def draw_calibration(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Observed over predicted shares, a panel a method: as the probe is, and scaled."""
    bins = [item for item in results if item.name == OBSERVED and item.null is not None]
    methods = distinct(bins, "method")[:2]
    if not methods:
        return draw_forest(results, narrow=narrow)
    titles = [plain(str(method).replace("platt", "Platt")) for method in methods]
    figure, axes = panels(titles, narrow=narrow, height=2.7, keys=3 if narrow else 1)
    for ax, method in zip(axes, methods, strict=False):
        _draw(ax, [item for item in bins if item.where["method"] == method])
    keys: list[Line2D | Patch] = [
        key(PAINTS["second"], "bins of equal mass, 95 % over seeds", size=4),
        Patch(color=NULL, label="a calibrated probe (95 %)"),
    ]
    legend_above(axes[0], keys, columns=1 if narrow else 2)
    return figure


def _draw(ax: Axes, bins: Sequence[Result]) -> None:
    ax.plot([0, 1], [0, 1], color=RULE, linewidth=0.8, zorder=1)
    at = [item.null.mean for item in bins if item.null is not None]
    for x, item in zip(at, bins, strict=True):
        if item.null is not None:
            ax.plot([x, x], [item.null.low, item.null.high], color=NULL, linewidth=7, zorder=0)
        if item.ci is not None:
            ax.plot([x, x], item.ci, color=PAINTS["second"], linewidth=2, alpha=0.5, zorder=2)
    ax.plot(at, [item.value for item in bins], color=PAINTS["second"], linewidth=1, marker="o", markersize=4)
    ax.set_xlim(-0.03, 1.03)
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("P(seeking run) that the probe gives")
    ax.set_ylabel("share of seeking runs", color=MUTED)
