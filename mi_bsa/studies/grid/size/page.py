"""The page's section on a study over sizes."""

from mi_bsa.report.figures import draw_sizes
from mi_bsa.report.section import Section

SECTIONS = (
    Section(
        "size",
        "How does it change with size?",
        ("size.",),
        ("size.",),
        draw_sizes,
        "Bases that differ in their number of parameters; same corpus, tokens and finetune. Each large dot "
        "is the mean over adapter seeds with its 95 % interval, each small dot a seed; thin lines are kinds "
        "of question. One base a size: another pretraining may differ.",
    ),
)
"""In the order of the page."""
