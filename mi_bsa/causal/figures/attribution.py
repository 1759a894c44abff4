"""Which modules of the adapter carry behavior and report, and where each is written and read.

Reads `bridge.attribution.shapley` (site `lora_out.<module>`, layer, kind, variant) for the maps, and
`bridge.attribution.write_depth`, `.read_depth` for the panel of layer order.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import (
    INK,
    MUTED,
    NARROW,
    PAINTS,
    RULE,
    WIDE,
    distinct,
    key,
    legend_above,
    plain,
    styled,
)

READ_OUTS = {"behavior": ("choices", PAINTS["accent"]), "self_report": ("reports", PAINTS["second"])}
SHAPLEY, WRITE, READ = (f"bridge.attribution.{name}" for name in ("shapley", "write_depth", "read_depth"))


@styled
def draw_attribution(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Maps module x layer of each read-out's share, and the depths at which it is written and read."""
    shares = [item for item in results if item.name == SHAPLEY]
    variants = list(dict.fromkeys(str(item.where.get("variant", "")) for item in shares))
    modules = distinct(shares, "site")
    depths = [item for item in results if item.name in (WRITE, READ)]
    rows = [0.5 + 0.26 * len(modules)] * len(variants) + [0.9 + 0.2 * len(depths)] * bool(depths)
    figure = Figure(figsize=(NARROW if narrow else WIDE, sum(rows) + 0.3))
    kinds = [kind for kind in READ_OUTS if any(item.where["kind"] == kind for item in shares)]
    grid = figure.add_gridspec(len(rows), max(1, len(kinds)), height_ratios=rows)
    for place, variant in enumerate(variants):
        own = [item for item in shares if str(item.where.get("variant", "")) == variant]
        for k, kind in enumerate(kinds):
            title, color = READ_OUTS[kind]
            ax = figure.add_subplot(grid[place, k])
            _draw_map(ax, [i for i in own if i.where["kind"] == kind], modules, color, labels=k == 0)
            ax.set_title(plain(title + (f", {variant} layers" if variant else "")))
    if depths:
        ax = figure.add_subplot(grid[len(variants), :])
        _draw_depths(ax, depths)
        written = key(INK, "written", linewidth=0, markerfacecolor="white")
        legend_above(ax, [written, key(INK, "at the answer slot", linewidth=0)], columns=2)
    return figure


def _draw_map(ax: Axes, cells: Sequence[Result], modules: Sequence[str], color: str, *, labels: bool) -> None:
    layers = sorted({int(item.where["layer"]) for item in cells})
    most = max((abs(item.value) for item in cells), default=1.0)
    for item in cells:
        x, y = layers.index(int(item.where["layer"])), modules.index(str(item.where["site"]))
        strength = min(1.0, abs(item.value) / most) * 0.85
        ax.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, color=color, alpha=strength, linewidth=0))
        ax.text(x, y, f"{item.value:.2f}", ha="center", va="center", size=7, color=INK)
    ax.set_xlim(-0.5, len(layers) - 0.5)
    ax.set_ylim(len(modules) - 0.5, -0.5)
    ax.set_xticks(range(len(layers)), [str(layer) for layer in layers])
    ax.set_xlabel("block")
    names = [plain(str(module).removeprefix("lora_out.").removesuffix("_proj")) for module in modules]
    ax.set_yticks(range(len(modules)), names if labels else [""] * len(modules))
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)


def _draw_depths(ax: Axes, results: Sequence[Result]) -> None:
    rows = list(dict.fromkeys((str(i.where.get("variant", "")), str(i.where["kind"])) for i in results))
    for place, (variant, kind) in enumerate(rows):
        cell = (variant, kind)
        depths = {i.name: i for i in results if (str(i.where.get("variant", "")), i.where["kind"]) == cell}
        color = READ_OUTS[kind][1]
        if WRITE in depths and READ in depths:
            ends = [depths[WRITE].value, depths[READ].value]
            ax.plot(ends, [place, place], color=color, linewidth=1.2, alpha=0.6, zorder=1)
        for name, filled in ((WRITE, False), (READ, True)):
            if name in depths:
                item = depths[name]
                if item.ci is not None:
                    ax.plot(item.ci, [place, place], color=color, linewidth=3, alpha=0.4, zorder=2)
                look: Any = {"facecolor": color if filled else "white", "edgecolor": color, "linewidth": 1.4}
                ax.scatter([item.value], [place], s=30, zorder=3, **look)
    labels = [f"{READ_OUTS[kind][0]}{f', {variant} layers' if variant else ''}" for variant, kind in rows]
    ax.set_yticks(range(len(rows)), [plain(label) for label in labels])
    ax.tick_params(axis="y", labelcolor=MUTED)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="x", color=RULE, linewidth=0.6)
    ax.set_title("in which block it is written, and read")
    ax.set_xlabel("block")
    ax.spines["left"].set_visible(False)
