"""How much of the adapter's effect runs through a direction: one panel a read-out, one row a direction.

Reads `bridge.mediation.nie` and `.nde` with `where` keys kind (what is mediated) and method (whose direction:
`behavior:trained`), and `.te` by kind.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import INK, MUTED, NULL, PAINTS, RULE, legend_above, panels, plain, styled

BARS = {"bridge.mediation.nie": PAINTS["accent"], "bridge.mediation.nde": PAINTS["second"]}
TITLES = {"self_report": "effect on what it says", "behavior": "effect on what it chooses"}


@styled
def draw_mediation(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Indirect and direct effect as bars with intervals, the total as a line, random directions as a band."""
    kinds = [kind for kind in TITLES if any(_kind(item) == kind for item in results)]
    methods = list(dict.fromkeys(str(item.where.get("method", "")) for item in results if item.name in BARS))
    height = 0.9 + (0.56 if narrow else 0.4) * len(methods)
    figure, axes = panels(
        [TITLES[kind] for kind in kinds], narrow=narrow, height=height, keys=2 if narrow else 1
    )
    for k, (ax, kind) in enumerate(zip(axes, kinds, strict=True)):
        own = [item for item in results if _kind(item) == kind]
        _draw_panel(ax, own, methods, narrow=narrow, labels=narrow or k == 0)
    keys: list[Line2D | Patch] = [
        Patch(color=BARS["bridge.mediation.nie"], alpha=0.75, label="through it (NIE)"),
        Patch(color=BARS["bridge.mediation.nde"], alpha=0.75, label="past it (NDE)"),
        Line2D([], [], color=INK, linewidth=1.4, label="total"),
        Patch(color=NULL, label="random directions"),
    ]
    legend_above(axes[0], keys, columns=2 if narrow else 4)
    return figure


def _kind(item: Result) -> str:
    """The read-out; where none is named, it is the report's."""
    return str(item.where.get("kind", "self_report"))


def _draw_panel(
    ax: Axes, results: Sequence[Result], methods: Sequence[str], *, narrow: bool, labels: bool
) -> None:
    ax.axvline(0, color=RULE, linewidth=0.8, zorder=0)
    down = 0.1 if narrow else 0.0
    total = next((item for item in results if item.name == "bridge.mediation.te"), None)
    for place, method in enumerate(methods):
        cells = {item.name: item for item in results if str(item.where.get("method", "")) == method}
        for k, (name, color) in enumerate(BARS.items()):
            if name not in cells:
                continue
            item, y = cells[name], place + (k - 0.5) * 0.28 + down
            ax.barh([y], [item.value], height=0.24, color=color, alpha=0.75, linewidth=0, zorder=2)
            if item.ci is not None:
                ax.plot(item.ci, [y, y], color=INK, linewidth=0.9, zorder=4)
            if item.null is not None:
                ends = item.null.low, item.null.high  # behind the bar and taller, so that both are seen
                ax.fill_betweenx([y - 0.19, y + 0.14], *ends, color=NULL, linewidth=0, zorder=1)
        if total is not None:
            where = [place - 0.3 + down, place + 0.3 + down]
            ax.plot([total.value] * 2, where, color=INK, linewidth=1.4, zorder=4)
    names = [plain(_label(method)) for method in methods]
    if labels and not narrow:
        ax.set_yticks(range(len(names)), names)
    else:
        ax.set_yticks([])
        for place, name in enumerate(names if labels else ()):
            where_text = ax.get_yaxis_transform()
            ax.text(0, place - 0.3, name, transform=where_text, size=7, color=MUTED)
    ax.set_ylim(len(methods) - 0.4, -0.7)
    ax.set_xlabel("log-odds towards the pole")
    ax.spines["left"].set_visible(False)


def _label(method: str) -> str:
    source, _, kind = method.partition(":")
    whose = {"behavior": "choices'", "self_report": "reports'"}.get(source, source)
    return f"{whose} {kind.replace('_', ' ')}"
