"""The table of planted truth: how often each verdict was given in each world, with exact intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mi_bsa.causal.verdict import CONJECTURES
from mi_bsa.studies.planted.draw import TRUTH, WORLDS
from mi_bsa.studies.planted.runs import CONJECTURE

BEGIN, END = "<!-- planted truth: begin -->", "<!-- planted truth: end -->"
ANSWERS = ("supported", "not supported", "undecided")
ALL = 100
MUST = {"shared": ">= 90", "separate": "<= 5", "prompt_only": "<= 5", "early": ">= 90", "reverse": "<= 5"}
"""How many of 100 instances may be answered "supported"."""
EARLIER = (
    "A first design was given up after 42 instances (numbers 0 to 9): supported were shared 7 of 10,",
    "separate 0 of 8, prompt only 0 of 8, early 7 of 8, reverse 0 of 8. Its weights were set on four to six",
    "prompts a form, so that log-odds of other prompts spread up to 18 times as far as drawn, and reports",
    "that were planted could not be read (of instances for debugging, 3 of 40 early and 5 of 40 shared ones",
    "stopped at the gate). Now weights are set on 16 prompts a form, drawn apart from those that are asked,",
    "and the instances have fresh numbers, 1,000 to 1,099. Bars, nulls and seeds are the same. Of 14",
    "separate instances for debugging that followed, one was answered supported: its adapters write",
    "a quarter of the report's state on choices too, and the mean difference carries it.",
)
"""What stood here before, and why it does not."""


def render(records: Sequence[Mapping[str, Any]]) -> str:
    """The section as markdown, between the marks by which it is found again."""
    rows = [_row(world, [r for r in records if r["world"] == world]) for world in WORLDS]
    undecided = [r for r in records if r["answer"] == "undecided"]
    return "\n".join(
        [
            BEGIN,
            "## Planted truth: what the verdicts are worth",
            "",
            "Small Llamas with hand-set weights and PEFT adapters of known wiring, judged by the bridge's",
            "own functions (`mi_bsa/studies/planted/`). Each draws strengths, noise, overlaps, nuisances and",
            "5 adapters of either pole; the rules are those of `docs/decisions/0006-verdict-rules.md`. Nulls",
            "are as small as the rules allow: 50 random directions for recovery, 59 for mediation.",
            "",
            "```console",
            "$ python -m mi_bsa.studies.planted --instances 100 --runs runs/planted --out docs/validity.md",
            "```",
            "",
            *_short(records),
            "| world | conjecture | n | supported [95 %] | must be | not supported | undecided | |",
            "|---|---|---|---|---|---|---|---|",
            *(row for row in rows if row),
            "",
            "Intervals are exact (Clopper-Pearson).",
            "",
            *_why(undecided),
            *EARLIER,
            "",
            END,
            "",
        ]
    )


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Put the section into a page, in place of the one that is there; the rest of the page stays."""
    from mi_bsa.core.files import write_atomic

    old = path.read_text(encoding="utf-8") if path.exists() else ""
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    body = before.rstrip() + "\n\n" if before.strip() else ""
    write_atomic(path, body + render(records) + after.lstrip("\n"))


def holds(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every world that was judged meets its mark, as a share."""
    for world in WORLDS:
        own = [r["answer"] == "supported" for r in records if r["world"] == world]
        if own and not _met(world, sum(own), len(own)):
            return False
    return True


def _met(world: str, supported: int, n: int) -> bool:
    sign, mark = MUST[world].split()
    return supported >= 0.01 * int(mark) * n if sign == ">=" else supported <= 0.01 * int(mark) * n


def _row(world: str, own: Sequence[Mapping[str, Any]]) -> str:
    from scipy import stats

    if not own:
        return ""
    count = Counter(r["answer"] for r in own)
    hits, n = count["supported"], len(own)
    ends = stats.binomtest(hits, n).proportion_ci(0.95)
    verdict = "met" if _met(world, hits, n) else "**missed**"
    shown = f"{hits / n:.2f} [{ends.low:.2f}, {ends.high:.2f}]"
    return (
        f"| {TRUTH[world]} | `{CONJECTURE[world]}` | {n} | {shown} | {MUST[world]} of 100 "
        f"| {count['not supported']} | {count['undecided']} | {verdict} |"
    )


def _short(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Says where fewer than 100 of a world were judged."""
    fewest = min(Counter(r["world"] for r in records).values(), default=0)
    if fewest >= ALL:
        return []
    return [
        f"So far {fewest} of {ALL} instances of each world were judged, in the order of their numbers; the",
        "command goes on where it was.",
        "",
    ]


def _why(undecided: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which line left how many instances undecided, world by world; a line that was left out stopped none."""
    out = []
    for world in WORLDS:
        own = [r for r in undecided if r["world"] == world]
        if own:
            stopped = Counter(_stopped(r["lines"]) for r in own)
            told = ", ".join(f"{name} {n}" for name, n in stopped.most_common())
            out.append(
                f"- undecided, {world.replace('_', ' ')} ({len(own)}): first line that did not hold: {told}"
            )
    assert set(CONJECTURES) >= set(CONJECTURE.values())
    return [*out, ""] if out else []


def _stopped(lines: Mapping[str, str]) -> str:
    short = [name for name, state in lines.items() if state in ("open", "fails")]
    short += [name for name, state in lines.items() if state == "missing"]
    return next(iter(short), "p, adjusted over conjectures")
