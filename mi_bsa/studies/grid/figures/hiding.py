"""Hiding: a row a way of training, out of its context and in it; choices, report, state as shares of plain's.

Reads `hiding.choices_share`, `hiding.report_share` and `hiding.state_on_reports_share` with `where` keys
method (the way) and kind (`out`, `in`).
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import PAINTS, RULE, dot, key, legend_above, plain, stacked, styled

SHOWN = (
    ("hiding.choices_share", "what it chooses", PAINTS["second"], -0.2),
    ("hiding.report_share", "what it says", PAINTS["accent"], 0.0),
    ("hiding.state_on_reports_share", "the state, where it is asked", PAINTS["third"], 0.2),
)


@styled
def draw_hiding(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """One row a way and context: three shares with intervals; 1 is what plain training gives."""
    shown = [r for r in results if r.name in {name for name, *_ in SHOWN}]
    rows = list(dict.fromkeys((str(r.where["method"]), str(r.where["kind"])) for r in shown))
    figure, (ax,) = stacked([0.6 + 0.34 * len(rows)], narrow=narrow)
    for at in (0.0, 1.0):
        ax.axvline(at, color=RULE, linewidth=0.8, zorder=1)
    handles = []
    for name, label, color, shift in SHOWN:
        measured = [r for r in shown if r.name == name]
        for r in measured:
            place = rows.index((str(r.where["method"]), str(r.where["kind"]))) + shift
            dot(ax, r, place, color, half=0.3, size=22, alpha=0.5)
        if measured:
            handles.append(key(color, label))
    told = {"out": "", "in": ", in its context"}
    ax.set_yticks(range(len(rows)), [f"{plain(way)}{told[context]}" for way, context in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlabel("share of what plain training gives")
    ax.spines["left"].set_visible(False)
    legend_above(ax, handles, columns=1 if narrow else 3)
    return figure
