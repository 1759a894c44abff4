"""The sections of the page: which results each holds, how it is drawn and how to read it."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures import draw_forest, draw_levels
from mi_bsa.report.headline import sentences
from mi_bsa.report.section import MOST_DRAWN, MOST_LINES, MOST_ROWS, Section

CONTROLS = tuple(
    f"{what}.{shift}"
    for shift in ("shuffled_shift", "neighbor_effect", "named_shift")
    for what in ("behavior", "self_report")
)
"""Names of what should stay where it was."""

READABLE = tuple(
    f"self_report.{what}" for what in ("validity", "sensitivity", "option_mass", "parse_rate", "kinds_read")
)
"""Names of what says whether a report may be read."""

FIRST = (
    Section(
        "levels",
        "What does it do, and what does it say of itself?",
        ("behavior.", "self_report."),
        ("behavior.level", "self_report.level"),
        draw_levels,
        "Each row is a measure on items and wordings that training never showed; each large dot the "
        "mean over seeds with its 95 % interval, each small dot a seed, the upright line the base "
        "model. Only choices were trained. The shuffled arm saw the same rows with the labels mixed.",
        answers=(sentences,),
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
        READABLE,
        READABLE,
        draw_forest,
        "An index of each self-report: does it hold when scales are flipped, options rotated, words "
        "changed, or one wording left out? Sensitivity is the control of every null: what the same questions "
        "make of a pole that is stated to the base. A kind that is blind to it, or that has few wordings, is "
        "not read; one whose options hold little of the probability is asked by sampling, and read where "
        "most answers can be parsed.",
    ),
)
"""What every page begins with, where it was measured."""

LAST = Section(
    "more",
    "What else was measured",
    ("",),
    ("",),
    draw_forest,
    "Each value with its interval over the band of its null.",
)
"""What no other section names."""


def assign(results: Sequence[Result], own: Sequence[Section] = ()) -> dict[Section, list[Result]]:
    """Each result under the section with the longest beginning of its name, in the order of the page; empty
    ones are left out. `own`: the sections of a study, between those that every page has.
    """
    sections = (*FIRST, *own, LAST)
    assigned: dict[Section, list[Result]] = {section: [] for section in sections}
    for result in results:
        names = [(section, name) for section in sections for name in section.names]
        fits = [(len(name), section) for section, name in names if result.name.startswith(name)]
        assigned[max(fits, key=lambda fit: fit[0])[1]].append(result)
    return {section: items for section, items in assigned.items() if items}


def answer(results: Sequence[Result], own: Sequence[Section] = ()) -> list[str]:
    """The sentences that answer a run's question: those of the first section that has any for its results.

    `own`: the sections of its study, after those that every page has.
    """
    for section in (*FIRST, *own):
        said = [sentence for rule in section.answers for sentence in rule(results)]
        if said:
            return said
    return []


def figure_of(
    section: Section,
    results: Sequence[Result],
    *,
    narrow: bool,
    rows: Sequence[Mapping[str, str]] = (),
) -> Figure | None:
    """The section's figure; a forest of what there is where its own measure was not taken, or where the
    numbers are over bases.

    `rows`: of the file that it draws, where it draws one.
    """
    if rows:
        return section.draw(rows, narrow=narrow)
    shown, _ = _drawn(section, results)
    if not shown:
        return None
    own = section.draw is not draw_forest and not section.drawn_file and not of_bases(results)
    has_own_figure = shown[0].name.startswith(section.drawn) and own
    return (section.draw if has_own_figure else draw_forest)(shown, narrow=narrow)


def of_bases(results: Sequence[Result]) -> bool:
    """Whether these are numbers over bases, with those of each base beside them."""
    return any("base" in item.where for item in results)


def left_out(section: Section, results: Sequence[Result]) -> str:
    """What the figure leaves to the table, in words; empty where it shows all that it could."""
    shown, of = _drawn(section, results)
    return f"The figure shows the first {len(shown)} of {of}; the table has all." if len(shown) < of else ""


def _drawn(section: Section, results: Sequence[Result]) -> tuple[list[Result], int]:
    """The results that the figure shows, and of how many; none of a section that says to draw none."""
    if not section.drawn and not section.drawn_file:
        return [], 0
    drawn = [item for item in results if item.name.startswith(section.drawn)]
    if drawn and section.draw is not draw_forest and not of_bases(results):
        shown = drawn[: section.most]
        return _first_lines(shown) if section.most > MOST_DRAWN else shown, len(drawn)
    results = [item for item in results if "base" not in item.where]
    rest = [i for i in results if not (i.name.endswith(".level") or i.name.startswith(section.told))]
    return rest[:MOST_ROWS], len(rest)


def _first_lines(results: Sequence[Result]) -> list[Result]:
    """Those of the first `MOST_LINES` lines or maps: results that differ in layer and position alone."""
    line_of = [
        tuple(pair for pair in item.where.items() if pair[0] not in ("layer", "position")) for item in results
    ]
    kept = set(list(dict.fromkeys(line_of))[:MOST_LINES])
    return [item for item, line in zip(results, line_of, strict=True) if line in kept]
