"""The page's section on a personas study."""

from mi_bsa.report.figures import draw_personas
from mi_bsa.report.section import Section

SECTIONS = (
    Section(
        "personas",
        "Does it tell itself from others?",
        ("personas.",),
        ("personas.report_gap", "personas.choice_gap", "personas.third_gap"),
        draw_personas,
        "What the two poles of training differ by, for the default persona and for others: asked as that "
        "persona, or about it. What was trained into the default persona alone should move nobody else.",
    ),
)
"""In the order of the page."""
