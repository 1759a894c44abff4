"""The page's section on a faithfulness study."""

from mi_bsa.report.figures import draw_scatter
from mi_bsa.report.section import Section

SECTIONS = (
    Section(
        "faithfulness",
        "Do runs that do more of it say more of it?",
        ("faithfulness.",),
        ("faithfulness.actual", "faithfulness.reported", "faithfulness.r"),
        draw_scatter,
        "One dot a run: its choices across, its self-report upward, with 95 % intervals over wordings. "
        "On the line a run says just what it does. The correlation is taken within an arm.",
    ),
)
"""In the order of the page."""
