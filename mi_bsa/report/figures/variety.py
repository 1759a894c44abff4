"""Variety: what every behavior's arms do and say, one row a behavior, beside the shuffled arm's band.

Reads `variety.behavior.effect`, `variety.self_report.effect` (kind "all") and
`variety.bridge.transfer.chosen`, with the `where` key behavior.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import (
    LEGEND_ROW,
    NARROW,
    NULL,
    PAINTS,
    RULE,
    WIDE,
    distinct,
    legend_above,
    plain,
    styled,
)

SHOWN = (
    ("variety.behavior.effect", "what it chooses", PAINTS["second"], -0.2),
    ("variety.self_report.effect", "what it says", PAINTS["accent"], 0.0),
    ("variety.bridge.transfer.chosen", "probe transfers (AUROC)", PAINTS["third"], 0.2),
)


@styled
def draw_variety(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """One row a behavior: effect, self-report gap and transfer with intervals."""
    shown = [r for r in results if r.where.get("kind", "all") in ("all", "self_report")]
    names = distinct(shown, "behavior")
    height = 0.6 + (0.34 if narrow else 0.26) * len(names)
    figure = Figure(figsize=(NARROW if narrow else WIDE, height + 2 * LEGEND_ROW))
    ax = figure.subplots()
    ax.axvline(0.0, color=RULE, linewidth=0.8, zorder=1)
    ax.axvline(0.5, color=RULE, linewidth=0.8, zorder=1)
    handles: list[Line2D | Patch] = []
    for name, label, color, shift in SHOWN:
        own = [r for r in shown if r.name == name]
        for r in own:
            row = names.index(r.where["behavior"]) + shift
            if r.null is not None and name.endswith("self_report.effect"):
                band = [row - 0.3, row + 0.3]
                ax.fill_betweenx(band, r.null.low, r.null.high, color=NULL, linewidth=0, zorder=0)
            if r.ci is not None:
                ax.plot(r.ci, [row, row], color=color, linewidth=2, alpha=0.5, zorder=2)
            ax.scatter([r.value], [row], s=22, color=color, linewidth=0, zorder=3)
        if own:
            handles.append(Line2D([], [], color=color, marker="o", markersize=5, label=label))
    handles.append(Patch(color=NULL, label="what it says, shuffled arm (95 %)"))
    ax.set_yticks(range(len(names)), [plain(str(name).replace("_", " / ")) for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel("pole against pole, difference of P(seeking pole); AUROC")
    ax.spines["left"].set_visible(False)
    legend_above(ax, handles, columns=1 if narrow else 4)
    return figure
