"""The page's section on a study of many behaviors."""

from mi_bsa.report.figures import draw_variety
from mi_bsa.report.section import Section

SECTIONS = (
    Section(
        "variety",
        "Does it hold for behaviors that nobody chose?",
        ("variety.",),
        ("variety.",),
        draw_variety,
        "One row a behavior of a family, each trained on its own: how far the poles' choices and reports "
        "lie apart, with intervals over seeds (of reports, over wordings x seeds), and whether a probe of "
        "the choices reads the report. The gray band is what seeds of the shuffled arm differ by.",
    ),
)
"""In the order of the page."""
