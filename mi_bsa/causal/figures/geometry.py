"""Are two directions the same, and do they do the same: one row a comparison, cosine beside what they do.

Reads `bridge.geometry.cosine` and `bridge.geometry.functional` with `where` keys kind and method.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures.rows import Series, draw_rows, handles
from mi_bsa.report.figures.style import PAINTS, legend_above, panels, styled

PANELS = {
    "bridge.geometry.cosine": ("signed cosine", PAINTS["accent"]),
    "bridge.geometry.functional": ("do the same, r over items", PAINTS["second"]),
}


@styled
def draw_geometry(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Cosines over the band of random differences, and functional similarity, row by row."""
    names = [name for name in PANELS if any(item.name == name for item in results)]
    shown = [item for item in results if item.name in PANELS]
    rows = list(dict.fromkeys(_label(item) for item in shown))
    height = 0.8 + (0.4 if narrow else 0.25) * len(rows)
    figure, axes = panels([PANELS[name][0] for name in names], narrow=narrow, height=height, keys=1)
    series: list[Series] = []
    for k, (ax, name) in enumerate(zip(axes, names, strict=True)):
        title, color = PANELS[name]
        one = Series(title, color, {_label(item): item for item in shown if item.name == name})
        series.append(one)
        marks, labels = (-1.0, 0.0, 1.0), narrow or k == 0
        draw_rows(ax, rows, [one], limits=(-1.05, 1.05), marks=marks, narrow=narrow, labels=labels)
    legend_above(axes[0], handles(series), columns=1 if narrow else 3)
    return figure


def _label(item: Result) -> str:
    return str(item.where["method"]).replace("_", " ")
