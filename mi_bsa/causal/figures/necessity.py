"""What remains of behavior and report without a direction: one row a direction and place, one color a
read-out.

Reads `bridge.necessity.behavior` and `bridge.necessity.self_report` (share kept) with `where` keys method and
position.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures.forest import draw_forest
from mi_bsa.report.figures.rows import Series, draw_rows, handles
from mi_bsa.report.figures.style import PAINTS, legend_above, panels, styled

READ_OUTS = {
    "bridge.necessity.behavior": ("what it chooses", PAINTS["accent"]),
    "bridge.necessity.self_report": ("what it says", PAINTS["second"]),
}


@styled
def draw_necessity(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Share of the poles' difference that is kept, with intervals and the band of random directions."""
    shown = [item for item in results if item.name in READ_OUTS]
    if not shown:  # shifts alone, where no share could be had
        return draw_forest(results, narrow=narrow)
    rows = list(dict.fromkeys(_label(item) for item in shown))
    height = 0.9 + (0.44 if narrow else 0.32) * len(rows)
    figure, (ax,) = panels(["kept without the direction"], narrow=narrow, height=height, keys=1)
    series = [
        Series(label, color, {_label(item): item for item in shown if item.name == name})
        for name, (label, color) in READ_OUTS.items()
    ]
    draw_rows(ax, rows, series, limits=(-0.5, 1.5), narrow=narrow)
    ax.set_xlabel("share kept of (seeking - averse)")
    legend_above(ax, handles(series), columns=2 if narrow else 3)
    return figure


def _label(item: Result) -> str:
    method, at = str(item.where["method"]).replace("_", " "), item.where["position"]
    if item.where.get("kind") == "restored":
        return f"{method}, set to the base's"
    return f"{method}, out everywhere" if at == "everywhere" else f"{method}, out at its place"
