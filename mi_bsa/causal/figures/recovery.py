"""How much of an adapter one vector recovers: one panel a read-out, one row a kind of vector, one color a
pole.

Reads `bridge.recovery.behavior` and `bridge.recovery.self_report` (unit "share") with `where` keys arm,
method.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures.forest import draw_forest
from mi_bsa.report.figures.rows import Series, by_arm, draw_rows, handles
from mi_bsa.report.figures.style import distinct, legend_above, panels, styled

TITLES = {"bridge.recovery.behavior": "what it chooses", "bridge.recovery.self_report": "what it says"}
ORDER = (
    "whole_adapter",
    "one_layer",
    "constant_modules",
    "constant",
    "pc1",
    "mean_difference",
    "probe",
    "trained",
    "trained_on_report",
)
"""Rows, top to bottom; the means of null directions stand in the table, their spread is the band."""


@styled
def draw_recovery(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Recovered share by kind of vector, with intervals and the band of random directions."""
    shown = [item for item in results if item.name in TITLES]
    if not shown:  # shifts alone, where no share could be had
        return draw_forest(results, narrow=narrow)
    methods = [method for method in ORDER if method in distinct(shown, "method")]
    names = [name for name in TITLES if any(item.name == name for item in shown)]
    height = 0.8 + (0.44 if narrow else 0.3) * len(methods)
    figure, axes = panels([TITLES[name] for name in names], narrow=narrow, height=height, keys=1)
    series: list[Series] = []
    for k, (ax, name) in enumerate(zip(axes, names, strict=True)):
        series = by_arm(shown, name, _label)
        rows = [method.replace("_", " ") for method in methods]
        draw_rows(ax, rows, series, limits=(-0.5, 1.5), narrow=narrow, labels=narrow or k == 0)
        ax.set_xticks([-0.5, 0, 0.5, 1, 1.5])
        ax.set_xlabel("R, recovered share")
    legend_above(axes[0], handles(series), columns=3)
    return figure


def _label(item: Result) -> str:
    return str(item.where["method"]).replace("_", " ")
