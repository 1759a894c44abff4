"""Size: behavior, self-report and validity against the number of parameters, with intervals.

Reads `size.behavior.effect`, `size.self_report.effect`, `size.self_report.validity` and `size.base.gap` with
`where` keys variant (the number of parameters) and kind; the gray band is the shuffled arm's.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import MUTED, NULL, PAINTS, RULE, SERIES, legend_above, panels, plain, styled

SizeKey = tuple[str, str]

PANELS: tuple[tuple[str, tuple[SizeKey, ...]], ...] = (
    ("what it chooses: pole against pole", (("size.behavior.effect", ""),)),
    ("what it says: pole against pole", (("size.self_report.effect", ""),)),
    ("may the report be read?", (("size.self_report.validity", "index"),)),
    (
        "what the base knew before",
        (("size.base.gap", "named choices"), ("size.base.gap", "named reports")),
    ),
)
"""Title and lines (result name, kind; "" takes every kind of question, each a line)."""


@styled
def draw_sizes(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """One panel a measure over a logarithmic axis of parameters, one line a kind of question."""
    shown = [(title, [line for n, k in lines for line in _lines(results, n, k)]) for title, lines in PANELS]
    shown = [(title, lines) for title, lines in shown if lines]
    kinds = list(dict.fromkeys(kind for _, lines in shown for kind, _ in lines if kind))
    colors = {kind: SERIES[place % len(SERIES)] for place, kind in enumerate(kinds)} | {
        "all": PAINTS["accent"],
        "": PAINTS["accent"],
    }
    handles = [
        Line2D([], [], color=colors[k], marker="o", markersize=4, label=plain(k.replace("_", " ")))
        for k in kinds
    ]
    columns = 2 if narrow else 5
    figure, axes = panels(
        [title for title, _ in shown], narrow=narrow, height=2.3, keys=-(-len(handles) // columns)
    )
    for ax, (_, lines) in zip(axes, shown, strict=True):
        for kind, line in lines:
            _draw_line(ax, line, colors[kind], strong=kind in ("", "all", "index"))
        ax.axhline(0.0, color=RULE, linewidth=0.8, zorder=1)
        ax.set_xscale("log")
        ax.set_xlabel("parameters")
        ax.set_ylim(min(-0.05, ax.get_ylim()[0]), 1.05)
    if handles:
        legend_above(axes[0], handles, columns=columns)
    return figure


def _lines(results: Sequence[Result], name: str, kind: str) -> list[tuple[str, list[Result]]]:
    own = [r for r in results if r.name == name and "variant" in r.where]
    kinds = [kind] if kind else list(dict.fromkeys(str(r.where.get("kind", "")) for r in own))
    found = []
    for one in kinds:
        line = [r for r in own if str(r.where.get("kind", "")) == one]
        found.append((one, sorted(line, key=lambda r: float(r.where["variant"]))))
    return [(one, line) for one, line in found if line]


def _draw_line(ax: Axes, line: Sequence[Result], color: str, *, strong: bool) -> None:
    x = [float(r.where["variant"]) for r in line]
    banded = [r.null for r in line if r.null is not None]
    if strong and len(banded) == len(line):
        ax.fill_between(
            x, [n.low for n in banded], [n.high for n in banded], color=NULL, linewidth=0, zorder=0
        )
    if strong:
        for place, r in zip(x, line, strict=True):
            if r.ci is not None:
                ax.plot([place, place], r.ci, color=color, linewidth=2.2, alpha=0.5, zorder=2)
            ax.scatter([place] * len(r.per_seed), r.per_seed, s=5, color=MUTED, linewidth=0, zorder=2)
    ax.plot(
        x,
        [r.value for r in line],
        color=color,
        marker="o",
        markersize=4.5 if strong else 2.5,
        linewidth=1.8 if strong else 0.9,
        alpha=1.0 if strong else 0.6,
        zorder=3,
    )
