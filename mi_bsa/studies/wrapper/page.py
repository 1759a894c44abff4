"""The page's sections on what fine-tuning changes."""

from mi_bsa.report.answers import Answer
from mi_bsa.report.figures import draw_forest
from mi_bsa.report.section import Section
from mi_bsa.studies.wrapper.figure import draw_wrapper

SECTIONS = (
    Section(
        "wrapper",
        "Did fine-tuning remove the old skill, or wrap it?",
        ("wrapper.",),
        ("wrapper.pruned.accuracy", "wrapper.adapter.pruned", "wrapper.adapter.revived"),
        draw_wrapper,
        "The old skill of fine-tuned models after the units are gone that, by gradient x weight, stand most "
        "in its way; one line a learning rate, shades are intervals over seeds, and the gray band is as many "
        "units at random. Of the adapter: the share of old choices and of old self-report that is back when "
        "modules are closed, chosen by choices alone, and while the old choices are trained again.",
        answers=(
            Answer(
                names=("wrapper.revival.ratio",),
                each=("behavior", "variant"),
                lead="The old skill",
                above="is back sooner than it is learned anew, in doublings",
                below="is back later than it is learned anew, in doublings",
                open="is not measurably back sooner than it is learned anew, in doublings",
            ),
            Answer(
                names=("wrapper.adapter.lag",),
                each=("behavior", "arm"),
                lead="While old choices are trained again, old reports",
                above="are back later than choices",
                below="are back sooner than choices",
                open="are not measurably back later or sooner than choices",
            ),
        ),
    ),
    Section(
        "revival",
        "How much sooner does the old skill come back than it is learned?",
        ("wrapper.revival.",),
        ("wrapper.revival.ratio",),
        draw_forest,
        "log2 of the control's steps to 90 % of the old accuracy over these: 2 is four times as soon. The "
        "control's base never had the skill.",
    ),
)
"""In the order of the page."""
