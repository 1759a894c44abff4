"""Preferences: do reports follow the weights that a model's own choices reveal, arm by arm?

Reads `preferences.report.r`, `.magnitude_r`, `.partial_r` and `preferences.learned.target_r` (arm; kind =
instilled or native contexts): one panel a kind of contexts, one row an arm.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures.rows import Series, draw_rows, handles
from mi_bsa.report.figures.style import PAINTS, SERIES, distinct, legend_above, panels, styled

SHOWN = (
    ("preferences.report.r", "report against own learned weights", PAINTS["accent"]),
    ("preferences.report.magnitude_r", "the same, sizes without signs", PAINTS["third"]),
    ("preferences.report.partial_r", "the same, target held fixed", SERIES[3]),
    ("preferences.learned.target_r", "learned weights against target", PAINTS["second"]),
)
"""Names, what they compare, and colors."""


@styled
def draw_preferences(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Correlations with intervals over the band of weights of other contexts."""
    rows = [str(arm).replace("_", " ") for arm in distinct(results, "arm")]
    kinds = [str(kind) for kind in distinct(results, "kind")]
    keys = 5 if narrow else 3
    height = 0.6 + (0.5 if narrow else 0.42) * len(rows)
    figure, axes = panels([f"{k} contexts" for k in kinds], narrow=narrow, height=height, keys=keys)
    named: dict[str, Series] = {}
    for place, (ax, kind) in enumerate(zip(axes, kinds, strict=True)):
        series = []
        for name, label, color in SHOWN:
            own = [r for r in results if r.name == name and r.where["kind"] == kind]
            cells = {str(r.where["arm"]).replace("_", " "): r for r in own}
            series.append(Series(label, color, cells))
            if cells:
                named.setdefault(label, series[-1])
        labels = narrow or place == 0
        draw_rows(ax, rows, series, limits=(-0.5, 1.02), narrow=narrow, labels=labels)
        ax.set_xlabel("r over contexts and attributes")
    legend_above(axes[0], handles(list(named.values())), columns=1 if narrow else 2)
    return figure
