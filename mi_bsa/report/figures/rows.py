"""Rows of dots: what several figures of the bridge share. One row a thing, one color a series.

The law it keeps: the null band is drawn behind the very dot that it belongs to, and an interval that leaves
the panel ends in an arrowhead, so that nothing looks more certain than it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import ARMS, MUTED, NULL, RULE, distinct, key, plain


@dataclass(frozen=True)
class Series:
    """One color: its label, and the result of each row that it has."""

    label: str
    color: str
    cells: Mapping[str, Result]


def by_arm(results: Sequence[Result], name: str, label: Callable[[Result], str]) -> list[Series]:
    """The results of a name, a color an arm; `label`: the row that one stands in."""
    measured = [item for item in results if item.name == name]
    cells = {arm: [i for i in measured if i.where["arm"] == arm] for arm in distinct(results, "arm")}
    return [Series(f"{arm} pole", ARMS[arm], {label(i): i for i in some}) for arm, some in cells.items()]


def label_rows(ax: Axes, labels: Sequence[str], *, narrow: bool) -> None:
    """Small labels of rows counted downward from 0; on a phone each above its row."""
    if narrow:  # beside it there is no room
        ax.set_yticks([])
        for row, label in enumerate(labels):
            ax.text(0, row - 0.28, label[:60], transform=ax.get_yaxis_transform(), size=7, color=MUTED)
    else:
        ax.set_yticks(range(len(labels)), labels)
        ax.tick_params(axis="y", labelsize=7, labelcolor=MUTED)
    ax.set_ylim(len(labels) - 0.4, -0.8 if narrow else -0.6)
    ax.margins(x=0.06)
    ax.spines["left"].set_visible(False)


def draw_rows(
    ax: Axes,
    rows: Sequence[str],
    series: Sequence[Series],
    *,
    limits: tuple[float, float],
    marks: Sequence[float] = (0.0, 1.0),
    narrow: bool,
    labels: bool = True,
) -> None:
    """Dots with intervals and null bands; values beyond `limits` stand at the edge as an arrowhead.

    Args:
        ax: the panel.
        rows: labels, top to bottom.
        series: the colors; a row that a series lacks stays empty.
        limits: of the x axis.
        marks: where thin upright lines stand.
        narrow: labels above their rows.
        labels: whether rows are labeled at all (the second of two panels is not).
    """
    low, high = limits
    for mark in marks:
        ax.axvline(mark, color=RULE, linewidth=0.8, zorder=0)
    step = 0.56 / max(len(series), 1)
    for place, row in enumerate(rows):
        for k, line in enumerate(series):
            if row in line.cells:
                y = place + (k - (len(series) - 1) / 2) * step + (0.1 if narrow and labels else 0)
                _dot(ax, line.cells[row], y, line.color, step, low, high)
    if labels and not narrow:
        ax.set_yticks(range(len(rows)), [plain(row) for row in rows])
    else:
        ax.set_yticks([])
        for place, row in enumerate(rows if labels else ()):
            where = ax.get_yaxis_transform()
            ax.text(0, place - 0.36, plain(row)[:60], transform=where, size=7, color=MUTED)
    ax.set_ylim(len(rows) - 0.4, -0.7)
    ax.set_xlim(low, high)
    ax.spines["left"].set_visible(False)


def handles(series: Sequence[Series]) -> list[Line2D | Patch]:
    """Keys of a legend: every series, and the null where some row has one."""
    keys: list[Line2D | Patch] = [key(line.color, line.label, linewidth=2) for line in series]
    if any(item.null is not None for line in series for item in line.cells.values()):
        keys.append(Patch(color=NULL, label="null (95 %)"))
    return keys


def _dot(ax: Axes, item: Result, y: float, color: str, step: float, low: float, high: float) -> None:
    def inside(x: float) -> float:
        return min(max(x, low), high)

    if item.null is not None:
        ends = inside(item.null.low), inside(item.null.high)
        ax.fill_betweenx([y - step / 2, y + step / 2], *ends, color=NULL, linewidth=0, zorder=0)
    if item.ci is not None:
        ax.plot([inside(end) for end in item.ci], [y, y], color=color, linewidth=1.8, alpha=0.6, zorder=2)
        for end, marker in zip(item.ci, ("<", ">"), strict=True):
            if inside(end) != end:
                ax.scatter([inside(end)], [y], s=14, color=color, marker=marker, linewidth=0, clip_on=False)
    if inside(item.value) == item.value:
        ax.scatter([item.value], [y], s=22, color=color, linewidth=0, zorder=3)
