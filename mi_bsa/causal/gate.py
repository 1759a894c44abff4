"""The gate of every verdict: there is a behavior, there is a report, and the report may be read.

Law: a report that is silent is told as "no effect" only where its questions see a pole that is stated to the
base; where every kind of question is blind, nothing is told.
"""

from __future__ import annotations

from dataclasses import replace

from mi_bsa.asking.kinds import Bars
from mi_bsa.causal.lines import LARGE, NONE, READABLE, EvidenceLine, Lookup, interval_line

BARS = Bars(wordings=8, mass=0.5, sees=0.2, parses=0.5)
"""What a kind of question must reach to be read. Below a mass, or a parse rate, of one half, what is scored
is less likely than everything that is not; .2 is the gap that a behavior must have (`LARGE`).
"""
UNMEASURED = "not measured"
"""In the notes of `self_report.kinds_read`: the poles were not stated to the base."""

Gate = tuple[EvidenceLine, EvidenceLine, EvidenceLine]


def gate_lines(held: Lookup) -> Gate:
    """There is a behavior; there is a report; the report is readable."""
    behavior = interval_line("there is a behavior", held.one("behavior.effect"), above=LARGE, below=LARGE)
    return behavior, _report(held), _readable(held)


def _report(held: Lookup) -> EvidenceLine:
    """The report's effect over the kinds that are read; a null needs questions that see."""
    name = "there is a report"
    effect = held.one("self_report.effect", kind="all") or held.one("self_report.effect")
    line = interval_line(name, effect, above=0.0, least=NONE, none=NONE)
    read = held.one("self_report.kinds_read")
    if read is None:
        return EvidenceLine(name, "missing", "self_report.kinds_read was not measured")
    if read.value < 1:
        return EvidenceLine(name, "open", f"no kind of question can be read: {read.notes}")
    if line.state == "fails" and UNMEASURED in read.notes:
        return replace(line, state="missing", detail=f"{line.detail}; {read.notes}")
    seen = held.one("self_report.sensitivity", kind="all")
    if seen is None or seen.ci is None:
        return line
    control = f"the same questions see a stated pole by {seen.value:.2f} [{seen.ci[0]:.2f}, {seen.ci[1]:.2f}]"
    return replace(line, detail=f"{line.detail}; {control}")


def _readable(held: Lookup) -> EvidenceLine:
    """The validity index by its interval, and every component of it measured."""
    name = "the report is readable"
    index = held.one("self_report.validity", kind="index") or held.one("self_report.validity")
    line = interval_line(name, index, above=READABLE, below=READABLE)
    if index is not None and "not measured" in index.notes:
        return replace(line, state="missing", detail=f"{line.detail}; {index.notes}", margin=None)
    return line
