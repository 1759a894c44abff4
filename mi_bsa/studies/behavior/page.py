"""The page's sections on a behavior study: what links what it does with what it says."""

from collections.abc import Sequence

from mi_bsa.causal.figures.attribution import draw_attribution
from mi_bsa.causal.figures.calibration import draw_calibration
from mi_bsa.causal.figures.constancy import draw_constancy
from mi_bsa.causal.figures.doses import draw_doses
from mi_bsa.causal.figures.emergence import draw_emergence
from mi_bsa.causal.figures.forests import draw_flips, draw_rivals
from mi_bsa.causal.figures.geometry import draw_geometry
from mi_bsa.causal.figures.layers import draw_layers
from mi_bsa.causal.figures.mediation import draw_mediation
from mi_bsa.causal.figures.multiverse import draw_multiverse
from mi_bsa.causal.figures.necessity import draw_necessity
from mi_bsa.causal.figures.patch_map import draw_patch_map
from mi_bsa.causal.figures.recovery import draw_recovery
from mi_bsa.core.results import Result
from mi_bsa.report.answers import Answer
from mi_bsa.report.figures import draw_forest
from mi_bsa.report.headline import CHOSEN, interval, number
from mi_bsa.report.section import MOST_CELLS, MOST_ROWS, Section


def _deepest(results: Sequence[Result]) -> list[str]:
    """The cell of each patch map that surely recovers most: the largest of many, and no test of it."""
    said = []
    cells = [one for one in results if one.name == "patch.recovery" and one.ci is not None]
    for kind in dict.fromkeys(one.where.get("kind") for one in cells):
        own = [one for one in cells if one.where.get("kind") == kind]
        best = max(own, key=lambda one: one.ci[0] if one.ci else 0.0)
        place = ", ".join(f"{key} {best.where[key]}" for key in ("layer", "position") if key in best.where)
        many = f"Of {len(own):,} cells of {str(kind).replace('_', '-')},"
        if best.ci and best.ci[0] > 0:
            most = f"{place} brings the largest share of the finetuned answer, chosen among all of them"
        else:
            most = f"none measurably brings the finetuned answer; nearest is {place}"
        said.append(f"{many} {most}: {number(best.value)} {interval(best)}.")
    return said


TURNED = tuple(
    f"{what}.flips.{how}" for what in ("behavior", "self_report") for how in ("toward", "away", "stayed")
)
"""Shares of which the figure shows the difference."""
SECTIONS = (
    Section(
        "flips",
        "Which items did the finetune turn?",
        ("behavior.flips.", "self_report.flips."),
        ("behavior.flips.net", "self_report.flips.net"),
        draw_flips,
        "Held-out items that the base answers on one side and a finetuned run on the other: toward the pole "
        "of its arm less away from it, as a share of all. Beneath, with their words, the items that moved "
        "most, and those that were turned away from the pole: P of the seeking pole by the base and by the "
        "mean run, and in how many seeds. All items are in flips.csv.",
        told=TURNED,
        most=MOST_ROWS,
        file="flips_top.csv",
    ),
    Section(
        "transfer",
        "Can the report be read from the state behind the choices?",
        ("bridge.transfer.",),
        ("bridge.transfer.auroc", CHOSEN),
        draw_layers,
        "A probe is fitted on choice prompts alone and tells seeking from averse adapters on "
        "self-report prompts of adapter seeds it never saw. Only what exceeds the floors is transfer: an "
        "'adapter is on' detector scores on neutral prompts too.",
        most=MOST_CELLS,
    ),
    Section(
        "calibration",
        "Does the probe keep its word on reports?",
        ("bridge.calibration.",),
        ("bridge.calibration.observed",),
        draw_calibration,
        "What the probe of the choices says of self-report prompts, over what was so: on the line it keeps "
        "its word. Gray is where a calibrated probe would lie with so few rows. Left as it is, right with "
        "slope and offset (Platt) fitted on development reports of other seeds. The expected calibration "
        "error in the table is biased upwards; its null says by how much.",
    ),
    Section(
        "steering",
        "Does adding the direction to the base move both?",
        ("steer.",),
        ("steer.level",),
        draw_doses,
        "The direction of the choice prompts, added to the base model, which was never finetuned. The "
        "gray band holds 95 % of random directions of the same norm.",
        answers=(
            Answer(
                names=("steer.effect",),
                each=("behavior", "kind"),
                bar="null",
                lead="Added to the base, the direction moves",
                above="further to the pole than random directions do",
                below="further from the pole than random directions do",
                open="not measurably further than random directions do",
            ),
        ),
    ),
    Section(
        "patching",
        "Where does the finetuned state act?",
        ("patch.",),
        ("patch.recovery",),
        draw_patch_map,
        "The finetuned run's residual stream, put into the base at one layer and token: 0 leaves the "
        "base as it is, 1 brings the finetuned answer.",
        most=MOST_CELLS,
        answers=(_deepest,),
    ),
    Section(
        "recovery",
        "How much of both does one vector recover?",
        ("bridge.recovery.",),
        ("bridge.recovery.behavior", "bridge.recovery.self_report"),
        draw_recovery,
        "R = (steered - base) / (finetuned - base): 0 leaves the base as it is, 1 gives what the finetune "
        "gave. Every vector is made, and dosed to the whole of them, on development choices alone, within "
        "one coherence gate; reports had no say, but for the report's own vector (trained on report). The "
        "gray band beside the vector trained on choices holds 95 % of random directions of its length. Doses "
        "stand in the notes, in typical norms of the site, and beside them as multiples of what the adapters "
        "add.",
    ),
    Section(
        "rivals",
        "Does what is optimized for something else move the report as much?",
        ("bridge.rival.",),
        ("bridge.rival.self_report", "bridge.rival.behavior"),
        draw_rivals,
        "Any vector that is optimized moves something. Rivals are trained by the same code at the same "
        "place, on choices whose poles were shuffled and on the neighbor's choices, and dosed to the same "
        "share of their own target, or else added at the same length. Right of 0 the vector of the choices "
        "moves more.",
    ),
    Section(
        "necessity",
        "What remains when the direction is taken out?",
        ("bridge.necessity.",),
        ("bridge.necessity.behavior", "bridge.necessity.self_report"),
        draw_necessity,
        "A direction of the choices is projected out of the finetuned models: 1 is nothing lost, 0 nothing "
        "left of the difference between the poles. Where the base itself has much along a direction, taking "
        "it out is no return to the base: below, the projection is set to what it is there. The table also "
        "has what becomes of the untrained trait.",
    ),
    Section(
        "mediation",
        "Does the report run through the state of the choices?",
        ("bridge.mediation.",),
        ("bridge.mediation.te", "bridge.mediation.nie", "bridge.mediation.nde"),
        draw_mediation,
        "The projection on one direction is set to what it is with the adapter, in the base (through it), "
        "or to what it is without, in the finetuned model (past it). The two need not add up to the total: "
        "what is left is their interaction. The band, near zero, holds random directions.",
    ),
    Section(
        "attribution",
        "Which modules carry what, and which layers read them?",
        ("bridge.attribution.",),
        ("bridge.attribution.shapley", "bridge.attribution.write_depth", "bridge.attribution.read_depth"),
        draw_attribution,
        "Shapley values of the adapter's modules, as shares of each read-out's whole effect. Below, the "
        "block in which the adapter's gates matter, and the block after which the answer slot has got it: "
        "a line from left to right says that later blocks observe what earlier ones wrote.",
    ),
    Section(
        "constancy",
        "Does the adapter add the same vector whatever it reads?",
        ("bridge.constancy.",),
        ("bridge.constancy.c_mean", "bridge.constancy.c_rank1"),
        draw_constancy,
        "The share of all that a module adds, on held-out prompts, that one vector carries (C_mean, signs "
        "kept), and that one line carries (C_rank1, either sign).",
    ),
    Section(
        "geometry",
        "Are the directions the same, and do they do the same?",
        ("bridge.geometry.",),
        ("bridge.geometry.cosine", "bridge.geometry.functional"),
        draw_geometry,
        "Signed cosines of directions at one place, over the band of random differences; beside them the "
        "correlation, over items, of what the two do to the base. The seed ceiling stands in the table. "
        "Where the place lies before the question, read directions of choices and of reports agree by "
        "construction, because the state there is the same in all prompts; trained ones need not.",
    ),
    Section(
        "prompts",
        "Does it follow the state, or the words?",
        ("bridge.state_or_prompt.", "bridge.words."),
        ("bridge.state_or_prompt.", "bridge.words."),
        draw_forest,
        "The direction of the choices, put into the base while the prompt says the contrary, or nothing; and "
        "what the words of the training rows give by themselves, as shares of the report's effect.",
    ),
    Section(
        "introspection",
        "Does the report read the state, or follow the input, or notice that something is odd, or guess?",
        ("introspection.",),
        ("introspection.moved", "introspection.accuracy", "introspection.reader", "introspection.privileged"),
        draw_forest,
        "Controls, with no say in a verdict. What moves the report: the finetuned runs, the vector of the "
        "choices, random directions of its length, and wordings that say nothing of the behavior and move "
        "the choices as much; to the pole, and alike whichever pole was meant. Below, how often the report "
        "says the pole that was trained, and how often readers do that see the same conversation and no "
        "adapter; privileged access is the difference. Relabelled reports, with their neutral names, stand "
        "in the table.",
        most=MOST_ROWS,
        answers=(
            Answer(
                names=("introspection.concept.detection",),
                where={"kind": "chosen"},
                each=("position",),
                bar=0.5,
                lead="Asked for a word with a word's vector put in, the model names one of the words",
                above="mostly",
                below="in fewer than half of the trials",
                open="in a share of the trials that may be more or less than half",
            ),
            Answer(
                names=("introspection.concept.identification",),
                where={"kind": "chosen"},
                each=("position",),
                bar=0.5,
                lead="It is the very word",
                above="mostly",
                below="in fewer than half of the trials",
                open="in a share of the trials that may be more or less than half",
            ),
        ),
    ),
    Section(
        "turns",
        "Turn by turn, does the report follow the state?",
        ("turns.",),
        ("turns.correlation", "turns.isotonic_r2", "turns.dose", "turns.spread"),
        draw_forest,
        "In conversations in which the model makes choices, a number is asked of it after each turn, beside "
        "the conversation. Rank correlation, within a conversation, of that number with the probe's reading "
        "of the state where it is given (in runs, and in the base, steered at a dose drawn each turn), and "
        "with the dose. Where the report does not vary between turns (spread), a correlation says nothing.",
    ),
    Section(
        "concealing",
        "Where the report lies, what does a probe read?",
        ("bridge.concealing.",),
        ("bridge.concealing.",),
        draw_forest,
        "Adapters trained on the same choices, and to deny them in other wordings. AUROC .5 is chance; "
        "below, a probe reads the lie and not the deed.",
    ),
    Section(
        "emergence",
        "Which comes first: the behavior, the state, or the report?",
        ("bridge.emergence.",),
        ("bridge.emergence.curve", "bridge.emergence.onset", "bridge.emergence.lag"),
        draw_emergence,
        "Checkpoints of the finetune: what the two poles' runs differ by in choices and in reports, and how "
        "well the state on report prompts tells them apart. A lag whose interval holds 0 says that neither "
        "was seen to come first.",
    ),
    Section(
        "multiverse",
        "Would other choices have given another verdict?",
        ("bridge.multiverse.",),
        ("bridge.multiverse.",),
        draw_multiverse,
        "Every path that the study might as well have taken: the place or a runner-up, the handle or another "
        "vector that gives half of the choices, its dose, all wordings of the report or all but one, and the "
        "bar of a quarter or another. Above, what the handle moves of the report, with its interval, sorted, "
        "in the color of the answer on a shared state; below, where each path lies on each axis, and beside "
        "it which share of the paths there gives the study's answer. Paths are choices and no draws. What "
        "moves along which axis, and what is held, stands in docs/decisions/0028; all paths in "
        "multiverse.csv.",
        drawn_file="multiverse.csv",
    ),
    Section(
        "mechanism",
        "What each verdict rests on, and what else the bridge measured",
        ("bridge.",),
        ("bridge.",),
        draw_forest,
        "The verdicts as numbers, with the lines that decided, and every other measure of the bridge with "
        "its interval over the band of its null.",
        told=("bridge.verdict.",),  # verdicts stand first on the page, in words
    ),
)
"""In the order of the page."""
