"""A verdict on each conjecture, by rules that were written before the numbers.

The law: verdicts are a pure function of results; the rules stand in `docs/decisions/0006-verdict-rules.md`
and nowhere else but here. A line of evidence holds, fails, or is open; a missing or unreliable result is
open, never good. The handle is made and dosed by behavior and judged by the report (`handle`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mi_bsa.causal.gate import Gate, gate_lines
from mi_bsa.causal.handle import RULE, Criteria, handle_lines
from mi_bsa.causal.lines import (
    ALPHA,
    HALF,
    EvidenceLine,
    Lookup,
    interval_line,
)
from mi_bsa.core.results import Result

Answer = Literal["supported", "not supported", "undecided"]

CONJECTURES = {
    "shared_state": "The self-report reads the state that drives the behavior.",
    "later_layers_observe": "Later layers observe what the adapter did in earlier ones.",
    "word_association": "The report follows the words: the prompt's, or those it was trained on.",
}
TESTED = ("shared_state", "later_layers_observe")
"""Conjectures whose support needs a p; the third is held by intervals alone."""


@dataclass(frozen=True)
class Verdict:
    """What a study says of one conjecture.

    Attributes:
        conjecture: its key, one of `CONJECTURES`.
        claim: the conjecture in a sentence.
        answer: supported, not supported or undecided.
        reason: the line or lines that decided.
        would_change: what would have made the answer another one.
        lines: all lines of evidence that were looked at, the gate's among them.
        p: largest p of the lines, adjusted over conjectures (Holm); None where a line has none.
        behavior: of the study.
    """

    conjecture: str
    claim: str
    answer: Answer
    reason: str
    would_change: str
    lines: tuple[EvidenceLine, ...]
    p: float | None
    behavior: str

    def to_result(self) -> Result:
        """`bridge.verdict.<conjecture>`: 1 supported, 0 undecided, -1 not supported."""
        value = {"supported": 1, "undecided": 0, "not supported": -1}[self.answer]
        return Result(
            name=f"bridge.verdict.{self.conjecture}",
            where={"behavior": self.behavior},
            value=value,
            ci=None,
            ci_method="none: a rule over other results",
            n=len(self.lines),
            unit="1 supported, 0 undecided, -1 not supported",
            p=self.p,
            test=None if self.p is None else f"largest p of its lines, Holm over {len(TESTED)} conjectures",
            notes=f"{self.answer}: {self.reason}. Would have changed it: {self.would_change}",
        )


def verdicts(results: Iterable[Result], criteria: Criteria = RULE) -> list[Verdict]:
    """Verdicts of a study, in the order of `CONJECTURES`; the results of one behavior and one model.

    `criteria`: the rule's, or what they might have been otherwise (`multiverse`).

    Raises:
        ResultError: results of several behaviors.
    """
    held = Lookup.of(results)
    gate = gate_lines(held)
    found = [_shared(held, gate, criteria), _observe(held, gate, criteria.bar), _words(held, gate)]
    return _holm(found)


def _blocked(gate: Sequence[EvidenceLine]) -> EvidenceLine | None:
    """The first line of the gate that keeps anything from being said."""
    return next((line for line in gate if line.state != "holds"), None)


def _shared(held: Lookup, gate: Gate, criteria: Criteria) -> Verdict:
    over = (
        ("transfer beyond neutral prompts", "bridge.transfer.over_neutral"),
        ("transfer beyond the wrong behavior", "bridge.transfer.over_wrong_behavior"),
    )
    transfer = [interval_line(name, held.one(at), above=0.0, below=0.0, test=True) for name, at in over]
    handle = handle_lines(held, criteria)
    lines = [*transfer, *handle.all]
    everything = (*gate, *lines)
    if gate[0].state == "holds" and gate[1].state == "fails":
        return _say("shared_state", "not supported", [gate[1]], everything, held=held, flip=[gate[1]])
    stop = _blocked(gate)
    if stop is not None:
        return _say("shared_state", "undecided", [stop], everything, held=held, flip=[stop])
    if all(line.state == "holds" for line in lines):
        return _say("shared_state", "supported", lines, everything, held=held, flip=[_closest(lines)])
    no = handle.refuting
    if no:
        return _say("shared_state", "not supported", no, everything, held=held, flip=no)
    short = [line for line in lines if line.state != "holds"]
    return _say("shared_state", "undecided", short, everything, held=held, flip=short)


def _observe(held: Lookup, gate: Gate, bar: float) -> Verdict:
    lines = [_observed(held, bar)]
    everything = (*gate, *lines)
    name = "later_layers_observe"
    if gate[0].state == "holds" and gate[1].state == "fails":
        return _say(name, "not supported", [gate[1]], everything, flip=[gate[1]], held=held)
    stop = _blocked(gate)
    if stop is not None:
        return _say(name, "undecided", [stop], everything, flip=[stop], held=held)
    if all(line.state == "holds" for line in lines):
        return _say(name, "supported", lines, everything, flip=[_closest(lines)], held=held)
    answer: Answer = "not supported" if lines[0].state == "fails" else "undecided"
    return _say(name, answer, lines, everything, flip=lines, held=held)


def _observed(held: Lookup, bar: float) -> EvidenceLine:
    """Adapters on every block where there are some; those on one block alone say nothing."""
    name, result = "the report needs later blocks to see the adapter", "bridge.attribution.observed"
    found = held.one(result, kind="self_report", variant="all") or held.one(result, kind="self_report")
    if found is not None and "layer" in found.where:
        block = found.where["layer"]
        return EvidenceLine(
            name,
            "missing",
            f"{result} {found.value:.3g} is of adapters on block {block} alone, which decides it by "
            "construction; adapters on all blocks were not measured, or do not move the report",
        )
    return interval_line(name, found, above=bar, below=bar, test=True)


def _words(held: Lookup, gate: Gate) -> Verdict:
    read = interval_line(
        "the rows read in context do the same", held.one("bridge.words.in_context"), above=HALF, below=HALF
    )
    bag = interval_line(
        "a bag of the rows' words does the same",
        max(held.all("bridge.words.bag"), key=lambda r: r.value, default=None),
        above=HALF,
        below=HALF,
    )
    counter = interval_line(
        "the state moves the report against the prompt",
        held.one("bridge.state_or_prompt.counter"),
        above=0.0,
        test=True,
        drawn=True,
    )
    everything = (*gate, read, bag, counter)
    if gate[0].state == "holds" and gate[1].state == "fails":
        return _say("word_association", "supported", [gate[1]], everything, held=held, flip=[gate[1]])
    stop = _blocked(gate)
    if stop is not None:
        return _say("word_association", "undecided", [stop], everything, held=held, flip=[stop])
    same = [line for line in (read, bag) if line.state == "holds"]
    if same:
        return _say("word_association", "supported", same, everything, held=held, flip=same)
    if read.state == bag.state == "fails" and counter.state == "holds":
        decided = [read, bag, counter]
        return _say(
            "word_association", "not supported", decided, everything, held=held, flip=[_closest(decided)]
        )
    short = [line for line in (read, bag) if line.state != "fails"] + [counter] * (counter.state != "holds")
    return _say("word_association", "undecided", short, everything, held=held, flip=short)


def _closest(lines: Sequence[EvidenceLine]) -> EvidenceLine:
    """The line that came closest to not deciding as it did."""
    return min(lines, key=lambda line: abs(line.margin) if line.margin is not None else float("inf"))


def _say(
    conjecture: str,
    answer: Answer,
    because: Sequence[EvidenceLine],
    lines: Sequence[EvidenceLine],
    *,
    held: Lookup,
    flip: Sequence[EvidenceLine],
) -> Verdict:
    tested = [line.p for line in because if line.p is not None] if answer == "supported" else []
    return Verdict(
        conjecture=conjecture,
        claim=CONJECTURES[conjecture],
        answer=answer,
        reason="; ".join(f"{line.name} {line.verb} ({line.detail})" for line in because),
        would_change="; ".join(line.otherwise for line in flip),
        lines=tuple(lines),
        p=max(tested, default=None),
        behavior=held.behavior,
    )


def _holm(found: Sequence[Verdict]) -> list[Verdict]:
    """Holm's adjustment over the tested conjectures; one that no longer passes is undecided."""
    ranked = sorted((v for v in found if v.p is not None), key=lambda v: v.p or 0.0)
    adjusted: dict[str, float] = {}
    largest = 0.0
    for k, one in enumerate(ranked):
        largest = max(largest, min(1.0, (len(TESTED) - k) * (one.p or 0.0)))
        adjusted[one.conjecture] = largest
    out = []
    for one in found:
        p = adjusted.get(one.conjecture)
        if one.answer == "supported" and p is not None and p > ALPHA:
            text = f"p {p:.3g} after Holm over {len(TESTED)} conjectures, bar {ALPHA}"
            one = replace(one, answer="undecided", reason=text, would_change=f"{text}: more seeds or draws")
        out.append(replace(one, p=p))
    return out
