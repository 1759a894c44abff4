"""Denial: a row a reader, a color what organisms were trained on to say.

Reads `denial.auroc` of what lies: reports and unrelated texts; of choices, where nobody lies, what organisms
choose alone.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures.rows import Series, draw_rows, handles
from mi_bsa.report.figures.style import ARMS, PAINTS, distinct, legend_above, stacked, styled

COLORS = {
    "honest": ARMS["base"],
    "base-rows": PAINTS["third"],
    "opposite-rows": PAINTS["seeking"],
    "opposite-preferences": PAINTS["accent"],
}
WORDS = {
    "honest": "honest",
    "base-rows": "trained to say what the base says, by rows",
    "opposite-rows": "to say the opposite, by rows",
    "opposite-preferences": "to say the opposite, by preferences",
}
READERS = {
    "choices": "what it chooses",
    "confession": "what it says",
    "logistic": "slot, one layer",
    "layers": "slot, all layers",
    "attention": "all tokens, one layer",
    "shift": "unrelated texts, direction",
    "lens": "unrelated texts, words",
}


@styled
def draw_denial(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """1 is the truth, 0 the lie, .5 nothing."""
    shown = [r for r in results if r.where["kind"] != "behavior" or r.where["method"] == "choices"]
    labels = {_label(item): None for one in READERS for item in shown if item.where["method"] == one}
    series = []
    for arm in distinct(shown, "arm"):
        cells = {_label(item): item for item in shown if item.where["arm"] == arm}
        series.append(Series(WORDS[arm], COLORS[arm], cells))
    figure, (ax,) = stacked([0.6 + 0.52 * len(labels)], narrow=narrow)
    draw_rows(ax, list(labels), series, limits=(-0.03, 1.03), marks=(0.0, 0.5, 1.0), narrow=narrow)
    ax.set_xlabel("AUROC of the pole that it shows: 1 the truth, 0 the lie")
    legend_above(ax, handles(series), columns=1 if narrow else 2)
    return figure


def _label(item: Result) -> str:
    """The row of a result."""
    fitted = item.where.get("variant")
    own = READERS[str(item.where["method"])]
    return f"{own} ({fitted})" if fitted not in (None, "texts") else own
