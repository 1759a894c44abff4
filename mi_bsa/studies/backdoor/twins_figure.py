"""Backdoored models beside their decorrelated twins: both levels, seed by seed, a row a place.

What tells is the distance between the two arms of a row, never the level of one.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mi_bsa.core.results import WHERE_KEYS, Result
from mi_bsa.report.figures.rows import label_rows
from mi_bsa.report.figures.style import MUTED, PAINTS, RULE, key, legend_above, plain, stacked, styled

ARMS = {"backdoored": PAINTS["seeking"], "decorrelated": PAINTS["shuffled"]}
MOST = 30
"""Rows of a panel; all of them stand in the table."""
ALL = {"method": "all system prompts", "kind": "all questions", "trigger": "all triggers"}
TwinKey = tuple[tuple[str, object], ...]


@styled
def draw_twins(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """One panel a measure, one row a place, two arms a row: mean with interval, and every seed."""
    panels: dict[str, dict[TwinKey, list[Result]]] = {}
    for item in results:
        row = tuple((k, v) for k, v in item.where.items() if k != "arm")
        panels.setdefault(item.name, {}).setdefault(row, []).append(item)
    shown = {name: dict(list(rows.items())[:MOST]) for name, rows in panels.items()}
    heights = [0.7 + (0.42 if narrow else 0.27) * len(rows) for rows in shown.values()]
    figure, axes = stacked(heights, narrow=narrow)
    varying = [k for k in WHERE_KEYS if k != "arm" and len({r.where.get(k) for r in results}) > 1]
    for ax, (name, rows) in zip(axes, shown.items(), strict=True):
        _panel(ax, rows, varying, narrow=narrow)
        ax.set_title(plain(name.removeprefix("backdoor.").removesuffix(".level").replace("_", " ")))
        ax.set_xlabel(plain(next(iter(rows.values()))[0].unit))
    legend_above(axes[0], [key(color, arm, linewidth=2) for arm, color in ARMS.items()], columns=2)
    return figure


def _panel(ax: Axes, rows: dict[TwinKey, list[Result]], varying: Sequence[str], *, narrow: bool) -> None:
    def word(key: str, value: object) -> str:
        return ALL[key] if value == "all" and key in ALL else plain(value).replace("_", " ")

    labels = [", ".join(word(k, dict(row)[k]) for k in varying if k in dict(row)) for row in rows]
    for place, items in enumerate(rows.values()):
        for item in items:
            arm = str(item.where.get("arm"))
            y = place + (-0.14 if arm == "backdoored" else 0.14)
            color = ARMS.get(arm, MUTED)
            if item.ci is not None:
                ax.plot(item.ci, [y, y], color=color, linewidth=1.8, alpha=0.6, zorder=2)
            seeds = [y] * len(item.per_seed)
            ax.scatter(item.per_seed, seeds, s=5, color=color, alpha=0.5, linewidth=0, zorder=3)
            ax.scatter([item.value], [y], s=22, color=color, linewidth=0, zorder=4)
        ax.axhline(place + 0.5, color=RULE, linewidth=0.4, zorder=0)
    label_rows(ax, labels, narrow=narrow)
