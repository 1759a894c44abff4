"""Steering: the dose curve of each direction beside random directions of the same norm.

Reads `steer.level` with `where` keys variant ("base@4" is the base steered at dose 4), method and kind
("behavior" or "self_report"); `null` is the band of random directions at the same dose. Doses are in typical
norms of the site.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import (
    NULL,
    RULE,
    SERIES,
    distinct,
    interval_band,
    key,
    legend_above,
    null_band,
    panels,
    plain,
    styled,
)

TITLES = {"behavior": "what it chooses", "self_report": "what it says"}


@styled
def draw_doses(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Level over dose, by direction; one panel a read-out (and behavior)."""
    groups = list(dict.fromkeys(_group(item) for item in results))
    several = len({behavior for behavior, _ in groups}) > 1
    titles = [
        TITLES.get(kind, plain(kind)) + (f" ({plain(behavior)})" if several else "")
        for behavior, kind in groups
    ]
    methods = [str(method) for method in distinct(results, "method")]
    colors = {method: SERIES[place % len(SERIES)] for place, method in enumerate(methods)}
    handles: list[Line2D | Patch] = [
        key(color, plain(method.replace("_", " ")), size=4) for method, color in colors.items()
    ]
    nulls = [item.null for item in results if item.null is not None]
    if nulls:
        handles.append(Patch(color=NULL, label=f"{plain(nulls[0].kind)} (95 % of {nulls[0].n})"))
    columns = 1 if narrow else 3
    figure, axes = panels(titles, narrow=narrow, height=2.3, keys=-(-len(handles) // columns))
    for ax, group in zip(axes, groups, strict=True):
        _draw_panel(ax, [item for item in results if _group(item) == group], colors)
    legend_above(axes[0], handles, columns=columns)
    return figure


def dose(item: Result) -> float:
    """The dose in `where["variant"]`: what follows the last "@", 0 where there is none."""
    _, at, number = str(item.where.get("variant", "")).rpartition("@")
    return float(number) if at else 0.0


def _draw_panel(ax: Axes, results: Sequence[Result], colors: dict[str, str]) -> None:
    ax.axhline(0.5, color=RULE, linewidth=0.8, zorder=1)
    ax.axvline(0.0, color=RULE, linewidth=0.8, zorder=1)
    for place, (method, color) in enumerate(colors.items()):
        line = sorted((item for item in results if item.where.get("method") == method), key=dose)
        if not line:
            continue
        if place == 0:
            null_band(ax, line, dose)
        interval_band(ax, line, dose, color, alpha=0.18, zorder=1)
        doses, values = [dose(item) for item in line], [item.value for item in line]
        ax.plot(doses, values, color=color, marker="o", markersize=3.6, linewidth=1.8)
    ax.set_ylim(-0.03, 1.03)
    ax.set_yticks([0, 0.5, 1], ["0 averse", "0.5", "1 seeking"])
    ax.set_xlabel("dose (typical norms of the site)")


def _group(item: Result) -> tuple[str, str]:
    return str(item.where.get("behavior", "")), str(item.where.get("kind", ""))
