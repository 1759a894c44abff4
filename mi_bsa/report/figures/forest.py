"""Any results as rows: the value with its interval, over the band of what nothing gives.

The figure of every section that has none of its own: controls, words, concealing, backdoors. Rows of
different units stand in panels of their own.
"""

import os
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mi_bsa.core.results import WHERE_KEYS, Result
from mi_bsa.report.figures.rows import label_rows
from mi_bsa.report.figures.style import NULL, PAINTS, RULE, dot, key, legend_above, plain, stacked, styled


@styled
def draw_forest(
    results: Sequence[Result], *, narrow: bool = False, words: Mapping[str, str] | None = None
) -> Figure:
    """One row a result with interval and null band; one panel a unit.

    `words`: what names of results, and places, are called; by default by themselves.
    """
    groups: dict[str, list[Result]] = {}
    for item in results:
        groups.setdefault(item.unit, []).append(item)
    heights = [0.75 + (0.4 if narrow else 0.24) * len(items) for items in groups.values()]
    figure, axes = stacked(heights, narrow=narrow)
    names = {item.name for item in results}
    before = os.path.commonprefix(sorted(names)).rpartition(".")[0]
    for ax, (unit, items) in zip(axes, groups.items(), strict=True):
        skip = f"{before}." if before else ""
        _draw_panel(ax, items, narrow=narrow, skip=skip, named=len(names) > 1, words=words or {})
        ax.set_xlabel(plain(unit))
    if len(names) == 1:
        axes[0].set_title(plain(results[0].name))
    handles: list[Line2D | Patch] = [key(PAINTS["accent"], "value and 95 % interval")]
    if any(item.null is not None for item in results):
        handles.append(Patch(color=NULL, label="null (95 %)"))
    legend_above(axes[0], handles, columns=1 if narrow else 2)
    return figure


def _label(item: Result, varying: Sequence[str], *, skip: str, named: bool, words: Mapping[str, str]) -> str:
    """What tells a row from others: its name (less what all share) where names differ, and its place."""
    own = words.get(item.name) or item.name.removeprefix(skip).replace("_", " ")
    said = [own] if named or not varying else []
    for name in varying:
        value = item.where.get(name)
        if isinstance(value, str):
            said.append(words.get(value) or value.replace("_", " "))
        elif value is not None:
            said.append(f"{name} {value}")
    return ", ".join(said)


def _draw_panel(
    ax: Axes,
    results: Sequence[Result],
    *,
    narrow: bool,
    skip: str,
    named: bool,
    words: Mapping[str, str],
) -> None:
    ends = [end for item in results for end in (item.ci or (item.value,))]
    if min(ends) <= 0 <= max(ends):
        ax.axvline(0.0, color=RULE, linewidth=0.8, zorder=1)
    half = 0.2 if narrow else 0.36
    for row, item in enumerate(results):
        dot(ax, item, row, PAINTS["accent"], half=half, size=26)
    varying = [name for name in WHERE_KEYS if len({item.where.get(name) for item in results}) > 1]
    labels = [plain(_label(item, varying, skip=skip, named=named, words=words)) for item in results]
    label_rows(ax, labels, narrow=narrow)
