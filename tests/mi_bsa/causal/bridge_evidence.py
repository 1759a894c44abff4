"""Results of a study of the bridge as verdicts read them, each with what the test wants of it."""

import dataclasses

from mi_bsa.causal.verdict import verdicts
from mi_bsa.core.results import Null, Result

SEEDS = (0, 1, 2, 3, 4)
DRAWN = Null("random directions", 999, 0.0, -0.1, 0.1)


def one(name, value, half, *, p=None, notes="", seeds=SEEDS, method="t over seeds", null=None, **where):
    """A result with a symmetric interval."""
    return Result(
        name=name,
        where={"behavior": "risk", "split": "test", **where},
        value=value,
        ci=(value - half, value + half),
        ci_method=method,
        n=max(len(seeds), 1),
        unit="share",
        null=null,
        p=p,
        test=None if p is None else "planted",
        seeds=seeds,
        notes=notes,
    )


def evidence(*, report=0.6, recovered=0.8, kept=0.2, p=0.01, observed=0.9, words=0.05, back=0.8, rival=0.3):
    """Results of a study in which everything holds, unless told otherwise."""
    found = [
        one("behavior.effect", 0.9, 0.05),
        one("self_report.effect", report, 0.05, kind="all"),
        one("self_report.validity", 0.8, 0.05, kind="index", seeds=()),
        one("self_report.kinds_read", 5, 0.0, seeds=()),
        one("self_report.sensitivity", 0.7, 0.1, kind="all", seeds=()),
        one("bridge.transfer.over_neutral", 0.4, 0.1, p=0.001),
        one("bridge.transfer.over_wrong_behavior", 0.4, 0.1, p=0.001),
        one("bridge.attribution.observed", observed, 0.05, p=0.001, kind="self_report"),
        one("bridge.words.in_context", words, 0.05),
        one("bridge.words.bag", words, 0.05),
        one("bridge.state_or_prompt.counter", 0.3, 0.05, p=0.001, null=DRAWN),
        placed("bridge.rival.self_report", rival, "shuffled_choices", "slot"),
        placed("bridge.rival.self_report", rival, "neighbor_choices", "slot"),
    ]
    for arm in ("seeking", "averse"):
        for how, size in (("trained", 0.9), ("probe", 0.3)):
            place = {"arm": arm, "site": "resid_post", "layer": 0}
            found.append(recovery("behavior", size, how, place))
            found.append(recovery("self_report", recovered, how, place))
        found.append(recovery("behavior", back, "trained_on_report", place))
        found.append(recovery("self_report", 0.9, "trained_on_report", place))
    apart = one("bridge.recovery.apart", recovered, 0.05, p=p, null=DRAWN, kind="self_report")
    found.append(dataclasses.replace(apart, where={**apart.where, "method": "trained"}))
    found.append(placed("bridge.necessity.self_report", kept, "trained", "slot"))
    for name in ("nie", "proportion"):
        found.append(placed(f"bridge.mediation.{name}", 0.9, "behavior:trained", "slot", kind="self_report"))
    return found


def recovery(read_out, size, how, place):
    """A share recovered by one method at one pole."""
    result = one(f"bridge.recovery.{read_out}", size, 0.05, **place)
    return dataclasses.replace(result, where={**result.where, "method": how})


def placed(name, value, how, position, **where):
    """A result of one method at one place."""
    result = one(name, value, 0.05, p=0.01, position=position, null=DRAWN, **where)
    return dataclasses.replace(result, where={**result.where, "method": how})


def answers(results):
    """{conjecture: answer}."""
    return {v.conjecture: v.answer for v in verdicts(results)}


def without(results, name):
    """All results but those of a name."""
    return [r for r in results if r.name != name]


def changed(results, name, keep=lambda r: True, **changes):
    """The same results, those of a name (and place) changed."""
    if "p" in changes:
        changes["test"] = None if changes["p"] is None else "planted"
    return [
        dataclasses.replace(r, **{"where": dict(r.where), **changes}) if r.name == name and keep(r) else r
        for r in results
    ]


def states(verdict):
    """{name of a line: its state}."""
    return {line.name: line.state for line in verdict.lines}


def in_words(lines):
    return "; ".join(f"{line.name} {line.verb} ({line.detail})" for line in lines)


def closest(lines):
    return min(lines, key=lambda line: float("inf") if line.margin is None else abs(line.margin))
