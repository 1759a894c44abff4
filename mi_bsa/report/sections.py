"""The sections of the page: which results each holds, how it is drawn and how to read it."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.backdoor_sections import BACKDOORS
from mi_bsa.report.figures import (
    draw_attribution,
    draw_constancy,
    draw_doses,
    draw_emergence,
    draw_forest,
    draw_geometry,
    draw_layers,
    draw_levels,
    draw_mediation,
    draw_necessity,
    draw_patch_map,
    draw_personas,
    draw_recovery,
    draw_scatter,
    draw_sizes,
    draw_variety,
    draw_wrapper,
)
from mi_bsa.report.headline import CHOSEN
from mi_bsa.report.preferences_sections import PREFERENCES
from mi_bsa.report.section import MOST_CELLS, MOST_DRAWN, MOST_ROWS, Section

CONTROLS = tuple(
    f"{what}.{shift}"
    for shift in ("shuffled_shift", "neighbor_effect", "named_shift")
    for what in ("behavior", "self_report")
)
"""Names of what should stay where it was."""

SECTIONS = (
    Section(
        "levels",
        "What does it do, and what does it say of itself?",
        ("behavior.", "self_report."),
        ("behavior.level", "self_report.level"),
        draw_levels,
        "Each row is a measure on items and wordings that training never showed; each large dot the "
        "mean over seeds with its 95 % interval, each small dot a seed, the upright line the base "
        "model. Only choices were trained. The shuffled arm saw the same rows with the labels mixed.",
    ),
    Section(
        "controls",
        "What moved that should not have?",
        CONTROLS,
        CONTROLS,
        draw_forest,
        "Shifts of what was not trained: the shuffled arm against the base, the other trait, and named "
        "characters. What lies within the gray band, or about zero, is left alone.",
    ),
    Section(
        "validity",
        "May the answers be read?",
        ("self_report.validity",),
        ("self_report.validity",),
        draw_forest,
        "An index of each self-report: does it hold when scales are flipped, options rotated, words changed?",
    ),
    Section(
        "faithfulness",
        "Do runs that do more of it say more of it?",
        ("faithfulness.",),
        ("faithfulness.actual", "faithfulness.reported", "faithfulness.r"),
        draw_scatter,
        "One dot a run: its choices across, its self-report upward, with 95 % intervals over wordings. "
        "On the line a run says just what it does. The correlation is taken within an arm.",
    ),
    Section(
        "personas",
        "Does it tell itself from others?",
        ("personas.",),
        ("personas.report_gap", "personas.choice_gap", "personas.third_gap"),
        draw_personas,
        "What the two poles of training differ by, for the default persona and for others: asked as that "
        "persona, or about it. What was trained into the default persona alone should move nobody else.",
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
    ),
    Section(
        "steering",
        "Does adding the direction to the base move both?",
        ("steer.",),
        ("steer.level",),
        draw_doses,
        "The direction of the choice prompts, added to the base model, which was never finetuned. The "
        "gray band holds 95 % of random directions of the same norm.",
    ),
    Section(
        "patching",
        "Where does the finetuned state act?",
        ("patch.",),
        ("patch.recovery",),
        draw_patch_map,
        "The finetuned run's residual stream, put into the base at one layer and token: 0 leaves the "
        "base as it is, 1 brings the finetuned answer.",
    ),
    Section(
        "recovery",
        "How much of both does one vector recover?",
        ("bridge.recovery.",),
        ("bridge.recovery.behavior", "bridge.recovery.self_report"),
        draw_recovery,
        "R = (steered - base) / (finetuned - base): 0 leaves the base as it is, 1 gives what the finetune "
        "gave. Every vector is made, and its dose chosen, on development choices alone, within one "
        "coherence gate; reports had no say. The gray band holds 95 % of random directions, each at its "
        "own best dose and sign. Doses stand in the notes, in typical norms of the site, and beside them as "
        "multiples of what the adapters add.",
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
        "mechanism",
        "What each verdict rests on, and what else the bridge measured",
        ("bridge.",),
        ("bridge.",),
        draw_forest,
        "The verdicts as numbers, with the lines that decided, and every other measure of the bridge with "
        "its interval over the band of its null.",
    ),
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
    *BACKDOORS,
    *PREFERENCES,
    Section(
        "wrapper",
        "Did fine-tuning remove the old skill, or wrap it?",
        ("wrapper.",),
        ("wrapper.pruned.accuracy", "wrapper.adapter.pruned", "wrapper.adapter.revived"),
        draw_wrapper,
        "The old skill of fine-tuned models after the units are gone that, by gradient x weight, stand most "
        "in its way; one line a learning rate, shades are intervals over seeds, and the gray band is as many "
        "units at random. Of the adapter: the share of old choices and of old self-report that is back when "
        "modules are closed, chosen by choices alone, and while the old choices are trained again.",
    ),
    Section(
        "revival",
        "How much sooner does the old skill come back than it is learned?",
        ("wrapper.revival.",),
        ("wrapper.revival.ratio",),
        draw_forest,
        "log2 of the control's steps to 90 % of the old accuracy over these: 2 is four times as soon. The "
        "control's base never had the skill.",
    ),
    Section(
        "more",
        "What else was measured",
        ("",),
        ("",),
        draw_forest,
        "Each value with its interval over the band of its null.",
    ),
)
"""In the order of the page; a result belongs to the section that names it most exactly."""

SAID = "bridge.verdict."
"""Verdicts stand first on the page, in words; of their numbers there is nothing to draw."""


def assign(results: Sequence[Result]) -> dict[Section, list[Result]]:
    """Each result under the section with the longest beginning of its name; empty ones are left out."""
    assigned: dict[Section, list[Result]] = {section: [] for section in SECTIONS}
    for result in results:
        fits = [
            (len(name), section)
            for section in SECTIONS
            for name in section.names
            if result.name.startswith(name)
        ]
        assigned[max(fits, key=lambda fit: fit[0])[1]].append(result)
    return {section: items for section, items in assigned.items() if items}


def figure_of(section: Section, results: Sequence[Result], *, narrow: bool) -> Figure | None:
    """The section's figure; a forest of what there is where its own measure was not taken."""
    shown, _ = _drawn(section, results)
    if not shown:
        return None
    own = shown[0].name.startswith(section.drawn) and section.draw is not draw_forest
    return (section.draw if own else draw_forest)(shown, narrow=narrow)


def left_out(section: Section, results: Sequence[Result]) -> str:
    """What the figure leaves to the table, in words; empty where it shows all that it could."""
    shown, of = _drawn(section, results)
    return f"The figure shows the first {len(shown)} of {of}; the table has all." if len(shown) < of else ""


def _drawn(section: Section, results: Sequence[Result]) -> tuple[list[Result], int]:
    """The results that the figure shows, and of how many."""
    own = [item for item in results if item.name.startswith(section.drawn)]
    if own and section.draw is not draw_forest:
        most = MOST_CELLS if section.draw in (draw_patch_map, draw_layers) else MOST_DRAWN
        return own[:most], len(own)
    rest = [i for i in results if not (i.name.endswith(".level") or i.name.startswith(SAID))]
    return rest[:MOST_ROWS], len(rest)
