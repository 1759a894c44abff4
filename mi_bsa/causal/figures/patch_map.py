"""Patching: where the finetuned run's activations, put into the base, bring its behavior or report along.

Reads `patch.recovery` with `where` keys layer, position and kind; "12:you" is the token " you" at index 12,
"option A 0:40" the first token of a role. 0 is the base, 1 the finetuned model; on pairs of prompts that one
variant reads, 0 is the target prompt and 1 the source.
"""

import re
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from mi_bsa.causal.figures.doses import TITLES
from mi_bsa.core.results import Place, Result
from mi_bsa.report.figures.style import MUTED, NARROW, PAINTS, WIDE, distinct, plain, stacked, styled

_LABEL = re.compile(r"(?:(.*) )?\d+:(.+)", re.DOTALL)

COLORS = LinearSegmentedColormap.from_list("recovery", [PAINTS["averse"], "#f4f5f6", PAINTS["accent"]])
STRONG = 0.5
"""Cells from this recovery on carry their number."""

PRINT = "#23272c"
"""Of numbers on light cells; no color of the page, since the cells stay light in the dark."""


@styled
def draw_patch_map(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Recovery over layer x position; one panel under the other, a behavior, site and read-out each."""
    shown = [item for item in results if "layer" in item.where and "position" in item.where]
    groups = list(dict.fromkeys(_group(item) for item in shown))
    members = {group: [item for item in shown if _group(item) == group] for group in groups}
    heights = [0.5 + _cell_height(items) * len(distinct(items, "layer")) for items in members.values()]
    figure, axes = stacked(heights, narrow=narrow, more=0.9)
    reach = max(1.0, *(abs(item.value) for item in shown))
    scale = Normalize(-reach, reach)
    for place, (ax, group) in enumerate(zip(axes, groups, strict=True)):
        _draw_panel(ax, members[group], scale, narrow=narrow)
        below = members[groups[place + 1]] if place + 1 < len(groups) else []
        if distinct(below, "position") == distinct(members[group], "position"):
            ax.set_xticklabels([])  # the panel below says the same tokens
        ax.set_title(plain(", ".join(part for part in group if part)))
    tall = min(2.4, 0.8 * sum(heights))
    shrink, aspect = tall / (sum(heights) + 0.9), tall / 0.13
    bar = figure.colorbar(
        ScalarMappable(scale, COLORS), ax=list(axes), shrink=shrink, aspect=aspect, pad=0.02
    )
    bar.outline.set_visible(False)
    if narrow:
        bar.set_ticks([0, 1], labels=["0", "1"])
    else:
        # the base and the finetuned model, unless both runs are of one variant on pairs of prompts
        source, arrow, target = str(shown[0].where.get("variant", "")).partition(" -> ")
        ends = ("target", "source") if arrow and source == target else ("base", "finetuned")
        bar.set_ticks([-1, 0, 1], labels=["-1", f"0 {ends[0]}", f"1 {ends[1]}"])
    bar.ax.tick_params(length=0, labelcolor=MUTED)
    return figure


def token_of(position: Place) -> str:
    """A column's name: the token of "12:you" and "template 0:<s>", `option A: 40` of "option A 0:40"."""
    found = _LABEL.fullmatch(str(position))
    if found is None:
        return str(position)
    role, token = found.group(1), found.group(2)
    return token if role in (None, "template") else f"{role}: {token}"


def columns_of(results: Sequence[Result]) -> list[Place]:
    """Positions from left to right: by index where all have one, else in the order given."""
    positions = distinct(results, "position")
    indices = [str(position).partition(":")[0] for position in positions]
    if all(index.isdigit() for index in indices):
        return [positions[k] for k in sorted(range(len(indices)), key=lambda k: int(indices[k]))]
    return positions


def _cell_height(results: Sequence[Result]) -> float:
    """Inches: cells that hold a number where there are few layers, a panel of limited height where many."""
    return min(0.3, 3.0 / len(distinct(results, "layer")))


def _draw_panel(ax: Axes, results: Sequence[Result], scale: Normalize, *, narrow: bool) -> None:
    layers = sorted(int(layer) for layer in distinct(results, "layer"))
    positions = columns_of(results)
    grid = np.full((len(layers), len(positions)), np.nan)
    for item in results:
        grid[layers.index(int(item.where["layer"])), positions.index(item.where["position"])] = item.value
    width = min(0.6, 2 * _cell_height(results))
    cells = np.ma.masked_invalid(grid)
    ax.pcolormesh(cells, cmap=COLORS, norm=scale, edgecolors="white", linewidth=width)
    size = min(6.5, (NARROW if narrow else WIDE) * 34 / len(positions), 40 * _cell_height(results))
    for (row, column), value in np.ndenumerate(grid):
        if value >= STRONG and size >= 5:
            number, color = f"{value:.1f}".removeprefix("0"), "white" if value > 0.6 else PRINT
            ax.text(column + 0.5, row + 0.5, number, ha="center", va="center", size=size, color=color)
    step = -(-len(layers) // 10)
    ax.set_yticks(np.arange(len(layers))[::step] + 0.5, [str(layer) for layer in layers[::step]])
    ax.set_ylabel("layer")
    tokens = [token_of(position) for position in positions]
    room = int((NARROW if narrow else WIDE) * 72 * 0.8 / 7)  # labels of 7 points that fit beside each other
    step = -(-len(positions) // room)
    places = np.arange(len(positions))[::step] + 0.5
    ax.set_xticks(places, [plain(token) for token in tokens[::step]], rotation=90)
    ax.tick_params(axis="x", length=0, labelsize=min(7.5, 5.5 * room / len(positions) * step))
    for spine in ax.spines.values():
        spine.set_visible(False)


def _group(item: Result) -> tuple[str, str, str]:
    kind = str(item.where.get("kind", ""))
    return TITLES.get(kind, kind), str(item.where.get("behavior", "")), str(item.where.get("site", ""))
