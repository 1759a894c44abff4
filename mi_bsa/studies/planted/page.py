"""The grid's section in `docs/validity.md`: what every cell was answered, and whether the marks are met."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mi_bsa.studies.planted.draw import TRUTH
from mi_bsa.studies.planted.kept import stopped
from mi_bsa.studies.planted.marks import FALSE, FALSE_HIGH, MARKS, NEVER, Mark, Record, rate
from mi_bsa.studies.planted.runs import conjecture, of_today, rules
from mi_bsa.studies.planted.settings import GridConfig, PlantedCell

BEGIN, END = "<!-- planted grid: begin -->", "<!-- planted grid: end -->"
GATE_LINES = ("there is a behavior", "there is a report", "the report is readable")
"""Lines of the gate, before those of a conjecture."""
SHOWN = 3
"""False supports that are shown as examples."""

INTRODUCTION = (
    "Small Llamas with hand-set weights and PEFT adapters of known wiring, judged by the bridge's own "
    "functions to a verdict (`mi_bsa/studies/planted/`); the rules are those of "
    "`docs/decisions/0006-verdict-rules.md`. *Share*: of the report's distance of the poles, on [0, 1], how "
    "much the choices' state brings about. *Co-writing*: how much of the report's own state adapters write "
    "on choices too, and of the choices' state on reports (all of it where the report reads it: what is not "
    "written carries nothing). *Effect*: distance of the poles in the choices, on [0, 1]. *True share* is "
    "measured in every instance with the planted weights (`truth.py`): the choices' state is added to the "
    "base, and what it moves the report by is divided by what the adapters do. Intervals are exact "
    "(Clopper-Pearson, 95 %)."
)
"""What stands above everything."""
MARKED = (
    f"False support: at most {FALSE:.2f} with an upper end of at most {FALSE_HIGH:.2f} in *every* cell "
    "(which 36 instances reach without one, 54 with one, 70 with two). Of power and refutation the rate "
    "itself is held against its mark, in every cell and over all."
)
"""What stands above the marks."""

Cells = Mapping[PlantedCell, Sequence[Record]]


def render(config: GridConfig, records: Sequence[Record]) -> str:
    """The section as markdown, between the marks by which it is found again."""
    cells = _by_cell(config, records)
    kept = [r for found in cells.values() for r in found]
    lines = [
        BEGIN,
        "## Planted grid: what the verdicts are worth, cell by cell",
        "",
        *_prose(f"{INTRODUCTION} The residual stream is {config.draws.width} wide."),
        "",
        "```console",
        "$ python -m mi_bsa.studies.planted --table docs/planted.csv --out docs/validity.md",
        "```",
        "",
        *_progress(config, cells, kept),
        *_marks(cells),
        *_table(cells),
        *_worlds(cells),
        *_takes(cells),
        *_why(cells),
        *_examples(cells),
        END,
        "",
    ]
    return "\n".join(lines)


def _prose(text: str) -> list[str]:
    return textwrap.wrap(text, 110, break_long_words=False, break_on_hyphens=False)


def write(path: Path, config: GridConfig, records: Sequence[Record]) -> None:
    """Put the section into a page, in place of the one that is there; the rest of the page stays."""
    from mi_bsa.core.files import write_atomic

    old = path.read_text(encoding="utf-8") if path.exists() else ""
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    body = before.rstrip() + "\n\n" if before.strip() else ""
    write_atomic(path, body + render(config, records) + after.lstrip("\n"))


def holds(config: GridConfig, records: Sequence[Record]) -> bool:
    """Whether every cell that was judged meets its marks."""
    cells = _by_cell(config, records)
    return all("missed" not in mark.says(found) for mark in MARKS for found in _judged(cells, mark).values())


def _by_cell(config: GridConfig, records: Sequence[Record]) -> dict[PlantedCell, list[Record]]:
    return {cell: [r for r in records if r["cell"] == cell.name] for cell in config.cells()}


def _judged(cells: Cells, mark: Mark) -> dict[PlantedCell, Sequence[Record]]:
    """What a mark is about, where something was judged."""
    return {cell: found for cell, found in cells.items() if mark.holds(cell) and found}


def _progress(config: GridConfig, cells: Cells, kept: Sequence[Record]) -> list[str]:
    wanted = Counter(cell for cell, _ in config.plan())
    whole = wanted.total()
    full = sum(len(found) >= wanted[cell] for cell, found in cells.items())
    seconds = [r["seconds"] for r in kept if r["seconds"]]
    errors = Counter(r["reason"] for r in kept if r["error"])
    versions = Counter(r["rules"] for r in kept)
    told = (
        f"Judged: {len(kept)} of {whole} instances ({whole - len(kept)} left), from number {config.first} "
        f"on, in the order of the settings; {full} of {len(cells)} cells are whole, "
        f"{sum(not found for found in cells.values())} not begun. The command goes on where it was."
    )
    if seconds:
        told += f" An instance takes {sum(seconds) / len(seconds):.1f} s of one core on average."
    if not all(map(of_today, kept)):
        by = ", ".join(f"{n} by {name}" for name, n in versions.most_common())
        told += f" **Not all were judged by the code of this page** ({rules()}): {by}."
    if kept and not errors:
        told += " No study stopped with an error."
    out = [*_prose(told), ""]
    stopped = [f"- stopped with an error: {n} x {reason}" for reason, n in errors.most_common()]
    return [*out, *stopped, ""] if stopped else out


def _marks(cells: Cells) -> list[str]:
    out = ["### Marks", "", *_prose(MARKED), ""]
    out += [
        "| mark | cells judged | met | too few | missed | over all cells: n, rate | worst cell | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for mark in MARKS:
        judged = _judged(cells, mark)
        wanted = sum(mark.holds(cell) for cell in cells)
        says = Counter(
            mark.says(found).strip("*").partition(",")[0].split("*")[0] for found in judged.values()
        )
        everything = [r for found in judged.values() for r in found]
        over = rate(everything, mark.answer)
        bar = f">= {mark.least}" if mark.least is not None else f"<= {FALSE}, upper end <= {FALSE_HIGH}"
        out.append(
            f"| {mark.name}: {bar} | {len(judged)} of {wanted} | {says['met']} | {says['too few']} "
            f"| {says['missed']} | {len(everything)}, {over or '-'} | {_worst(judged, mark)} "
            f"| {mark.says(everything) if mark.least is not None else _every(says, wanted)} |"
        )
    low = [
        r
        for cell, found in cells.items()
        if cell.world == "grid"
        for r in found
        if r["truth"] and r["truth"]["share"] < NEVER
    ]
    measured = rate(low, "supported")
    note = f"False support by the *measured* share (below {NEVER}), all cells of the grid together: "
    return [*out, "", f"{note}{measured} of {len(low)}." if measured else f"{note}none yet.", ""]


def _every(says: Counter[str], wanted: int) -> str:
    if says["missed"]:
        return "**missed**"
    if not says:
        return "not judged yet"
    return "met" if says["met"] == wanted else "met so far" if says["met"] else "too few"


def _worst(judged: Cells, mark: Mark) -> str:
    rates = {cell: one for cell, found in judged.items() if (one := rate(found, mark.answer)) is not None}
    if not rates:
        return "-"
    sign = 1 if mark.least is not None else -1
    worst = min(rates, key=lambda cell: (sign * rates[cell].value, -rates[cell].n))
    return f"{worst.name}: {rates[worst]} of {rates[worst].n}"


def _table(cells: Cells) -> list[str]:
    out = [
        "### Every cell of the grid",
        "",
        "Cells that are not begun are left out; their number is their place in the settings.",
        "",
        "| cell | share | co-writing | effect | seeds | true share: median [range] | effect measured | n "
        "| supported | not supported | undecided | mark |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for n, (cell, found) in enumerate(cells.items(), 1):
        if cell.world == "grid" and found:
            says = [mark.says(found) for mark in MARKS if mark.holds(cell)]
            out.append(
                f"| {n} | {cell.share:g} | {cell.cowriting:g} | {cell.effect:g} | {cell.seeds} "
                f"| {_answers(found)} | {'; '.join(says)} |"
            )
    return [*out, ""]


def _worlds(cells: Cells) -> list[str]:
    if not any(found for cell, found in cells.items() if cell.world != "grid"):
        return []
    out = [
        "### Worlds beside the grid",
        "",
        "True share: as above; *carried*: of what adapters write of the choices' state on reports alone.",
        "",
        "| world | conjecture | carried: median | true share: median [range] | effect measured | n "
        "| supported | not supported | undecided |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cell, found in cells.items():
        if cell.world != "grid" and found:
            carried = "-" if conjecture(cell.world) != "shared_state" else f"{_middle(found, 'carried')}"
            out.append(
                f"| `{cell.world}`: {TRUTH[cell.world]} | `{conjecture(cell.world)}` | {carried} "
                f"| {_answers(found)} |"
            )
    return [*out, ""]


def _answers(found: Sequence[Record]) -> str:
    import numpy as np

    shares = [r["truth"]["share"] for r in found if r["truth"]]
    effects = [r["effect"] for r in found if r["effect"] is not None]
    true = f"{np.median(shares):.2f} [{min(shares):.2f}, {max(shares):.2f}]" if shares else "-"
    three = [str(rate(found, answer)) for answer in ("supported", "not supported", "undecided")]
    return " | ".join([true, f"{np.median(effects):.2f}" if effects else "-", str(len(found)), *three])


def _middle(found: Sequence[Record], key: str) -> str:
    import numpy as np

    values = [r["truth"][key] for r in found if r["truth"]]
    return f"{np.median(values):.2f}" if values else "-"


def _takes(cells: Cells) -> list[str]:
    """What power takes: over all co-writing at once."""
    rows: dict[tuple[float, float, int], list[Record]] = {}
    for cell, found in cells.items():
        if cell.world == "grid" and cell.share >= 0.5 and found:
            rows.setdefault((cell.share, cell.effect, cell.seeds), []).extend(found)
    if not rows:
        return []
    out = [
        "### What support takes",
        "",
        *_prose(
            'Share of instances answered "supported", over all co-writing together: of all, and of those '
            "whose gate holds (a behavior, a report, and one that may be read; some are drawn so noisy that "
            "it may not)."
        ),
        "",
        "| share | effect | seeds | n | supported | gate holds | supported of these |",
        "|---|---|---|---|---|---|---|",
    ]
    for (share, effect, seeds), found in sorted(rows.items()):
        read = [r for r in found if stopped(r) not in GATE_LINES]
        out.append(
            f"| {share:g} | {effect:g} | {seeds} | {len(found)} | {rate(found, 'supported')} | {len(read)} "
            f"| {rate(read, 'supported') or '-'} |"
        )
    return [*out, ""]


def _why(cells: Cells) -> list[str]:
    """Which line left how many instances undecided; a line that was left out stopped none."""
    groups: dict[str, list[Record]] = {}
    for cell, found in cells.items():
        name = cell.world.replace("_", " ") if cell.world != "grid" else f"share {cell.share:g}"
        groups.setdefault(name, []).extend(r for r in found if r["answer"] == "undecided")
    told = []
    for name, found in groups.items():
        if found:
            lines = Counter(stopped(r) for r in found).most_common()
            told.append(f"- {name} ({len(found)}): {', '.join(f'{line} {n}' for line, n in lines)}")
    return ["Undecided, and the first line that did not hold:", "", *told, ""] if told else []


def _examples(cells: Cells) -> list[str]:
    """The first supported instances of cells where support is wrong."""
    wrong = [
        (cell, r)
        for cell, found in cells.items()
        if any(mark.least is None and mark.holds(cell) for mark in MARKS)
        for r in found
        if r["answer"] == "supported"
    ]
    told = [(cell.name, r["number"], r["reason"] or "no reason is kept in the table") for cell, r in wrong]
    out = [f"- {name}, {number}: {reason}" for name, number, reason in told[:SHOWN]]
    head = f"Supported where that is an error ({len(wrong)}; the first {len(out)}):"
    return [head, "", *out, ""] if out else []
