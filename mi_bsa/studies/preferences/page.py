"""The page's sections on preferences: what is reported, what is gained, what carries it."""

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.answers import Answer
from mi_bsa.report.figures import draw_forest
from mi_bsa.report.section import Section
from mi_bsa.studies.preferences.figure import draw_preferences


def _draw_named(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """A forest that says of kinds that they are contexts: arms have the same names."""
    return draw_forest(
        [replace(r, where={**r.where, "kind": f"{r.where['kind']} contexts"}) for r in results], narrow=narrow
    )


SECTIONS = (
    Section(
        "preferences",
        "Do reports follow the weights that its choices reveal?",
        ("preferences.",),
        (
            "preferences.report.r",
            "preferences.report.magnitude_r",
            "preferences.report.partial_r",
            "preferences.learned.target_r",
        ),
        draw_preferences,
        "Each row is an arm: the base, two trainings on choices, and on top of the first four trainings on "
        "reports, which are asked of contexts that were not in their rows. Reports are held against the "
        "weights that the same model's own fresh choices reveal; the gray band is weights of other contexts.",
        answers=(
            Answer(
                names=("preferences.report.r",),
                where={"arm": "instilled", "kind": "instilled"},
                bar="null",
                lead="After training on choices alone, weights that it reports",
                above="follow those that its choices reveal, r",
                below="run against those that its choices reveal, r",
                open="do not measurably follow those that its choices reveal, r",
            ),
            Answer(
                names=("preferences.gain.claim",),
                where={"kind": "instilled"},
                lead="Training on reports makes them follow",
                above="better than the best control does, by",
                below="worse than the best control does, by",
                open="not measurably better than the best control does",
            ),
        ),
    ),
    Section(
        "preferences_gain",
        "What does training on reports add?",
        ("preferences.gain.", "preferences.choices_after."),
        (
            "preferences.gain.over_instilled",
            "preferences.gain.over_shuffled",
            "preferences.gain.over_other_model",
            "preferences.gain.over_format",
            "preferences.choices_after.r",
        ),
        _draw_named,
        "Report r after training on the model's own weights, less that of its controls: no such training "
        "(once more on those pairs alone that both report readably), weights of other contexts, weights of "
        "another model, and own weights of native contexts, which teach the format and nothing of what was "
        "instilled. A gain counts only beyond all of them. Below, whether choices are what they were: after "
        "report training those of the instilled model, after instilling, in native contexts, those of the "
        "base.",
    ),
    Section(
        "preferences_shares",
        "Are choices right, and can reports be read?",
        ("preferences.parse_rate", "preferences.learned.agreement", "preferences.report.sign_agreement"),
        ("preferences.parse_rate", "preferences.learned.agreement", "preferences.report.sign_agreement"),
        _draw_named,
        "Shares: reports that are the JSON that was asked for, fresh choices that are right by the target "
        "weights, and reported weights whose sign is the learned one's. What was lost is in the table.",
    ),
    Section(
        "preferences_mechanics",
        "Where can weights be read, and do both tasks use the same?",
        ("preferences.probe.", "preferences.attribution."),
        ("preferences.probe.", "preferences.attribution."),
        draw_forest,
        "Ridge probes of attribute weights at each layer, while choosing and while reporting, and from one "
        "task to the other, over probes of weights of other contexts; cosines of the two tasks' directions, "
        "and of the adapter modules that carry each, over those of other contexts.",
    ),
)
"""In the order of the page."""
