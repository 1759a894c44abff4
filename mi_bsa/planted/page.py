"""The table of planted truth: how often each verdict was given in each world, with exact intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mi_bsa.bridge.verdict import CONJECTURES
from mi_bsa.planted.draw import TRUTH, WORLDS
from mi_bsa.planted.runs import CONJECTURE

BEGIN, END = "<!-- planted truth: begin -->", "<!-- planted truth: end -->"
ANSWERS = ("supported", "not supported", "undecided")
MUST = {"shared": ">= 90", "separate": "<= 5", "prompt_only": "<= 5", "early": ">= 90", "reverse": "<= 5"}
"""How many of 100 instances may be answered "supported"."""


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
            "own functions (`mi_bsa/planted/`). Each draws strengths, noise, overlaps, nuisances and 5",
            "adapters of either pole; the rules are those of `docs/decisions/0006-verdict-rules.md`.",
            "",
            "```console",
            "$ python -m mi_bsa.planted --instances 100 --runs runs/planted --out docs/validity.md",
            "```",
            "",
            "| world | conjecture | n | supported [95 %] | must be | not supported | undecided | |",
            "|---|---|---|---|---|---|---|---|",
            *(row for row in rows if row),
            "",
            "Intervals are exact (Clopper-Pearson).",
            "",
            *_why(undecided),
            END,
            "",
        ]
    )


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Put the section into a page, in place of the one that is there; the rest of the page stays."""
    from mi_bsa.files import write_atomic

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


def _why(undecided: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which line left how many instances undecided, world by world."""
    out = []
    for world in WORLDS:
        own = [r for r in undecided if r["world"] == world]
        if own:
            stopped = Counter(
                next(
                    (k for k, state in r["lines"].items() if state != "holds"), "p, adjusted over conjectures"
                )
                for r in own
            )
            told = ", ".join(f"{name} {n}" for name, n in stopped.most_common())
            out.append(
                f"- undecided, {world.replace('_', ' ')} ({len(own)}): first line that did not hold: {told}"
            )
    assert set(CONJECTURES) >= set(CONJECTURE.values())
    return [*out, ""] if out else []
