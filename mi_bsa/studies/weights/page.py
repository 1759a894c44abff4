"""The page's sections on weights alone."""

from mi_bsa.report.answers import Answer
from mi_bsa.report.figures import draw_forest
from mi_bsa.report.section import Section

SECTIONS = (
    Section(
        "weights_auroc",
        "Do weights alone tell a backdoor?",
        ("weights.auroc", "weights.advantage"),
        ("weights.auroc",),
        draw_forest,
        "AUROC on triggers that no classifier was fitted on. `other_tasks`: against adapters that never saw "
        "a phrase, as published detectors are judged. `twins`: against adapters of the same prompts and as "
        "many answers of the pole, torn apart. `transferred`: fitted on the first, judged on the second. "
        "Gray: labels exchanged.",
        answers=(
            Answer(
                names=("weights.auroc",),
                where={"variant": "all ranks", "method": "ours"},
                each=("kind",),
                bar=0.5,
                lead="From weights alone, on triggers that no classifier saw, backdoors",
                above="are told, AUROC",
                below="are taken for the others, AUROC",
                open="are not measurably told, AUROC",
            ),
        ),
    ),
    Section(
        "weights_pool",
        "What was told apart?",
        ("weights.opens", "weights.within"),
        ("weights.opens",),
        draw_forest,
        "By how much a trigger opens, on held-out messages; backdoors that do not reach the bar left the "
        "study with their twins. Within: out of fold on training triggers, where penalties were chosen.",
    ),
)
"""In the order of the page."""
