"""The rules of the bridge's verdicts, as one value: what a lock of a behavior study holds fixed."""

from mi_bsa.study.rules import Rules

RULES = Rules(
    module="mi_bsa.causal.verdict",
    within="mi_bsa.causal",
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
