"""Whom a training moved: one row a group of personas, one color a training, one panel a way of asking.

Reads `personas.report_gap`, `personas.choice_gap` and `personas.third_gap` with `where` keys method (the
training) and kind (the group, the default persona first).
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mi_bsa.core.results import Result
from mi_bsa.report.figures import style

PANELS = {
    "personas.report_gap": "asked as that persona",
    "personas.choice_gap": "choosing as that persona",
    "personas.third_gap": "the default persona asked about it",
}


@style.styled
def draw_personas(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Gap between the poles of training by group of personas, with interval and null band."""
    gaps = [item for item in results if item.name in PANELS]
    names = [name for name in PANELS if any(item.name == name for item in gaps)]
    trainings, groups = style.distinct(gaps, "method"), style.distinct(gaps, "kind")
    height = 0.7 + 0.3 * len(groups)
    titles = [PANELS[name] for name in names]
    figure, axes = style.panels(titles, narrow=narrow, height=height, keys=2)
    colors = dict(zip(trainings, style.SERIES, strict=False))
    for ax, name in zip(axes, names, strict=True):
        _draw_panel(ax, [item for item in gaps if item.name == name], groups, colors)
    handles: list[Line2D | Patch] = [
        style.key(color, style.plain(training), linewidth=2) for training, color in colors.items()
    ]
    handles.append(Patch(color=style.NULL, label="null (95 %)"))
    style.legend_above(axes[0], handles, columns=2 if narrow else len(handles))
    return figure


def _draw_panel(ax: Axes, results: Sequence[Result], groups: Sequence[str], colors: dict[str, str]) -> None:
    ax.axvline(0.0, color=style.RULE, linewidth=0.8, zorder=1)
    step = 0.6 / max(len(colors), 1)
    for item in results:
        lane = list(colors).index(str(item.where["method"]))
        place = groups.index(item.where["kind"]) + (lane - (len(colors) - 1) / 2) * step
        style.dot(ax, item, place, colors[str(item.where["method"])], half=step / 2, size=18)
    ax.set_yticks(range(len(groups)), [style.plain(group) for group in groups])
    ax.tick_params(axis="y", labelsize=7, labelcolor=style.MUTED)
    ax.set_ylim(len(groups) - 0.4, -0.6)
    ax.set_xlabel("seeking minus averse training, P(seeking pole)")
    ax.spines["left"].set_visible(False)
