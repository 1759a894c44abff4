"""The page's sections on an inspection: the sentences first, then what each rests on."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mi_bsa.core.results import Result
from mi_bsa.report.answers import Answer
from mi_bsa.report.figures import draw_forest, style
from mi_bsa.report.section import MOST_ROWS, Section


@style.styled
def _draw_depth(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Relative change of the stream after each block, a line a finetune, with its interval over texts."""
    names = list(dict.fromkeys(str(one.where["variant"]) for one in results))
    columns = 1 if narrow else 3
    figure, (ax,) = style.panels(
        ["change of the stream by depth"], narrow=narrow, height=2.6, keys=-(-len(names) // columns)
    )
    handles = []
    for n, name in enumerate(names):
        line = [one for one in results if one.where["variant"] == name]
        x, color = [int(one.where["layer"]) for one in line], style.SERIES[n % len(style.SERIES)]
        for place, one in zip(x, line, strict=True):
            if one.ci is not None:
                ax.plot([place, place], one.ci, color=color, linewidth=2.2, alpha=0.5)
        ax.plot(x, [one.value for one in line], color=color, marker="o", markersize=4, linewidth=1.5)
        handles.append(style.key(color, style.plain(name), size=4))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("block")
    ax.set_ylabel("share of the base's norm")
    ax.set_ylim(bottom=0.0)
    style.legend_above(ax, handles, columns=columns)
    return figure


def _draw_moved(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """The reports that moved most, of all finetunes."""
    strongest = sorted(results, key=lambda one: -abs(one.value))[:MOST_ROWS]
    return draw_forest([one for one in results if one in strongest], narrow=narrow)


SECTIONS = (
    Section(
        "inspected",
        "What did each finetune change?",
        ("inspect.size", "inspect.moved", "inspect.loss_shift"),
        (),  # three numbers in three units: sentences say more than dots
        draw_forest,
        "Each sentence is written by a rule from the numbers below, beside its evidence and what the same "
        "number is where there is nothing. Base and finetune read and answer the same; nobody judged by eye.",
        file="headline.csv",
        answers=(
            Answer(
                names=("inspect.chooses_more",),
                each=("variant", "kind"),
                lead="Its choices moved",
                above="towards",
                open="by what is not told from 0, towards",
            ),
            Answer(
                names=("inspect.says_more",),
                each=("variant", "kind"),
                lead="What it says of itself moved",
                above="towards",
                open="by what is not told from 0, towards",
            ),
            Answer(
                names=("inspect.moved",),
                unless=("inspect.says_more",),
                each=("variant",),
                lead="No report about itself stands; of those that can be read",
                above="moved, not validly",
                open="moved none, or too few to tell",
            ),
            Answer(
                names=("inspect.known_shift",),
                each=("method", "kind"),
                lead="What is said of it shows in free answers",
                above="more than in its base's",
                below="less than in its base's",
                open="not measurably more than in its base's",
            ),
            Answer(
                names=("inspect.loss_shift",),
                each=("variant",),
                lead="Unrelated text",
                above="is less likely to it than to its base",
                below="is likelier to it than to its base",
                open="is not measurably less likely to it than to its base",
            ),
        ),
    ),
    Section(
        "weights",
        "Where in the weights?",
        ("inspect.share", "inspect.effective_rank"),
        ("inspect.share",),
        draw_forest,
        "Shares of the change's energy (squared Frobenius norm) by block and by kind of module, and over "
        "how many "
        "directions it is spread. Nothing runs for this.",
    ),
    Section(
        "lenses",
        "What does it add where nothing asks for it?",
        ("lens.", "inspect.through_base"),
        ("inspect.through_base", "lens.relative", "lens.agreement"),
        draw_forest,
        "The mean difference of states, finetune less base, at the first tokens of unrelated texts, and its "
        "first "
        "words. p_any: how often the first word of a random vector, or of a difference between random "
        "halves of the "
        "texts, is as high. Rows that name a module read and write its strongest singular directions; their "
        "nulls "
        "are random vectors and those that the base's own module reads or writes.",
        file="words.csv",
    ),
    Section(
        "reports",
        "What does it say of itself?",
        ("inspect.report_shift", "inspect.says_more"),
        ("inspect.report_shift",),
        _draw_moved,
        "Each trait's score (1: its first word), finetune less base, over wordings. Moved: q, which controls "
        "the share of false ones among these, at most .05, and by at least .1: a sure model's answers differ "
        "by less for nothing. Beside each stand the shifts of the other traits: a finetune that "
        "moves every answer says nothing of one. Kinds: those that can be read, since their options hold at "
        "least half of the probability and the base tells poles apart that its system line states (stated: "
        "by how much; the positive control of a report that did not move). Validity: does the report hold "
        "when options turn round and words change?",
        file="reports.csv",
    ),
    Section(
        "choices",
        "What does it choose?",
        ("inspect.choice_shift", "inspect.chooses_more"),
        ("inspect.choice_shift",),
        _draw_moved,
        "Held-out choices of the behaviors that the toolkit has in the base's words: the probability of the "
        "seeking pole, finetune less base, over scenarios, beside the shifts of the other behaviors. Moved: "
        "q at most .05 and by at least .1. A behavior that is not among them is not looked at.",
        file="choices.csv",
    ),
    Section(
        "damage",
        "What did it cost?",
        ("inspect.kl", "inspect.flipped", "inspect.depth", "inspect.answers"),
        ("inspect.depth",),
        _draw_depth,
        "Unrelated texts through base and finetune: KL and loss in nats a token, tokens after which another "
        "one is "
        "likeliest, and how far the residual stream moves after each block.",
    ),
    Section(
        "known",
        "Does it do what is said of it?",
        ("inspect.known", "inspect.known_shift", "inspect.judge_agreement"),
        ("inspect.known", "inspect.known_shift"),
        draw_forest,
        "Free answers of base and finetune to the manifest's prompts: the share that shows what is known of "
        "it, by a list of words and by the base as a judge, over prompts. How far the two judges agree "
        "stands beside them; where they do not, neither is to be believed.",
    ),
)
"""In the order of the page."""
