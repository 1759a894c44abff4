"""The page's sections on grids."""

from mi_bsa.report.answers import Answer
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
        answers=(
            Answer(
                names=("size.self_report.slope",),
                lead="By a factor of ten in parameters, the self-report's gap",
                above="grows by",
                below="changes, for it shrinks, by",
                open="does not measurably change",
            ),
        ),
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
        answers=(
            Answer(
                names=("variety.mean.gap",),
                lead="Over {n} behaviors, each trained alone, what models say of themselves",
                above="moves with what they were trained to choose",
                below="moves against what they were trained to choose",
                open="does not measurably move with what they were trained to choose",
            ),
            Answer(
                names=("variety.share_reported",),
                lead="It moves, each behavior by itself,",
                above="in most of them",
                below="in fewer than half",
                open="in a share that may be more or less than half",
                bar=0.5,
            ),
        ),
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
        answers=(
            Answer(
                names=("faithfulness.r",),
                where={"kind": "all", "method": "all runs"},
                each=("arm",),
                lead="Runs that do more of it",
                above="say more of it, r",
                below="say less of it, r",
                open="do not measurably say more of it, r",
            ),
        ),
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
        answers=(
            Answer(
                names=("personas.conflation",),
                where={"kind": "all"},
                each=("method",),
                bar=1 / 3,
                lead="What others say of themselves moves with the trained persona's",
                above="by more than a third of its gap",
                below="by less than a third of its gap",
                open="by a share of its gap that may be more or less than a third",
            ),
        ),
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
        answers=(
            Answer(
                names=("hiding.report_less_choices",),
                where={"kind": "out"},
                each=("method",),
                lead="Of what plain training gives, the report keeps",
                above="more than choices do",
                below="less than choices do",
                open="no measurably other share than choices",
            ),
            Answer(
                names=("hiding.report_less_state",),
                where={"kind": "out"},
                each=("method",),
                lead="Of the same it keeps",
                above="more than the state does",
                below="less than the state does",
                open="no measurably other share than the state",
            ),
        ),
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
        answers=(
            Answer(
                names=(
                    "mixing.over_bases.report_less_choices",
                    "mixing.over_behaviors.report_less_choices",
                    "mixing.report_less_choices",
                ),
                where={"method": "benign-*"},
                furthest="method",
                each=("behavior", "base"),
                lead="With traitless rows mixed in ({method}), of what plain training gives the report keeps",
                above="more than choices do",
                below="less than choices do",
                open="no measurably other share than choices",
            ),
            Answer(
                names=(
                    "mixing.over_bases.report_less_shorter",
                    "mixing.over_behaviors.report_less_shorter",
                    "mixing.report_less_shorter",
                ),
                where={"method": "benign-*"},
                furthest="method",
                each=("behavior", "base"),
                lead="It keeps",
                above="more than after shorter training as sure of its choices",
                below="less than after shorter training as sure of its choices",
                open="no measurably other share than after shorter training as sure of its choices",
            ),
        ),
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
        answers=(
            Answer(
                names=("blind.told",),
                where={"method": "benign-*"},
                furthest="method",
                each=("kind",),
                bar=0.5,
                lead="With {method} rows,",
                above="most adapters are told by",
                below="fewer than half are told by",
                open="it is open whether most are told by",
            ),
        ),
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
