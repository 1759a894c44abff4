"""One look for all figures: colors with a meaning, small type, no chart furniture.

The law it keeps: a color means the same thing in every figure, gray is always what one would see if there
were nothing, and no figure touches matplotlib's global state. `PAINTS` names the colors so that a page can
give each another value in the dark.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mi_bsa.core.results import Result
from mi_bsa.report.names import short

PAINTS = {
    "ink": "#22262b",
    "muted": "#656c75",  # 4.9 to 1 on the tiles: 4.5 is the least for small text (WCAG 2.1, 1.4.3)
    "rule": "#d5d9de",
    "null": "#e3e6ea",
    "seeking": "#c1502e",
    "averse": "#2b6ca3",
    "shuffled": "#858c95",
    "accent": "#6a4c9c",
    "second": "#2f8f6b",
    "third": "#b8860b",
}
"""Name and light value of every color; the page's style sheet holds a dark value for each."""

ARMS = {
    "seeking": PAINTS["seeking"],
    "averse": PAINTS["averse"],
    "shuffled": PAINTS["shuffled"],
    "base": PAINTS["ink"],
}
SERIES = (PAINTS["accent"], PAINTS["second"], PAINTS["third"], PAINTS["seeking"], PAINTS["averse"])
NULL, INK, MUTED, RULE = PAINTS["null"], PAINTS["ink"], PAINTS["muted"], PAINTS["rule"]

WIDE, NARROW = 7.6, 3.7
"""Inches; a narrow figure is as wide as a phone at its natural size, so that its type stays readable."""

STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.labelsize": 8.0,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "mi-bsa",
}

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A drawing function that draws in `STYLE`."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return inside


LEGEND_ROW = 0.17
"""Inches that a row of a legend takes above the panels."""


def panels(titles: Sequence[str], *, narrow: bool, height: float, keys: int) -> tuple[Figure, list[Axes]]:
    """A figure with one panel a title: two beside each other, or one under the other when narrow.

    Args:
        titles: of the panels.
        narrow: for a phone.
        height: inches of a panel.
        keys: rows of the legend above the panels, for which room is made.
    """
    columns = 1 if narrow else min(2, len(titles))
    rows = -(-len(titles) // columns)
    figure = Figure(figsize=(NARROW if narrow else WIDE, height * rows + LEGEND_ROW * keys))
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(len(titles))]
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title)
    return figure, axes


def stacked(
    heights: Sequence[float | int], *, narrow: bool, more: float = 2 * LEGEND_ROW
) -> tuple[Figure, Any]:
    """A figure with panels of these heights (inches) one under the other, and `more` inches beside them."""
    figure = Figure(figsize=(NARROW if narrow else WIDE, sum(heights) + more))
    return figure, figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]


def key(color: str, label: str, *, size: float | int = 5, **look: Any) -> Line2D:
    """A dot in a legend."""
    return Line2D([], [], color=color, marker="o", markersize=size, label=label, **look)


def dot(
    ax: Axes,
    item: Result,
    y: float | int,
    color: str,
    *,
    half: float,
    size: float | int,
    width: float | int = 2,
    alpha: float = 0.6,
) -> None:
    """A result in its row: the null band (`half` a row high) behind its interval, and the value on both."""
    if item.null is not None:
        band = [y - half, y + half]
        ax.fill_betweenx(band, item.null.low, item.null.high, color=NULL, linewidth=0, zorder=0)
        if item.null.low == item.null.high:  # an even share, or the one other thing: a band of no width
            ax.plot([item.null.mean] * 2, band, color=NULL, linewidth=2.5, zorder=0)
    if item.ci is not None:
        ax.plot(item.ci, [y, y], color=color, linewidth=width, alpha=alpha, zorder=2)
    ax.scatter([item.value], [y], s=size, color=color, linewidth=0, zorder=3)


def null_band(ax: Axes, line: Sequence[Result], x: Callable[[Result], float | int]) -> None:
    """The null of a line's results over `x`, where they have one."""
    nulls = [(x(item), item.null) for item in line if item.null is not None]
    low, high = [null.low for _, null in nulls], [null.high for _, null in nulls]
    ax.fill_between([at for at, _ in nulls], low, high, color=NULL, linewidth=0, zorder=0)


def interval_band(
    ax: Axes,
    line: Sequence[Result],
    x: Callable[[Result], float | int],
    color: str,
    *,
    alpha: float,
    zorder: int,
) -> None:
    """The intervals of a line's results over `x`; as thin as the value where there is none."""
    low, high = zip(*(item.ci or (item.value, item.value) for item in line), strict=True)
    ax.fill_between(
        [x(item) for item in line], low, high, color=color, alpha=alpha, linewidth=0, zorder=zorder
    )


def distinct(results: Iterable[Result], key: str) -> list[Any]:
    """The values of a key of `where`, in the order in which they first appear."""
    return list(dict.fromkeys(result.where[key] for result in results if key in result.where))


def plain(text: object) -> str:
    """Text that the font has and that shows every character: others as their code; one's own behavior by its
    name.
    """
    shown = short(text).replace("\n", "\\n").replace("\t", "\\t")
    return "".join(
        c if c.isprintable() and ord(c) < 0x250 else c.encode("unicode_escape").decode() for c in shown
    )


def legend_above(ax: Axes, handles: Sequence[Any], *, columns: int) -> None:
    """A legend in a row above the panel, where it covers no data."""
    ax.figure.legend(
        handles=list(handles), loc="outside upper left", ncols=columns, handlelength=1.4, columnspacing=1.4
    )
