"""The rules of the bridge's verdicts, as one value: what a lock of a behavior study holds fixed."""

from mi_bsa.study.rules import Rules

RULES = Rules(
    module="mi_bsa.causal.verdict",
    within="mi_bsa.causal",
    beside=(
        "mi_bsa.causal.over_bases",  # what is one number over bases
        "mi_bsa.causal.readable",  # which answers the gate reads
        "mi_bsa.asking.kinds",  # which kinds of question are read, and which wordings
        "mi_bsa.asking.validity",  # what a readable report is, and which of its parts must have been measured
    ),
    splits={
        "chooses": ("choice-dev", "report-dev", "neighbor_choice-dev"),
        "judged": ("choice-test", "report-test"),
        "controls": (
            "neighbor_choice-test",
            "neighbor_report-test",
            "named_choice-test",
            "named_report-test",
            "neutral-test",
            "described_report-test",
        ),
        "held out together": ("scenario", "adapter seed"),
    },
)
