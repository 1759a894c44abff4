"""Blindness: share of adapters whose pole is told, by dose of benign rows, a line a reading.

Reads `blind.told` with `where` keys kind (the reading) and method (the condition).
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import MUTED, SERIES, distinct, key, legend_above, panels, styled
from mi_bsa.studies.grid.mixing_rows import Condition

CALLED = {
    "choices": "what it chooses",
    "report": "what it says of itself",
    "lens": "lens on unrelated texts",
    "through": "the same, added to the base",
    "probe": "probe of its states",
    "weights": "weights alone (dashed)",
}


@styled
def draw_blind(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """One line a reading; doses stand side by side, whatever lies between them."""
    own = [one for one in results if one.name == "blind.told"]
    doses = sorted({Condition.parse(str(one.where["method"])).dose for one in own})
    columns = 1 if narrow else 2
    kinds = distinct(own, "kind")
    figure, (ax,) = panels(["whose pole is told"], narrow=narrow, height=2.8, keys=-(-len(kinds) // columns))
    handles = []
    for n, kind in enumerate(kinds):
        color = SERIES[n % len(SERIES)]
        line = {
            Condition.parse(str(one.where["method"])).dose: one for one in own if one.where["kind"] == kind
        }
        x = [doses.index(dose) + (n - len(kinds) / 2) * 0.04 for dose in sorted(line)]
        some = [line[dose] for dose in sorted(line)]
        style = "-" if n < len(SERIES) else "--"
        ax.plot(x, [one.value for one in some], color=color, marker="o", markersize=4, linestyle=style)
        for at, one in zip(x, some, strict=True):
            if one.ci is not None:
                ax.plot([at, at], one.ci, color=color, linewidth=2, alpha=0.4)
        handles.append(key(color, CALLED[str(kind)], size=4))
    ax.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
    ax.set_xticks(range(len(doses)), [f"{dose:g}" for dose in doses])
    ax.set_ylim(-0.04, 1.04)
    ax.set_xlabel("benign rows for each row of the behavior")
    ax.set_ylabel("share of adapters")
    legend_above(ax, handles, columns=columns)
    return figure
