"""Confusion: what adapters are against what they are called, one panel a question and way of looking.

Reads `backdoor.audit.confusion`; `where` has the method, and kind says `behavior: risk called none`. A cell
holds the share of the adapters of its row, and how many that are.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import NARROW, PAINTS, WIDE, distinct, plain, styled

COLORS = LinearSegmentedColormap.from_list("share", ["#f4f5f6", PAINTS["accent"]])
ACROSS = 3
"""Panels in a row, beyond which axes have no room for their names."""
PRINT = "#23272c"
"""Of numbers on light cells; no color of the page, since the cells stay light in the dark."""


@styled
def draw_confusion(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """One panel a method (three across) and question (down); below each other where the page is narrow."""
    methods = [str(m) for m in distinct(results, "method")]
    questions = list(dict.fromkeys(_parts(item)[0] for item in results))
    panels = [(q, m) for q in questions for m in methods]
    columns = 1 if narrow else min(ACROSS, len(methods))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(NARROW if narrow else WIDE, 1.75 * rows))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    for ax, (question, method) in zip(axes, panels, strict=False):
        own = [r for r in results if r.where["method"] == method and _parts(r)[0] == question]
        _draw_panel(ax, own)
        ax.set_title(plain(f"{question}: {method}".replace("_", " ")))
    return figure


def _parts(item: Result) -> tuple[str, str, str]:
    """(question, what it is, what it is called)."""
    question, _, rest = str(item.where["kind"]).partition(": ")
    true, _, said = rest.partition(" called ")
    return question, true, said


def _draw_panel(ax: Axes, results: Sequence[Result]) -> None:
    true = list(dict.fromkeys(_parts(r)[1] for r in results))
    said = sorted({_parts(r)[2] for r in results})
    grid = np.zeros((len(true), len(said)))
    counts: dict[str, int] = {}
    for item in results:
        _, row, column = _parts(item)
        grid[true.index(row), said.index(column)] = item.value
        counts[row] = item.n
    ax.pcolormesh(grid, cmap=COLORS, vmin=0, vmax=1, edgecolors="white", linewidth=0.6)
    for (row, column), value in np.ndenumerate(grid):
        color = "white" if value > 0.6 else PRINT
        ax.text(column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center", color=color)
    ax.set_yticks(np.arange(len(true)) + 0.5, [plain(f"{t} ({counts[t]})") for t in true])
    ax.set_xticks(np.arange(len(said)) + 0.5, [plain(s) for s in said])
    ax.set_xlabel("is called")
    ax.invert_yaxis()
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
