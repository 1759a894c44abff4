"""What a report rests on, by a rule over the controls' own results. Information, and no verdict.

The rule, in this order, with `MOVED` the least shift of P(seeking pole) that counts:
  *state*    the runs report their poles apart, and the state moves the base's report to its pole, each by
             `MOVED` or more with an interval above 0; the state's p is at most .05 among random directions of
             its length, and it moves the report more than these move it alike;
  *anomaly*  random directions move it alike, either way, by `MOVED` or more, interval off 0;
  *input*    a wording that moves the choices as the state does moves the report to its pole, by `MOVED` or
             more, interval above 0;
  *guess*    none of these, and runs, random directions and wordings move it by less than `MOVED`;
  *unclear*  none of these.
The runs are asked first because a vector that is trained on choices may have learned to look like the input
that both follow: in planted worlds whose report follows the input alone, it moves the report and no run does.
A report that reads the state may follow the input as well: what a wording moves stands beside.
"""

from __future__ import annotations

from collections.abc import Iterable

from mi_bsa.core.results import Place, Result

MOVED = 0.1
LEVEL = 0.05
TOLD = ("state", "anomaly", "input", "guess", "unclear")
"""What the rule can say."""


def rests_on(results: Iterable[Result]) -> Result | None:
    """`introspection.rests_on`: `kind` is what the report rests on; None where `moved` was not measured."""
    by = {
        (str(r.where["method"]), str(r.where["kind"])): r for r in results if r.name == "introspection.moved"
    }
    state, odd, run = (by.get(k) for k in (("state", "pole"), ("random", "alike"), ("adapter", "pole")))
    if state is None or odd is None or run is None:
        return None
    wording = by.get(("wording", "pole"))
    alike = abs(odd.value)
    sure = state.p is not None and state.p <= LEVEL
    if _above(run) and _above(state) and sure and state.value > alike:
        told = "state"
    elif alike >= MOVED and odd.ci is not None and odd.ci[0] * odd.ci[1] > 0:
        told = "anomaly"
    elif wording is not None and _above(wording):
        told = "input"
    elif all(abs(one.value) < MOVED for one in (run, odd, wording) if one is not None):
        told = "guess"
    else:
        told = "unclear"
    said = [f"runs apart {_said(run)}", f"state to the pole {_said(state)}"]
    said += [f"random directions alike {_said(odd)}"]
    said += [f"matched wording to the pole {_said(wording)}"] if wording is not None else []
    where: dict[str, Place] = {"behavior": state.where["behavior"], "kind": told, "split": "test"}
    return Result(
        name="introspection.rests_on",
        where=where,
        value=1.0,
        ci=None,
        ci_method="none: what a rule says of numbers that have theirs",
        n=state.n,
        unit="told",
        notes="; ".join(said),
    )


def _above(one: Result) -> bool:
    return one.value >= MOVED and one.ci is not None and one.ci[0] > 0


def _said(one: Result) -> str:
    ends = "" if one.ci is None else f" [{one.ci[0]:.2f}, {one.ci[1]:.2f}]"
    return f"{one.value:.2f}{ends}"
