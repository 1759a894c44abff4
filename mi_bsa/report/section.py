"""A section of the page. Figures are given by whoever lists sections: the report knows no study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from mi_bsa.core.results import Result

MOST_ROWS = 40
"""A forest shows so many rows; all of them stand in the table."""
MOST_DRAWN = 120
"""Any other figure shows so many results at most: laying out thousands of labels takes minutes."""
MOST_CELLS = 10_000
"""Figures whose results are cells of a map or points of a line bear more."""
MOST_LINES = 60
"""So many maps or lines such a figure shows at most: to lay out panels takes time that grows by more than the
square of their number, and nobody reads a hundred."""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        slug: its anchor, and the name of its figure's files.
        title: its heading, a question.
        names: results whose name begins so belong to it.
        drawn: names that its figure shows; the others stand in the table alone. Without any, no figure.
        draw: results -> Figure.
        reading: how to read the figure.
        most: results that its figure shows at most.
        told: beginnings of names that are said elsewhere and never drawn.
        file: a CSV of the run folder that is shown beneath the figure, where the run has it.
        drawn_file: a CSV of the run folder whose rows `draw` draws in place of results, where the run has it.
        answers: results -> sentences that answer its question (`mi_bsa.report.answers.Answer`), for the first
            screen; no part of what a section is.
    """

    slug: str
    title: str
    names: tuple[str, ...]
    drawn: tuple[str, ...]
    draw: Callable[..., Figure]
    reading: str
    most: int = MOST_DRAWN
    told: tuple[str, ...] = ()
    file: str = ""
    drawn_file: str = ""
    answers: tuple[Callable[[Sequence[Result]], list[str]], ...] = field(default=(), compare=False)
