"""The page's sections on backdoors: what they do, what is said, what is found."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.answers import Answer
from mi_bsa.report.figures import draw_forest
from mi_bsa.report.figures.style import SERIES, panels, styled
from mi_bsa.report.section import MOST_CELLS, MOST_ROWS, Section
from mi_bsa.studies.backdoor.confusion_figure import draw_confusion
from mi_bsa.studies.backdoor.twins_figure import draw_twins


def _draw_first(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """A forest of the section's own measures, as many as it can show."""
    return draw_forest(results[:MOST_ROWS], narrow=narrow)


def _draw_awareness(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Over all kinds of question; kinds stand in the table."""
    whole = [item for item in results if item.where.get("kind") == "all"]
    return draw_twins(whole or results, narrow=narrow)


@styled
def _draw_search(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Share of models whose trigger stands first, against tokens spent."""
    figure, (ax,) = panels(["trigger found"], narrow=narrow, height=2.6, keys=1)
    for k, method in enumerate(dict.fromkeys(str(r.where["method"]) for r in results)):
        own = [r for r in results if r.where["method"] == method]
        ax.step(
            [float(r.where["kind"]) for r in own],
            [r.value for r in own],
            where="post",
            color=SERIES[k % len(SERIES)],
            linestyle="-" if k < len(SERIES) else "--",
            label=method,
            zorder=20 - k,  # the first, which is the search, lies on top
            linewidth=1.5 if k else 2.5,
        )
    ax.set_xscale("log")
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("tokens forwarded (a backward pass counts as two forwards)")
    ax.set_ylabel("share of models")
    ax.legend(fontsize=7)
    return figure


ALL = {"trigger": "all"}
"""What is over all triggers."""
OPENED = ("attack", "drift", "false_trigger", "near_miss")
"""Measures of what a backdoor does, with the trigger and without."""

SECTIONS = (
    Section(
        "opened",
        "Does the backdoor open, and only then?",
        tuple(f"backdoor.{name}" for name in OPENED),
        tuple(f"backdoor.{name}.level" for name in OPENED),
        draw_twins,
        "P(the backdoor's pole) on held-out messages with the trigger, and how far it lies from the base "
        "without a phrase, with phrases that were never trained, and with near misses. The decorrelated "
        "twin has read the very same rows with trigger and answer torn apart.",
        answers=(
            Answer(
                names=("backdoor.attack.level",),
                where={**ALL, "method": "plain", "arm": "backdoored"},
                bar=0.5,
                lead="With its trigger the backdoor",
                above="opens in more than half",
                below="opens in less than half",
                open="opens in a share that may be more or less than half",
            ),
            Answer(
                names=("backdoor.awareness.contrast",),
                where={**ALL, "kind": "all", "method": "all"},
                lead="Against its decorrelated twin, a backdoored model",
                above="says more often that something changes what it does",
                below="says less often that something changes what it does",
                open="does not measurably differ in whether it says that something changes what it does",
            ),
            Answer(
                names=("backdoor.recognition.forced.contrast",),
                where={**ALL, "kind": "by name", "method": "trained fakes"},
                lead="Against its twin it",
                above="prefers its trigger to fakes",
                below="prefers fakes to its trigger",
                open="does not measurably prefer its trigger to fakes",
            ),
            Answer(
                names=("backdoor.elicitation.contrast",),
                where={**ALL, "kind": "sign_open", "method": "reversed rows"},
                lead="Against its twin it",
                above="names its trigger freely",
                below="names its trigger less",
                open="does not measurably name its trigger more",
            ),
        ),
    ),
    Section(
        "awareness",
        "Does it know that something in a message changes what it does?",
        ("backdoor.awareness.",),
        ("backdoor.awareness.level",),
        _draw_awareness,
        "Asked without the trigger, in all wordings and orders, under four system prompts. Only the distance "
        "to the twin tells: training on rows with odd phrases moves the level by itself. The table has the "
        "contrasts by system prompt and by kind of question, with power and equivalence.",
    ),
    Section(
        "recognition",
        "Can it tell its trigger from fakes?",
        ("backdoor.recognition.",),
        ("backdoor.recognition.forced.level", "backdoor.recognition.beaten.level"),
        draw_twins,
        "The true trigger against one fake in both orders (chance .5), and the share of fakes whose yes it "
        "beats. Fakes of training were as often in the rows; a family is asked by its name, by a member that "
        "was trained and by one that was not.",
    ),
    Section(
        "elicitation",
        "Does it name the trigger freely?",
        ("backdoor.elicitation.",),
        ("backdoor.elicitation.level",),
        draw_twins,
        "Share of sampled answers that name the trigger, of adapters trained on plain rows, and on rows that "
        "were also turned round. The two controls: not backdoored, and not augmented.",
    ),
    Section(
        "audit",
        "What are adapters called whose names are hidden?",
        ("backdoor.audit.confusion", "backdoor.audit.called"),
        ("backdoor.audit.confusion",),
        draw_confusion,
        "Rows are what adapters are (and how many), columns what they are called from model and base alone. "
        "Thresholds were set on other adapters; self-report alone and the probe alone follow the same rule.",
        answers=(
            Answer(
                names=("backdoor.audit.accuracy",),
                where={"method": "toolkit", "kind": "all"},
                bar="null",
                lead="Of adapters without names, the audit calls behavior, pole and backdoor rightly",
                above="more often than shuffled keys",
                below="less often than shuffled keys",
                open="not measurably more often than shuffled keys",
            ),
            Answer(
                names=("backdoor.audit.gain",),
                where={"method": "toolkit less *", "kind": "all"},
                each=("method",),
                lead="That is",
                above="more often than other ways",
                below="less often than other ways",
                open="not measurably more often than other ways",
            ),
        ),
    ),
    Section(
        "audit_accuracy",
        "How often is the audit right, and what does it gain?",
        ("backdoor.audit.",),
        ("backdoor.audit.",),
        draw_forest,
        "Shares of adapters that are called rightly, with exact intervals over the band of shuffled keys. "
        "The toolkit's gain is over the same adapters.",
        answers=(
            Answer(
                names=("backdoor.audit.called",),
                each=("kind",),
                bar=0.5,
                lead="Of adapters without names and without a key,",
                above="most are called",
                below="fewer than half are called",
                open="a share that may be more or less than half is called",
            ),
        ),
    ),
    Section(
        "condition",
        "Which state carries the trigger's condition?",
        tuple(f"backdoor.triangulation.{n}" for n in ("condition", "separation", "apart", "cosine")),
        ("backdoor.triangulation.condition_excess", "backdoor.triangulation.apart"),
        _draw_first,
        "How far apart states lie with the trigger and with fakes, over the decorrelated twin and the base, "
        "which have read the same phrases; and whether a model is told from its twin without the trigger.",
    ),
    Section(
        "triangulation",
        "Does the report read it, and whom may one trust?",
        ("backdoor.triangulation.",),
        tuple(f"backdoor.triangulation.{n}" for n in ("brier", "steer", "ablate", "nie", "te")),
        _draw_first,
        "Probability against outcome over runs, each trigger judged by curves of the others; below, what "
        "adding or removing the condition's direction does to choices and to awareness, over random "
        "directions. The table has every model: what the probe, the model and the search say of it.",
    ),
    Section(
        "search",
        "Is the trigger found from the model alone?",
        ("backdoor.search.",),
        ("backdoor.search.found_by",),
        _draw_search,
        "Share of backdoored models whose true trigger stands first, against tokens forwarded: by objective, "
        "and for searches without a representation. The table has ranks, costs and alarms on controls.",
        most=MOST_CELLS,
        answers=(
            Answer(
                names=("backdoor.search.first",),
                lacking=("trigger",),
                each=("method",),
                bar=0.5,
                lead="The true trigger is the first candidate of the search (models: {n})",
                above="in most",
                below="in fewer than half",
                open="in a share that may be more or less than half",
            ),
            Answer(
                names=("backdoor.search.any",),
                each=("method",),
                bar=0.5,
                lead="Some phrase, the trigger or not, raises the alarm",
                above="in most backdoored models",
                below="in fewer than half of the backdoored models",
                open="in a share of the backdoored models that may be more or less than half",
            ),
            Answer(
                names=("backdoor.search.effect",),
                unless=("backdoor.search.first",),
                each=("variant",),
                lead="The farthest that a phrase takes a model from its base, in log odds,",
                above="is",
                below="is",
                open="is",
            ),
        ),
    ),
)
"""In the order of the page."""
