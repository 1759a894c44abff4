"""Does each module add the same vector whatever it reads: one panel a measure, one row a module.

Reads `bridge.constancy.c_mean`, `.c_rank1` and `.cosine` with `where` keys site, layer and arm.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures.forest import draw_forest
from mi_bsa.report.figures.rows import Series, by_arm, draw_rows, handles
from mi_bsa.report.figures.style import legend_above, panels, styled

PANELS = {
    "bridge.constancy.c_mean": "C_mean: one vector",
    "bridge.constancy.c_rank1": "C_rank1: one line",
}


@styled
def draw_constancy(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Share of what a module adds that one vector, or one line, carries, by pole."""
    shown = [item for item in results if item.name in PANELS]
    if not shown:
        return draw_forest(results, narrow=narrow)
    names = [name for name in PANELS if any(item.name == name for item in shown)]
    rows = list(dict.fromkeys(_label(item) for item in shown))
    height = 0.8 + (0.44 if narrow else 0.28) * len(rows)
    figure, axes = panels([PANELS[name] for name in names], narrow=narrow, height=height, keys=1)
    series: list[Series] = []
    for k, (ax, name) in enumerate(zip(axes, names, strict=True)):
        series = by_arm(shown, name, _label)
        draw_rows(ax, rows, series, limits=(0.0, 1.0), narrow=narrow, labels=narrow or k == 0)
        ax.set_xlabel("share of the squared norm")
    legend_above(axes[0], handles(series), columns=3)
    return figure


def _label(item: Result) -> str:
    module = str(item.where["site"]).removeprefix("lora_out.").removesuffix("_proj")
    return f"{module}, block {item.where['layer']}"
