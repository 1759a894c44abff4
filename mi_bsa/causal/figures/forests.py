"""Forests of the bridge whose rows are said in words: rivals of the handle, and what a finetune turned."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures import draw_forest

RIVALS = {
    "bridge.rival.self_report": "report",
    "bridge.rival.behavior": "choices",
    "shuffled_choices": "handle less a vector of shuffled choices",
    "neighbor_choices": "handle less a vector of the neighbor's choices",
}
FLIPS = {
    "behavior.flips.net": "choices",
    "self_report.flips.net": "reports",
    "all": "all kinds",
    "dev": "development items",
    "test": "test items",
    "seeking": "seeking arm",
    "averse": "averse arm",
    "shuffled": "shuffled arm",
    "scale_flipped": "scale turned round",
    "yes_no": "yes or no",
}


def draw_rivals(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """How much more the handle moves than each rival, of the report and of choices."""
    return draw_forest(results, narrow=narrow, words=RIVALS)


def draw_flips(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """The net share of items that was turned toward each arm's pole."""
    return draw_forest(results, narrow=narrow, words=FLIPS)
