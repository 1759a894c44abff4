"""The handle of the verdict `shared_state`: which vector it is, and the lines of evidence that rest on it.

The handle is the vector that is *trained* on choices, always: whatever else is read off an adapter (mean
difference, probe, what it adds) holds all that the adapter writes on choice prompts, also what no choice
reads. docs/decisions/0023 has the reasons, 0006 the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mi_bsa.causal.lines import HALF, QUARTER, EvidenceLine, Lookup, interval_line, together
from mi_bsa.core.variants import POLES

HANDLE = "trained"
"""Method of the handle: trained to give the base its adapters' choices, and nothing else."""
OTHERS = ("mean_difference", "constant", "pc1", "probe")
"""Methods whose vectors may contradict a support: read off the adapters, at the same place."""
ON_REPORT = "trained_on_report"
"""The report's own vector: trained on the report, and dosed by it."""
RIVALS = ("shuffled_choices", "neighbor_choices")


@dataclass(frozen=True)
class Criteria:
    """What a rule might have been otherwise; the defaults are the rule (docs/decisions/0028).

    Attributes:
        handle: method of the vector on which the lines rest.
        bar: what stands where the rule says a quarter.
    """

    handle: str = HANDLE
    bar: float = QUARTER


RULE = Criteria()


@dataclass(frozen=True)
class HandleLines:
    """The lines of `shared_state` that rest on the handle, in the order of the decision."""

    one: EvidenceLine
    report: EvidenceLine
    alone: EvidenceLine
    rivals: EvidenceLine
    back: EvidenceLine
    mediation: EvidenceLine
    shrinks: EvidenceLine

    @property
    def all(self) -> tuple[EvidenceLine, ...]:
        """In the order of the decision."""
        return tuple(vars(self).values())

    @property
    def refuting(self) -> Sequence[EvidenceLine]:
        """The lines that refute a shared state, or none: the handle is one and does not move the report, and
        of the two lines beside it (without it the report shrinks, the report's own vector moves the choices)
        one fails at least and none holds.
        """
        beside = (self.back, self.shrinks)
        if self.one.state != "holds" or self.report.state != "fails":
            return ()
        if any(line.state == "holds" for line in beside):
            return ()
        failed = [line for line in beside if line.state == "fails"]
        return (self.report, *failed) if failed else ()


def handle_lines(held: Lookup, criteria: Criteria = RULE) -> HandleLines:
    """All of them, from the results of a study."""
    return HandleLines(
        one=_poles(held, "the handle is one", "bridge.recovery.behavior", criteria.handle, criteria.bar),
        report=_report(held, criteria),
        alone=_contradicted(held, criteria),
        rivals=_rivals(held),
        back=_back(held, criteria.bar),
        mediation=_mediation(held, criteria),
        shrinks=_shrinks(held, criteria),
    )


def _poles(
    held: Lookup, name: str, result: str, method: str, bar: float, *, above: float | None = None
) -> EvidenceLine:
    """A recovery of a method at both poles: it fails below a bar; it holds where its value passes the bar,
    and its interval the bar too or, where it is given, another one.
    """
    least = bar if above is None else above
    each = [
        interval_line(name, held.one(result, method=method, arm=arm), above=least, below=bar, least=bar)
        for arm in POLES
    ]
    if all(line.state == "missing" for line in each) and held.one(result, method=method) is None:
        return EvidenceLine(name, "missing", f"no {result} of the vector {method!r}")
    return together(each)


def report_poles(held: Lookup, criteria: Criteria = RULE) -> EvidenceLine:
    """The handle's recovery of the report, each pole against the bar: what its line is at best."""
    name = "the handle moves the report"
    return _poles(held, name, "bridge.recovery.self_report", criteria.handle, criteria.bar)


def _report(held: Lookup, criteria: Criteria) -> EvidenceLine:
    """The handle's recovery of the report, each pole against the bar; and what both move apart against
    random directions, one test of both poles, which can only take from what the poles hold.
    """
    line = report_poles(held, criteria)
    apart = interval_line(
        line.name,
        held.one("bridge.recovery.apart", kind="self_report", method=criteria.handle),
        above=0.0,
        test=True,
        drawn=True,
    )
    if line.state == "missing":
        return line
    state = apart.state if line.state == "holds" else line.state
    return replace(line, state=state, p=apart.p, detail=f"{line.detail}; both poles apart: {apart.detail}")


def _contradicted(held: Lookup, criteria: Criteria) -> EvidenceLine:
    """Whether another vector that gives the base half of the choices leaves the report as it is."""
    name = "no other vector contradicts it"
    recovered = {
        method: [r for arm in POLES for r in held.all("bridge.recovery.behavior", method=method, arm=arm)]
        for method in (HANDLE, *OTHERS)
        if method != criteria.handle
    }
    if not any(recovered.values()):
        return EvidenceLine(name, "missing", "no other vector was measured")
    strong = [
        method
        for method, found in recovered.items()
        if len(found) > 1 and min(r.value for r in found) >= HALF
    ]
    against = [
        (method, line)
        for method in strong
        if (line := _poles(held, name, "bridge.recovery.self_report", method, criteria.bar)).state == "fails"
    ]
    if against:
        told = "; ".join(
            f"{method} moves choices and not the report: {line.detail}" for method, line in against
        )
        return EvidenceLine(name, "fails", told)
    said = f"of {', '.join(strong)}, none" if strong else "none recovers half of the choices, so none"
    return EvidenceLine(name, "holds", f"{said} leaves the report below {criteria.bar}")


def _rivals(held: Lookup) -> EvidenceLine:
    """The handle's report shift less that of each rival."""
    name = "the handle beats its rivals"
    each = []
    for method in RIVALS:
        found = held.one("bridge.rival.self_report", method=method)
        line = interval_line(name, found, above=0.0, below=0.0, test=True)
        detail = f"{method} was not measured" if found is None else f"{method}: {line.detail}"
        each.append(replace(line, detail=detail))
    return together(each)


def _back(held: Lookup, bar: float) -> EvidenceLine:
    """Whether the choices read what the report does: a quarter of them, and by its interval more than none;
    it fails where its interval lies below a quarter. A vector that does not move its own read-out cannot say.
    """
    name = "the report's own vector moves the choices"
    line = _poles(held, name, "bridge.recovery.behavior", ON_REPORT, bar, above=0.0)
    own = _poles(held, name, "bridge.recovery.self_report", ON_REPORT, bar)
    if line.state in ("holds", "fails") and own.state != "holds":
        return replace(line, state="open", detail=f"{line.detail}; it does not move the report: {own.detail}")
    return line


def _mediation(held: Lookup, criteria: Criteria) -> EvidenceLine:
    """The report runs through the handle: NIE above 0 and above random directions.

    It fails where its share of the total effect is below the bar.
    """
    name = "the report runs through it"
    nie = held.one("bridge.mediation.nie", kind="self_report", method=f"behavior:{criteria.handle}")
    if nie is None:
        return EvidenceLine(name, "missing", "bridge.mediation.nie was not measured")
    line = interval_line(name, nie, above=0.0, test=True, drawn=True)
    share = held.one("bridge.mediation.proportion", **dict(nie.where))
    failed = share is not None and share.ci is not None and share.ci[1] < criteria.bar
    if line.state == "open" and share is not None and failed:
        detail = f"{line.detail}; share {share.value:.2f} below {criteria.bar}"
        return replace(line, state="fails", detail=detail)
    return line


def _shrinks(held: Lookup, criteria: Criteria) -> EvidenceLine:
    """What remains of the report without the handle, at its own place: a quarter less, and by its interval
    less than all; it fails where its interval lies above three quarters.
    """
    found = [
        r
        for r in held.all("bridge.necessity.self_report", method=criteria.handle)
        if r.where.get("position") != "everywhere"
    ]
    return interval_line(
        "without it the report shrinks",
        min(found, key=lambda r: len(r.where), default=None),
        under=1.0,
        least=1 - criteria.bar,
        over=1 - criteria.bar,
        test=True,
        drawn=True,
    )
