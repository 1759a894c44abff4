"""Any results as rows: the value with its interval, over the band of what nothing gives.

The figure of every section that has none of its own: controls, words, concealing, backdoors. Rows of
different units stand in panels of their own.
"""

import os
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mi_bsa.core.results import WHERE_KEYS, Result
from mi_bsa.report.figures.rows import label_rows
from mi_bsa.report.figures.style import (
    LEGEND_ROW,
    NARROW,
    NULL,
    PAINTS,
    RULE,
    WIDE,
    legend_above,
    plain,
    styled,
)


@styled
def draw_forest(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """One row a result with interval and null band; one panel a unit."""
    groups: dict[str, list[Result]] = {}
    for item in results:
        groups.setdefault(item.unit, []).append(item)
    heights = [0.75 + (0.4 if narrow else 0.24) * len(items) for items in groups.values()]
    figure = Figure(figsize=(NARROW if narrow else WIDE, 2 * LEGEND_ROW + sum(heights)))
    axes = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    names = {item.name for item in results}
    before = os.path.commonprefix(sorted(names)).rpartition(".")[0]
    for ax, (unit, items) in zip(axes, groups.items(), strict=True):
        _draw_panel(ax, items, narrow=narrow, skip=f"{before}." if before else "", named=len(names) > 1)
        ax.set_xlabel(plain(unit))
    if len(names) == 1:
        axes[0].set_title(plain(results[0].name))
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=PAINTS["accent"], marker="o", markersize=5, label="value and 95 % interval")
    ]
    if any(item.null is not None for item in results):
        handles.append(Patch(color=NULL, label="null (95 %)"))
    legend_above(axes[0], handles, columns=1 if narrow else 2)
    return figure


def _label(item: Result, varying: Sequence[str], *, skip: str, named: bool) -> str:
    """What tells a row from the others: its name where names differ (less the part that all share), and the
    places that differ.
    """
    words = [item.name.removeprefix(skip).replace("_", " ")] if named or not varying else []
    for key in varying:
        if key in item.where:
            value = item.where[key]
            words.append(f"{key} {value}" if isinstance(value, int | float) else str(value).replace("_", " "))
    return ", ".join(words)


def _draw_panel(ax: Axes, results: Sequence[Result], *, narrow: bool, skip: str, named: bool) -> None:
    ends = [end for item in results for end in (item.ci or (item.value,))]
    if min(ends) <= 0 <= max(ends):
        ax.axvline(0.0, color=RULE, linewidth=0.8, zorder=1)
    half = 0.2 if narrow else 0.36
    for row, item in enumerate(results):
        if item.null is not None:
            band = [row - half, row + half]
            ax.fill_betweenx(band, item.null.low, item.null.high, color=NULL, linewidth=0, zorder=0)
        if item.ci is not None:
            ax.plot(item.ci, [row, row], color=PAINTS["accent"], linewidth=2, alpha=0.6, zorder=2)
        ax.scatter([item.value], [row], s=26, color=PAINTS["accent"], linewidth=0, zorder=3)
    varying = [key for key in WHERE_KEYS if len({item.where.get(key) for item in results}) > 1]
    labels = [plain(_label(item, varying, skip=skip, named=named)) for item in results]
    label_rows(ax, labels, narrow=narrow)
