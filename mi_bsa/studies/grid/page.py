"""The page's sections on grids."""

from mi_bsa.report.figures import draw_forest
from mi_bsa.report.section import Section
from mi_bsa.studies.grid.figures.blind import draw_blind
from mi_bsa.studies.grid.figures.hiding import draw_hiding
from mi_bsa.studies.grid.figures.mixing import draw_mixing
from mi_bsa.studies.grid.figures.mixing_why import draw_doses, draw_pressure, draw_state, draw_training
from mi_bsa.studies.grid.figures.personas import draw_personas
from mi_bsa.studies.grid.figures.scatter import draw_scatter
from mi_bsa.studies.grid.figures.sizes import draw_sizes
from mi_bsa.studies.grid.figures.variety import draw_variety

SIZE = (
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

VARIETY = (
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

FAITHFULNESS = (
    Section(
        "faithfulness",
        "Do runs that do more of it say more of it?",
        ("faithfulness.",),
        ("faithfulness.actual", "faithfulness.reported", "faithfulness.r"),
        draw_scatter,
        "One dot a run: its choices across, its self-report upward, with 95 % intervals over wordings. "
        "On the line a run says just what it does. The correlation is taken within an arm.",
    ),
)

PERSONAS = (
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

HIDING = (
    Section(
        "hiding",
        "Where the behavior hides, does the report hide with it, or with the state?",
        ("hiding.",),
        ("hiding.choices_share", "hiding.report_share", "hiding.state_on_reports_share"),
        draw_hiding,
        "One row a way of training, asked as anybody would and, where it has one, in the context of the "
        "training; 1 is what plain training on the same choices gives. Intervals are over seeds (Fieller).",
    ),
)

MIXING = (
    Section(
        "mixing",
        "Rows that show no trait, mixed in: does the report go and the choices stay?",
        ("mixing.",),
        ("mixing.over_bases.", "mixing.choices_share", "mixing.report_share"),
        draw_mixing,
        "One row a condition: what is left of plain training's choices and report, each small dot a behavior "
        "on a base; large dots are means over bases with their 95 % interval. Every condition sees the "
        "behavior's own rows as often as plain training does, unless it is said to be shorter.",
        most=2000,
    ),
    Section(
        "doses",
        "By how many rows are mixed in?",
        ("mixing.dose_slope",),
        ("mixing.over_bases.", "mixing.choices_share", "mixing.report_share"),
        draw_doses,
        "A thin line a behavior on a base, the thick one their mean with its interval over bases.",
        most=2000,
    ),
    Section(
        "training",
        "Is it merely less training?",
        ("mixing.report_less_shorter", "mixing.choice_odds"),
        ("mixing.report", "mixing.choice_odds"),
        draw_training,
        "Squares are plain runs of a quarter, half and all of the steps, a line a base. A dot below the line "
        "says less of itself than plain training that is as sure of its choices; larger dots, more rows.",
        most=2000,
    ),
    Section(
        "pressure",
        "Which rows do it?",
        ("mixing.pressure", "mixing.by_pressure"),
        ("mixing.pressure", "mixing.report_share"),
        draw_pressure,
        "A dot a behavior on a base and a company of rows (triangles: behaviors of few conditions). To "
        "the right, rows that plain training made the model surely wrong about.",
        most=2000,
    ),
    Section(
        "state",
        "Does the state go with the report?",
        ("mixing.state_share", "mixing.vector_", "mixing.report_given", "mixing.choices_given"),
        ("mixing.state_share", "mixing.report_share", "mixing.report_given"),
        draw_state,
        "How far mixed runs are shifted along the vector that drives plain's choices, what they say of "
        "themselves, and what they say where the shift that they lack is added (gray: random directions).",
        most=2000,
    ),
)

BLIND = (
    Section(
        "blind",
        "By how many benign rows does each reading go blind?",
        ("blind.told", "blind.dose"),
        ("blind.told",),
        draw_blind,
        "An adapter is told where a reading has the sign of its pole and is larger than in every adapter of "
        "its place that was trained on shuffled answers. Below the dotted line fewer than half are. Probe "
        "and weights are fitted on adapters without benign rows, of other seeds; intervals are over places.",
        most=2000,
    ),
    Section(
        "blind_share",
        "How much of each reading is left?",
        ("blind.share", "blind.gap"),
        ("blind.share",),
        draw_forest,
        "A reading's gap between the poles over what it is without benign rows, on the same base, paired by "
        "seed; the table has the gaps in each reading's own unit beside those of shuffled adapters.",
    ),
)
