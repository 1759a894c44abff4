"""Variety: what every behavior's arms do and say, one row a behavior, beside the shuffled arm's band.

Reads `variety.behavior.effect`, `variety.self_report.effect` (kind "all") and
`variety.bridge.transfer.chosen`, with the `where` key behavior.
"""

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import (
    NULL,
    PAINTS,
    RULE,
    distinct,
    dot,
    key,
    legend_above,
    plain,
    stacked,
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
    figure, (ax,) = stacked([height], narrow=narrow)
    ax.axvline(0.0, color=RULE, linewidth=0.8, zorder=1)
    ax.axvline(0.5, color=RULE, linewidth=0.8, zorder=1)
    handles: list[Line2D | Patch] = []
    for name, label, color, shift in SHOWN:
        measured = [r for r in shown if r.name == name]
        for r in measured:
            banded = name.endswith("self_report.effect")
            item = r if banded else replace(r, where=dict(r.where), null=None)
            row = names.index(r.where["behavior"]) + shift
            dot(ax, item, row, color, half=0.3, size=22, alpha=0.5)
        if measured:
            handles.append(key(color, label))
    handles.append(Patch(color=NULL, label="what it says, shuffled arm (95 %)"))
    ax.set_yticks(range(len(names)), [plain(str(name).replace("_", " / ")) for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel("pole against pole, difference of P(seeking pole); AUROC")
    ax.spines["left"].set_visible(False)
    legend_above(ax, handles, columns=1 if narrow else 4)
    return figure
