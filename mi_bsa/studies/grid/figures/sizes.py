"""Size: behavior, self-report and validity against the number of parameters, with intervals.

Reads `size.behavior.effect`, `size.self_report.effect`, `size.self_report.validity` and `size.base.gap` with
`where` keys variant (the number of parameters) and kind; the gray band is the shuffled arm's.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures import style

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


@style.styled
def draw_sizes(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """One panel a measure over a logarithmic axis of parameters, one line a kind of question."""
    shown = [(title, [line for n, k in lines for line in _lines(results, n, k)]) for title, lines in PANELS]
    shown = [(title, lines) for title, lines in shown if lines]
    kinds = list(dict.fromkeys(kind for _, lines in shown for kind, _ in lines if kind))
    colors = {kind: style.SERIES[place % len(style.SERIES)] for place, kind in enumerate(kinds)}
    colors |= dict.fromkeys(("all", ""), style.PAINTS["accent"])
    handles = [style.key(colors[k], style.plain(k.replace("_", " ")), size=4) for k in kinds]
    columns, titles = 2 if narrow else 5, [title for title, _ in shown]
    figure, axes = style.panels(titles, narrow=narrow, height=2.3, keys=-(-len(handles) // columns))
    for ax, (_, lines) in zip(axes, shown, strict=True):
        for kind, line in lines:
            _draw_line(ax, line, colors[kind], strong=kind in ("", "all", "index"))
        ax.axhline(0.0, color=style.RULE, linewidth=0.8, zorder=1)
        ax.set_xscale("log")
        ax.set_xlabel("parameters")
        ax.set_ylim(min(-0.05, ax.get_ylim()[0]), 1.05)
    if handles:
        style.legend_above(axes[0], handles, columns=columns)
    return figure


def _lines(results: Sequence[Result], name: str, kind: str) -> list[tuple[str, list[Result]]]:
    measured = [r for r in results if r.name == name and "variant" in r.where]
    kinds = [kind] if kind else list(dict.fromkeys(str(r.where.get("kind", "")) for r in measured))
    lines = {k: [r for r in measured if str(r.where.get("kind", "")) == k] for k in kinds}
    return [(k, sorted(line, key=_parameters)) for k, line in lines.items() if line]


def _draw_line(ax: Axes, line: Sequence[Result], color: str, *, strong: bool) -> None:
    x = [_parameters(r) for r in line]
    if strong and all(r.null is not None for r in line):
        style.null_band(ax, line, _parameters)
    if strong:
        for place, r in zip(x, line, strict=True):
            if r.ci is not None:
                ax.plot([place, place], r.ci, color=color, linewidth=2.2, alpha=0.5, zorder=2)
            ax.scatter([place] * len(r.per_seed), r.per_seed, s=5, color=style.MUTED, linewidth=0, zorder=2)
    size, width, alpha = (4.5, 1.8, 1.0) if strong else (2.5, 0.9, 0.6)
    look: Any = {"color": color, "marker": "o", "markersize": size, "linewidth": width, "alpha": alpha}
    ax.plot(x, [r.value for r in line], zorder=3, **look)


def _parameters(item: Result) -> float:
    return float(item.where["variant"])
