"""The section of docs/validity.md on planted reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mi_bsa.causal.introspection.conditions import TOLD
from mi_bsa.studies.planted.introspection.judged import Record
from mi_bsa.studies.planted.introspection.worlds import WORLDS

BEGIN, END = "<!-- planted reports: begin -->", "<!-- planted reports: end -->"
HIT, FALSE = 0.95, 0.05
INTRODUCTION = """Small Llamas with hand-set weights (`mi_bsa/studies/planted/introspection`), whose
choices read a state in all four worlds, and whose report reads the state, follows the input, notices anything
odd, or guesses. What the introspection controls say of each (`introspection.rests_on`, docs/decisions/0006):
ranges, rule and bars were set on debugging instances (10,000 up; 0, 1 and 200 to 315 were seen by versions
before), and these have other numbers.
Brackets are exact 95 % intervals over instances. *Run*, *state*, *odd* and *wording* are means of what moves
the report (the finetuned runs; the vector of the choices; random directions of its length, alike; a wording
that moves the choices as much). *Report*, *reader* and *privileged* are means over the {read} instances whose
readers were fitted: the report's accuracy after one choice of its own, the best input-only reader's, and the
difference.
"""
MEANS = ("run", "state", "odd", "wording", "report", "reader", "privileged")
"""Columns of which the mean is shown."""
COMMAND = (
    "python -m mi_bsa.studies.planted.introspection --table docs/planted_reports.csv --out docs/validity.md"
)


def render(records: Sequence[Record]) -> str:
    """The section as Markdown."""
    lines = [BEGIN, "## Planted reports: do the introspection controls tell what a report rests on?", ""]
    read = sum(bool(r["privileged"]) for r in records)
    lines += [INTRODUCTION.format(read=read)]
    lines += ["```console", f"$ {COMMAND}", "```", ""]
    heads = ["planted", "n", *TOLD, "told right", *MEANS]
    lines += ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for world in WORLDS:
        own = [r for r in records if r["world"] == world]
        if not own:
            continue
        told = [r["told"] for r in own]
        row = [world, str(len(own)), *(str(told.count(k)) for k in TOLD), _share(told.count(world), len(own))]
        row += [_mean(own, k) for k in MEANS]
        lines.append("| " + " | ".join(row) + " |")
    seconds = sum(float(r["seconds"]) for r in records)
    marks = "met" if holds(records) else "missed"
    lines += [
        "",
        f"Marks (each world told as what it is in {HIT:g} or more, as any other one in {FALSE:g} or less): "
        f"{marks}. {len(records)} instances took {seconds / 60:.1f} minutes of one core.",
        END,
    ]
    return "\n".join(lines) + "\n"


def holds(records: Sequence[Record]) -> bool:
    """Whether every world that was judged meets both marks."""
    for world in WORLDS:
        told = [r["told"] for r in records if r["world"] == world]
        wrong = max((told.count(k) for k in WORLDS if k != world), default=0)
        if told and (told.count(world) < HIT * len(told) or wrong > FALSE * len(told)):
            return False
    return True


def write(path: Path, records: Sequence[Record]) -> None:
    """Put the section into a page, in place of the one that is there, or at its end; the rest stays."""
    from mi_bsa.core.files import write_atomic

    old = path.read_text(encoding="utf-8") if path.exists() else ""
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    body = before.rstrip() + "\n\n" if before.strip() else ""
    write_atomic(path, body + render(records) + after.lstrip("\n"))


def _share(hits: int, n: int) -> str:
    from scipy.stats import beta

    low = float(beta.ppf(0.025, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0
    return f"{hits / n:.2f} [{low:.2f}, {high:.2f}]"


def _mean(records: Sequence[Record], column: str) -> str:
    values = [float(r[column]) for r in records if r[column]]
    return f"{np.mean(values):.2f}" if values else ""
