"""What each arm does and what it says of itself: one row a measure, one color an arm, one dot a seed.

Reads `behavior.level` and `self_report.level` with `where` keys behavior, arm and, for reports, kind ("all"
is the mean over question kinds). 0 is the averse pole, 1 the seeking pole.
"""

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import (
    ARMS,
    INK,
    MUTED,
    RULE,
    distinct,
    dot,
    key,
    legend_above,
    panels,
    plain,
    styled,
)

LevelKey = tuple[str, str]


@styled
def draw_levels(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Levels on [0, 1] by measure and arm, with intervals and seeds; one panel a behavior."""
    behaviors = distinct(results, "behavior")
    rows = {name: _rows([item for item in results if item.where["behavior"] == name]) for name in behaviors}
    height = 0.8 + 0.34 * max(map(len, rows.values()))
    titles = [plain(name) for name in behaviors]
    figure, axes = panels(titles, narrow=narrow, height=height, keys=2 if narrow else 1)
    for ax, behavior in zip(axes, behaviors, strict=True):
        _draw_panel(ax, [item for item in results if item.where["behavior"] == behavior], rows[behavior])
    arms = [arm for arm in ARMS if arm in distinct(results, "arm")]
    legend_above(axes[0], [_handle(arm) for arm in arms], columns=2 if narrow else len(arms))
    return figure


def _rows(results: Sequence[Result]) -> list[LevelKey]:
    """Behavior first (choices, then what a judge finds in what is written), then reports by kind."""
    reports = [item for item in results if item.name == "self_report.level"]
    kinds = sorted(distinct(reports, "kind"), key=lambda kind: kind != "all")
    chosen = [item for item in results if item.name == "behavior.level"]
    behavior = [("behavior.level", "")] if chosen else []
    behavior += [("behavior.level", str(kind)) for kind in distinct(chosen, "kind")]
    return behavior + [("self_report.level", kind) for kind in kinds]


def _draw_panel(ax: Axes, results: Sequence[Result], rows: Sequence[LevelKey]) -> None:
    ax.axvline(0.5, color=RULE, linewidth=0.8, zorder=0)
    for place, (name, kind) in enumerate(rows):
        cell = [item for item in results if item.name == name and str(item.where.get("kind", "")) == kind]
        strong = kind in ("", "all")
        for item in cell:
            _draw_arm(ax, item, float(place), strong=strong)
    behaviors = sum(name == "behavior.level" for name, _ in rows)
    if 0 < behaviors < len(rows):
        ax.axhline(behaviors - 0.5, color=RULE, linewidth=0.8)
    ax.set_yticks(range(len(rows)), [_label(row) for row in rows])
    for label, (_, kind) in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if kind in ("", "all") else "normal")
        label.set_color(INK if kind in ("", "all") else MUTED)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(-0.04, 1.04)
    ax.set_xticks([0, 0.5, 1], ["0\naverse", "0.5", "1\nseeking"])
    ax.spines["left"].set_visible(False)


def _draw_arm(ax: Axes, item: Result, place: float, *, strong: bool) -> None:
    arm = str(item.where.get("arm", "base"))
    color = ARMS.get(arm, MUTED)
    if arm == "base":
        ax.plot([item.value] * 2, [place - 0.26, place + 0.26], color=color, linewidth=1.4, zorder=4)
        return
    seeds = [place + 0.2] * len(item.per_seed)
    ax.scatter(item.per_seed, seeds, s=5, color=color, alpha=0.45, linewidth=0, zorder=2)
    if item.ci is not None:  # a level lies in [0, 1]
        item = replace(item, where=dict(item.where), ci=(max(item.ci[0], 0.0), min(item.ci[1], 1.0)))
    size, width = (34, 2.6) if strong else (18, 1.6)
    dot(ax, item, place, color, half=0.3, size=size, width=width)


def _label(row: LevelKey) -> str:
    name, kind = row
    if name == "behavior.level":
        return f"what it writes: {plain(kind)}" if kind else "what it chooses"
    return "what it says (all)" if kind == "all" else plain(kind.replace("_", " "))


def _handle(arm: str) -> Line2D:
    if arm == "base":
        return Line2D(
            [], [], color=ARMS[arm], marker="|", markersize=9, markeredgewidth=1.4, linewidth=0, label="base"
        )
    label = f"{arm} arm" if arm == "shuffled" else f"trained {arm}"
    return key(ARMS[arm], label, size=5.5, linewidth=2)
