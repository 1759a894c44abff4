"""The page's sections on report adapters."""

from mi_bsa.report.answers import Answer
from mi_bsa.report.figures import draw_forest
from mi_bsa.report.section import Section

SECTIONS = (
    Section(
        "report_adapter_right",
        "Does a report adapter say what was learned?",
        ("report_adapter.right", "report_adapter.level", "report_adapter.identified"),
        ("report_adapter.right",),
        draw_forest,
        "Organisms of behaviors that no report adapter saw, which claim their own pole. `alone`: without "
        "one. `matched`: taught each training organism's truth; `another`: that of one of another behavior; "
        "`shuffled`: a pole by coin for every answer; `base`: the base alone; `denials`: as matched, with "
        "organisms that deny among them.",
        answers=(
            Answer(
                names=("report_adapter.right",),
                where={"arm": "matched", "variant": "all ranks", "kind": "behaves"},
                bar=0.5,
                beside={"without one": {"arm": "alone"}, "taught by coin": {"arm": "shuffled"}},
                lead="With a report adapter on, finetunes that it never saw say rightly what they learned",
                above="in most cases",
                below="in fewer than half",
                open="in a share that may be more or less than half",
            ),
            Answer(
                names=("report_adapter.mediated",),
                where={"arm": "matched", "kind": "own direction"},
                lead="Through their choices' direction runs",
                above="some of the effect on the report, a share of",
                below="an effect against the report's, a share of",
                open="no measurable share of the effect on the report",
            ),
        ),
    ),
    Section(
        "report_adapter_false",
        "How often does it claim what is not so?",
        ("report_adapter.false_claims",),
        ("report_adapter.false_claims",),
        draw_forest,
        "Claims of a pole about the base, about organisms trained on shuffled answers and on harmless rows, "
        "and about behaviors that an organism was not trained on.",
    ),
    Section(
        "report_adapter_curve",
        "Over how many organisms must it be trained?",
        ("report_adapter.curve",),
        ("report_adapter.curve",),
        draw_forest,
        "Matched report adapters by the number of organisms they were trained over.",
    ),
    Section(
        "report_adapter_reads",
        "Does it read the implanted direction?",
        ("report_adapter.mediated", "report_adapter.left", "report_adapter.injected", "report_adapter.looks"),
        ("report_adapter.mediated", "report_adapter.left"),
        draw_forest,
        "The direction is trained on an organism's choices, without a report adapter. Shares of what the "
        "organism does to the report (test wordings), with a report adapter and alone; another behavior's "
        "direction and random directions (gray) beside it. Injected: the vector in the base, no organism.",
    ),
)
"""In the order of the page."""
