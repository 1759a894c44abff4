"""Mixing: a row a condition, choices and report as shares of plain's; small dots are places.

Reads `mixing.choices_share` and `mixing.report_share` with `where` keys behavior, base and method (the
condition), and the same over bases where they are there.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import (
    MUTED,
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
    ("choices_share", "what it chooses", PAINTS["second"], -0.16),
    ("report_share", "what it says", PAINTS["accent"], 0.16),
)


@styled
def draw_mixing(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """One row a condition; 1 is what plain training gives."""
    places = [r for r in results if r.name in {f"mixing.{name}" for name, *_ in SHOWN}]
    rows = distinct(places, "method")
    figure, (ax,) = stacked([0.6 + 0.36 * len(rows)], narrow=narrow)
    for at in (0.0, 1.0):
        ax.axvline(at, color=RULE, linewidth=0.8, zorder=1)
    for name, _, color, shift in SHOWN:
        for row, condition in enumerate(rows):
            own = [r for r in places if r.name == f"mixing.{name}" and r.where["method"] == condition]
            y = row + shift
            ax.scatter([r.value for r in own], [y] * len(own), s=7, color=MUTED, linewidth=0, zorder=2)
            over = _over(results, name, condition)
            if over is not None:
                dot(ax, over, y, color, half=0.2, size=22, alpha=0.5)
            elif len(own) == 1:
                dot(ax, own[0], y, color, half=0.2, size=22, alpha=0.5)
    ax.set_yticks(range(len(rows)), [plain(row) for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(min(-0.15, *(float(r.value) for r in places)), max(1.3, *(float(r.value) for r in places)))
    ax.set_xlabel("share of what plain training gives")
    ax.spines["left"].set_visible(False)
    legend_above(ax, [key(color, label) for _, label, color, _ in SHOWN], columns=1 if narrow else 2)
    return figure


def _over(results: Sequence[Result], name: str, condition: str) -> Result | None:
    """The mean over bases of all behaviors, else over behaviors."""
    names = [f"mixing.over_{over}.{name}" for over in ("bases", "behaviors")]
    own = [r for r in results if r.where.get("method") == condition and "behavior" not in r.where]
    return next((r for one in names for r in own if r.name == one), None)
