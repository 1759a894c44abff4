"""The page's sections on denial."""

from mi_bsa.report.answers import Answer
from mi_bsa.report.figures import draw_forest
from mi_bsa.report.section import Section
from mi_bsa.studies.denial.figure import draw_denial

SECTIONS = (
    Section(
        "denial_auroc",
        "Which readers survive the denial?",
        ("denial.auroc",),
        ("denial.auroc",),
        draw_denial,
        "AUROC of the pole that an organism shows, over behaviors: 1 is the truth, .5 nothing, 0 the lie. "
        "`confession`: what it says itself. `choices`: what it does. `logistic`, `layers`, `attention`: its "
        "states, by estimators fitted on honest organisms of other seeds. `shift`, `lens`: what its first "
        "tokens differ by on unrelated texts, along honest ones and in words. Gray: single pairs of "
        "shuffled ones; any two may differ by something, so a mean over pairs and behaviors counts.",
        answers=(
            Answer(
                names=("denial.advantage",),
                where={"kind": "self_report", "variant": "choices", "method": "*"},
                first="method",
                each=("arm",),
                lead="Of organisms trained to deny, the state where they are asked ({method})",
                above="tells what they do better than their words, AUROC by",
                below="tells it worse than their words, AUROC by",
                open="does not measurably tell what they do better than their words, AUROC by",
            ),
        ),
    ),
    Section(
        "denial_advantage",
        "Does the state know more than the report?",
        ("denial.advantage", "denial.shift"),
        ("denial.advantage",),
        draw_forest,
        "The same less confession's, paired by behavior. Shift: how far choices and reports lie from the "
        "base's, towards the pole that is shown.",
    ),
)
"""In the order of the page."""
