"""The tables of decision 0006, row by row: which line decides, what it says, and which p is adjusted."""

import dataclasses

import pytest
from bridge_evidence import DRAWN, answers, evidence, one, placed, without

from mi_bsa.causal.verdict import CONJECTURES, verdicts
from mi_bsa.core.results import Null, Result

SHARED, OBSERVE, WORDS = range(3)
GATE = ["there is a behavior", "there is a report", "the report is readable"]
LINES = [
    "transfer beyond neutral prompts",
    "transfer beyond the wrong behavior",
    "the handle is one",
    "the handle moves the report",
    "no other vector contradicts it",
    "the handle beats its rivals",
    "the report's own vector moves the choices",
    "the report runs through it",
    "without it the report shrinks",
]
"""As the decision has them, in its order."""


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


def test_a_supported_verdict_in_full():
    """All lines in the decision's order are the reason; the closest of them would have changed it."""
    shared, observe, words = verdicts(evidence())
    assert [v.conjecture for v in (shared, observe, words)] == list(CONJECTURES)
    assert [v.claim for v in (shared, observe, words)] == list(CONJECTURES.values())
    assert [line.name for line in shared.lines] == GATE + LINES
    assert set(states(shared).values()) == {"holds"}
    assert shared.reason == in_words(shared.lines[3:])
    assert shared.would_change == closest(shared.lines[3:]).otherwise
    assert observe.reason == in_words(observe.lines[3:])
    assert observe.would_change == observe.lines[3].otherwise
    assert states(observe)["the report needs later blocks to see the adapter"] == "holds"
    assert list(states(words).values()) == ["holds"] * 3 + ["fails", "fails", "holds"]
    assert words.reason == in_words(words.lines[3:])
    assert words.would_change == closest(words.lines[3:]).otherwise
    record = shared.to_result()
    assert (record.name, dict(record.where)) == ("bridge.verdict.shared_state", {"behavior": "risk"})
    assert (record.value, record.ci, record.n, record.p) == (1, None, 12, shared.p)
    assert record.ci_method.startswith("none:")
    assert record.unit == "1 supported, 0 undecided, -1 not supported"
    assert record.notes == f"supported: {shared.reason}. Would have changed it: {shared.would_change}"


def test_p_is_the_largest_of_a_conjecture_and_adjusted_over_two():
    """Holm: the smaller of two is doubled, the larger is not below it; words have none."""
    assert [v.p for v in verdicts(evidence(p=0.03))] == [0.03, 0.002, None]
    both = changed(evidence(p=0.02), "bridge.attribution.observed", p=0.015)
    assert [v.p for v in verdicts(both)] == [0.03, 0.03, None]
    alone = without(both, "behavior.effect")
    assert [v.p for v in verdicts(alone)] == [None, None, None]
    late = verdicts(changed(evidence(p=0.03), "bridge.attribution.observed", p=0.04))
    assert [v.answer for v in late] == ["undecided", "undecided", "not supported"]
    assert [v.p for v in late] == [0.06, 0.06, None]
    assert late[SHARED].reason == "p 0.06 after Holm over 2 conjectures, bar 0.05"
    assert late[SHARED].would_change == f"{late[SHARED].reason}: more seeds or draws"
    edge = verdicts(changed(evidence(p=0.025), "bridge.attribution.observed", p=0.025))
    assert [v.answer for v in edge[:2]] == ["supported", "supported"]
    sure = verdicts(changed(evidence(p=0.0), "bridge.attribution.observed", p=0.0))
    assert [v.p for v in sure[:2]] == [0.01, 0.0]  # .01 is the p of mediation


@pytest.mark.parametrize(
    ("value", "half", "state"),
    [(0.25, 0.04, "holds"), (0.25, 0.06, "open"), (0.15, 0.04, "fails"), (0.15, 0.06, "open")],
)
def test_there_is_a_behavior(value, half, state):
    """Above or below .2; unless it holds, nothing is said, not even by a report that does not move."""
    results = without(evidence(report=0.0), "behavior.effect") + [one("behavior.effect", value, half)]
    found = verdicts(results)
    assert all(v.lines[0].state == state for v in found)
    if state != "holds":
        assert {v.answer for v in found} == {"undecided"}
        assert {v.reason for v in found} == {in_words([found[0].lines[0]])}
        assert {v.would_change for v in found} == {found[0].lines[0].otherwise}


@pytest.mark.parametrize(
    ("value", "half", "state"),
    [
        (0.12, 0.05, "holds"),
        (0.09, 0.05, "open"),
        (0.12, 0.13, "open"),
        (0.0, 0.09, "fails"),
        (0.0, 0.11, "open"),
    ],
)
def test_there_is_a_report(value, half, state):
    """Interval above 0 and .1 at least; it fails within .1 of 0 and then decides all three."""
    results = without(evidence(), "self_report.effect")
    results += [
        one("self_report.effect", value, half, kind="all"),
        one("self_report.effect", 0.5, 0.1),
        one("self_report.effect", 0.5, 0.1, kind="letters"),
    ]
    found = verdicts(results)
    assert all(v.lines[1].state == state for v in found)
    if state == "fails":
        assert [v.answer for v in found] == ["not supported", "not supported", "supported"]
        assert {v.reason for v in found} == {in_words([found[0].lines[1]])}
        assert {v.would_change for v in found} == {found[0].lines[1].otherwise}
        assert [v.p for v in found] == [None] * 3
    elif state == "open":
        assert {v.answer for v in found} == {"undecided"}
        assert {v.reason for v in found} == {in_words([found[0].lines[1]])}


def test_a_report_of_one_kind_stands_in_for_all():
    """Without a result over all kinds the most general one is read, and so with validity."""
    results = without(without(evidence(), "self_report.effect"), "self_report.validity")
    results += [one("self_report.effect", 0.6, 0.05, kind="letters")]
    results += [one("self_report.validity", 0.6, 0.05, seeds=())]
    assert answers(results)["shared_state"] == "supported"
    line = verdicts(results)[0].lines[2]
    assert (line.state, line.margin, line.p) == ("holds", pytest.approx(0.05), None)
    assert line.detail == "self_report.validity 0.6 [0.55, 0.65], bar 0.5"
    both = [*results, one("self_report.validity", 0.4, 0.05, kind="index", position="x", seeds=())]
    line = verdicts(both)[0].lines[2]
    assert (line.state, line.margin) == ("fails", pytest.approx(-0.15))
    noted = changed(results, "self_report.validity", notes="not measured: flip")
    line = verdicts(noted)[0].lines[2]
    assert line.detail == "self_report.validity 0.6 [0.55, 0.65], bar 0.5; not measured: flip"
    assert line.state == "missing"


@pytest.mark.parametrize(
    ("value", "half", "state"),
    [
        (0.6, 0.09, "holds"),
        (0.522, 0.4, "open"),
        (0.9, 0.45, "open"),
        (0.3, 0.15, "fails"),
        (0.45, 0.1, "open"),
    ],
)
def test_a_report_is_readable_by_its_interval(value, half, state):
    """A point above the bar is nothing: the whole interval lies above it, or below, or it stays open; a
    report with an effect is then undecided, by that line.
    """
    results = changed(evidence(), "self_report.validity", value=value, ci=(value - half, value + half))
    found = verdicts(results)
    assert {v.lines[2].state for v in found} == {state}
    if state != "holds":
        assert {v.answer for v in found} == {"undecided"}
        assert {v.reason for v in found} == {in_words([found[0].lines[2]])}
    unmeasured = verdicts(changed(evidence(), "self_report.validity", ci=None, ci_method="none: no draws"))
    assert {v.lines[2].state for v in unmeasured} == {"missing"}


def test_a_null_needs_questions_that_see():
    """A silent report is no effect where the same questions see a stated pole, and that is told beside it;
    where nobody stated one, or no kind can be read, every verdict is undecided, whatever the report did.
    """
    silent = verdicts(evidence(report=0.0))
    assert [v.answer for v in silent] == ["not supported", "not supported", "supported"]
    assert "the same questions see a stated pole by 0.70 [0.60, 0.80]" in silent[0].reason
    unstated = changed(
        without(evidence(report=0.0), "self_report.sensitivity"),
        "self_report.kinds_read",
        notes="read: letter; whether they see a stated pole was not measured",
    )
    found = verdicts(unstated)
    assert {v.answer for v in found} == {"undecided"}
    assert {v.lines[1].state for v in found} == {"missing"}
    assert "not measured" in found[0].reason
    for report in (0.0, 0.6):
        blind = changed(
            evidence(report=report), "self_report.kinds_read", value=0, notes="all are blind: read: none"
        )
        found = verdicts(blind)
        assert {v.answer for v in found} == {"undecided"}
        assert all("blind" in v.reason for v in found)
        never = verdicts(without(evidence(report=report), "self_report.kinds_read"))
        assert {v.answer for v in never} == {"undecided"}
        assert {v.lines[1].state for v in never} == {"missing"}


@pytest.mark.parametrize(
    ("name", "line", "value", "half", "state"),
    [
        ("bridge.transfer.over_neutral", 0, -0.2, 0.1, "fails"),
        ("bridge.transfer.over_neutral", 0, 0.05, 0.1, "open"),
        ("bridge.transfer.over_wrong_behavior", 1, -0.2, 0.1, "fails"),
        ("bridge.transfer.over_wrong_behavior", 1, 0.05, 0.1, "open"),
        ("bridge.necessity.self_report", 8, 0.74, 0.02, "open"),
        ("bridge.necessity.self_report", 8, 0.72, 0.02, "holds"),
        ("bridge.necessity.self_report", 8, 0.78, 0.02, "fails"),
    ],
)
def test_lines_of_the_shared_state(name, line, value, half, state):
    """Each against its bar; one alone that does not hold leaves the conjecture undecided, by that line."""
    results = changed(evidence(), name, value=value, ci=(value - half, value + half))
    shared = verdicts(results)[SHARED]
    assert shared.lines[3 + line].state == state
    assert shared.answer == ("supported" if state == "holds" else "undecided")
    if state != "holds":
        assert shared.reason == in_words([shared.lines[3 + line]])
        assert shared.would_change == shared.lines[3 + line].otherwise


@pytest.mark.parametrize("name", ["bridge.transfer.over_neutral", "bridge.transfer.over_wrong_behavior"])
def test_a_transfer_needs_its_p(name):
    """Above 0 without a small p it stays open."""
    assert verdicts(changed(evidence(), name, p=0.2))[SHARED].answer == "undecided"


@pytest.mark.parametrize("read_out", ["behavior", "self_report"])
def test_either_pole_must_recover(read_out):
    """One pole below a quarter leaves the line open, both make it fail, and the p is of neither alone."""

    def of(poles, share):
        return changed(
            evidence(), f"bridge.recovery.{read_out}", lambda r: r.where["arm"] in poles, value=share,
            ci=(share - 0.05, share + 0.05),
        )  # fmt: skip

    line = 5 if read_out == "behavior" else 6
    assert verdicts(of(["averse"], 0.1))[SHARED].lines[line].state == "open"
    assert verdicts(of(["averse", "seeking"], 0.1))[SHARED].lines[line].state == "fails"
    assert verdicts(of(["averse", "seeking"], 0.28))[SHARED].lines[line].state == "open"
    alone = verdicts(changed(evidence(), f"bridge.recovery.{read_out}", p=0.2))[SHARED]
    assert alone.lines[line].state == "holds"
    assert alone.lines[line].p == (None if read_out == "behavior" else 0.01)


APART = "bridge.recovery.apart"


def test_one_p_of_both_poles_against_random_directions():
    """A large one leaves open a line that both intervals hold, and turns no line that fails; that of choices
    is not read; without it the line is missing."""
    name = "the handle moves the report"
    weak = line(changed(evidence(), APART, p=0.2), name)
    assert (weak.state, weak.p) == ("open", 0.2)
    assert "both poles apart: bridge.recovery.apart 0.8 [0.75, 0.85], p 0.2" in weak.detail
    assert line(changed(evidence(recovered=0.1), APART, p=0.2), name).state == "fails"
    assert line(changed(evidence(recovered=0.25), APART, p=0.001), name).state == "open"
    of_choices = changed(evidence(), APART, where={"kind": "behavior", "method": "trained"})
    for gone in (of_choices, without(evidence(), APART)):
        assert line(gone, name).state == "missing"
        assert verdicts(gone)[SHARED].answer == "undecided"


def of_method(results, name, method, value, half=0.05):
    """The same results, those of a name and a method with another value, at both poles."""
    return changed(
        results, name, lambda r: r.where["method"] == method, value=value, ci=(value - half, value + half)
    )


def line(results, name):
    """A line of the shared state by its name."""
    return next(line for line in verdicts(results)[SHARED].lines if line.name == name)


def test_the_handle_is_the_trained_vector():
    """Whatever another method recovers of either read-out, the trained vector alone is judged."""
    more = of_method(evidence(), "bridge.recovery.behavior", "probe", 1.5)
    still = of_method(more, "bridge.recovery.self_report", "trained", 0.1)
    assert line(still, "the handle moves the report").state == "fails"
    other = [r for r in evidence() if r.where.get("method") != "trained"]
    for name in ("the handle is one", "the handle moves the report"):
        assert line(other, name).state == "missing"
    said = line(without(evidence(), "bridge.recovery.behavior"), "the handle is one").detail
    assert said == "no bridge.recovery.behavior of the vector 'trained'"


@pytest.mark.parametrize(
    ("back", "kept", "answer", "because"),
    [
        (0.05, 0.98, "not supported", ("report's own", "shrinks")),
        (0.05, 0.75, "not supported", ("report's own",)),
        (0.25, 0.98, "not supported", ("shrinks",)),
        (0.25, 0.75, "undecided", ()),
        (0.8, 0.98, "undecided", ()),
        (0.05, 0.2, "undecided", ()),
    ],
)
def test_a_no_needs_two_lines_that_fail_and_none_beside_them_that_holds(back, kept, answer, because):
    """The handle is one and does not move the report; the report's own vector does not move the choices, or
    the report does not need the handle; and neither of these two speaks for a shared state."""
    no = verdicts(evidence(recovered=0.05, kept=kept, back=back))[SHARED]
    assert no.answer == answer
    if because:
        lines = {x.name: x for x in no.lines}
        failed = [lines["the handle moves the report"]]
        failed += [x for x in no.lines if any(word in x.name for word in because)]
        assert no.reason == in_words(failed)
        assert no.would_change == "; ".join(x.otherwise for x in failed)


def test_a_no_needs_a_handle_that_is_one():
    """Where the handle does not move the choices, or the report's line is not told, nothing is refuted."""
    no = evidence(recovered=0.05, kept=0.98, back=0.05)
    assert verdicts(no)[SHARED].answer == "not supported"
    assert verdicts(of_method(no, "bridge.recovery.behavior", "trained", 0.1))[SHARED].answer == "undecided"
    assert (
        verdicts(of_method(no, "bridge.recovery.self_report", "trained", 0.25))[SHARED].answer == "undecided"
    )
    one_pole = changed(
        no, "bridge.recovery.self_report", lambda r: r.where["arm"] == "averse", value=0.8, ci=(0.7, 0.9)
    )
    assert verdicts(one_pole)[SHARED].answer == "undecided"


def test_another_vector_that_moves_choices_and_not_the_report_contradicts_a_yes():
    """Undecided, and the reason names the method; below half of the choices at either pole it says nothing,
    nor does one whose report is open."""
    name = "no other vector contradicts it"
    strong = of_method(evidence(), "bridge.recovery.behavior", "probe", 0.5)
    assert line(strong, name).state == "holds"
    against = of_method(strong, "bridge.recovery.self_report", "probe", 0.1)
    verdict = verdicts(against)[SHARED]
    assert (verdict.answer, line(against, name).state) == ("undecided", "fails")
    assert verdict.reason.startswith(f"{name} fails (probe moves choices and not the report: ")
    weak = of_method(against, "bridge.recovery.behavior", "probe", 0.49)
    assert verdicts(weak)[SHARED].answer == "supported"
    opened = of_method(strong, "bridge.recovery.self_report", "probe", 0.25)
    assert verdicts(opened)[SHARED].answer == "supported"
    alone = [r for r in evidence() if r.where.get("method") != "probe"]
    assert line(alone, name).state == "missing"


def test_another_vector_that_moves_both_contradicts_no_no():
    """What an adapter writes on choices holds what it writes there for the report, too."""
    no = evidence(recovered=0.05, kept=0.98, back=0.05)
    both = of_method(no, "bridge.recovery.behavior", "probe", 1.2)
    both = of_method(both, "bridge.recovery.self_report", "probe", 0.9)
    assert verdicts(both)[SHARED].answer == "not supported"


@pytest.mark.parametrize(
    ("value", "p", "state"),
    [(0.06, 0.01, "holds"), (0.06, 0.06, "open"), (0.04, 0.01, "open"), (-0.06, 0.01, "fails")],
)
def test_rivals_are_both_beaten(value, p, state):
    """Above 0 by interval and p; one alone leaves the line open, and a missing one leaves it missing."""
    name, result = "the handle beats its rivals", "bridge.rival.self_report"
    both = changed(evidence(), result, value=value, ci=(value - 0.05, value + 0.05), p=p)
    assert line(both, name).state == state
    single = changed(
        evidence(), result, lambda r: r.where["method"] == "neighbor_choices", value=value,
        ci=(value - 0.05, value + 0.05), p=p,
    )  # fmt: skip
    assert line(single, name).state == ("holds" if state == "holds" else "open")
    assert verdicts(single)[SHARED].answer == ("supported" if state == "holds" else "undecided")
    for method in ("shuffled_choices", "neighbor_choices"):
        fewer = [r for r in evidence() if r.where.get("method") != method]
        assert line(fewer, name).state == "missing"
        assert f"{method} was not measured" in line(fewer, name).detail
        assert verdicts(fewer)[SHARED].answer == "undecided"


def test_the_reports_own_vector_speaks_where_it_moves_the_report():
    """Above a quarter of the choices it holds, below it fails; without its own ceiling it stays open."""
    name = "the report's own vector moves the choices"
    assert line(evidence(back=0.31), name).state == "holds"
    assert line(evidence(back=0.25), name).state == "open"
    assert line(evidence(back=0.19), name).state == "fails"
    for back in (0.8, 0.05):
        dumb = of_method(evidence(back=back), "bridge.recovery.self_report", "trained_on_report", 0.2)
        assert line(dumb, name).state == "open"
        assert "it does not move the report" in line(dumb, name).detail
        assert verdicts(dumb)[SHARED].answer == "undecided"
    assert verdicts(evidence(back=0.05))[SHARED].answer == "undecided"


@pytest.mark.parametrize(
    ("result", "name"),
    [
        ("bridge.recovery.apart", "the handle moves the report"),
        ("bridge.necessity.self_report", "without it the report shrinks"),
        ("bridge.mediation.nie", "the report runs through it"),
    ],
)
def test_a_p_against_random_directions_rests_on_999(result, name):
    """With fewer draws, or none, the line is missing, and says how many there were."""
    for null, count in ((Null("random directions", 998, 0.0, -0.1, 0.1), 998), (None, 0)):
        few = changed(evidence(), result, lambda r: r.where["method"] != "trained_on_report", null=null)
        assert line(few, name).state == "missing"
        assert f"{count} random directions, fewer than 999" in line(few, name).detail
        assert verdicts(few)[SHARED].answer == "undecided"
    counter = changed(evidence(), "bridge.state_or_prompt.counter", null=None)
    assert verdicts(counter)[WORDS].lines[5].state == "missing"
    assert DRAWN.n == 999


def test_necessity_is_read_at_the_handles_own_place():
    """Of the handle alone; never of all positions, nor with its projection set to the base's."""
    name, result = "without it the report shrinks", "bridge.necessity.self_report"
    bare = without(evidence(), result)
    own = placed(result, 0.1, "trained", "slot")
    everywhere = placed(result, 0.0, "trained", "everywhere")
    restored = placed(result, 0.05, "trained", "slot", kind="restored")
    other = placed(result, 0.05, "mean_difference", "slot")
    for extra, value in (([other, everywhere], None), ([everywhere, restored, other, own], 0.1)):
        found = line([*bare, *extra], name)
        said = "it was not measured" if value is None else f"{result} {value:.3g}"
        assert found.detail.startswith(said)
        assert found.state == ("missing" if value is None else "holds")
    weak = changed([*bare, own], result, p=0.2)
    assert line(weak, name).state == "open"


def test_mediation_by_the_handles_direction():
    """Its own, and of the report alone."""
    bare = without(without(evidence(), "bridge.mediation.nie"), "bridge.mediation.proportion")

    def nie(how, value, kind="self_report"):
        return placed("bridge.mediation.nie", value, f"behavior:{how}", "slot", kind=kind)

    for extra, value in (
        ([nie("trained", 0.1, kind="behavior"), nie("mean_difference", 0.2)], None),
        ([nie("mean_difference", 0.2), nie("trained", 0.1)], 0.1),
    ):
        found = line([*bare, *extra], "the report runs through it")
        said = (
            "bridge.mediation.nie was not measured" if value is None else f"bridge.mediation.nie {value:.3g}"
        )
        assert found.detail.startswith(said)
        assert found.state == ("missing" if value is None else "holds")


@pytest.mark.parametrize(
    ("p", "share", "high", "state"),
    [
        (0.01, 0.1, 0.2, "holds"),
        (0.2, 0.1, 0.2, "fails"),
        (0.2, 0.2, 0.25, "open"),
        (0.2, 0.9, 0.95, "open"),
        (0.2, None, None, "open"),
    ],
)
def test_mediation_fails_by_its_share(p, share, high, state):
    """Where it does not hold and its share of the total effect lies below a quarter, at the same place."""
    results = changed(evidence(), "bridge.mediation.nie", p=p)
    elsewhere = placed("bridge.mediation.proportion", 0.05, "behavior:trained", "all", kind="behavior")
    results = [*without(results, "bridge.mediation.proportion"), elsewhere]
    if share is not None:
        at = placed("bridge.mediation.proportion", share, "behavior:trained", "slot", kind="self_report")
        results.append(dataclasses.replace(at, ci=(share - 0.05, high), where=dict(at.where)))
    found = line(results, "the report runs through it")
    assert found.state == state
    assert found.detail.endswith("; share 0.10 below 0.25") == (state == "fails")
    unknown = changed(results, "bridge.mediation.proportion", ci=None, ci_method="none: total may be 0")
    assert line(unknown, found.name).state == ("holds" if state == "holds" else "open")


def test_negative_mediation_is_no_mediation():
    """An indirect effect below 0 stays open: no share says more."""
    results = changed(evidence(), "bridge.mediation.nie", value=-0.3, ci=(-0.4, -0.2))
    assert line(results, "the report runs through it").state == "open"


def test_layers_by_adapters_on_all_blocks():
    """They are read before any other; the line needs its p, and one that fails is a no by itself."""
    name = "bridge.attribution.observed"
    results = [*evidence(), one(name, 0.1, 0.05, p=0.001, kind="self_report", variant="all")]
    no = verdicts(results)[OBSERVE]
    assert (no.answer, no.lines[3].state) == ("not supported", "fails")
    assert (no.reason, no.would_change) == (in_words(no.lines[3:]), no.lines[3].otherwise)
    weak = verdicts(changed(evidence(), name, p=0.2))[OBSERVE]
    assert (weak.answer, weak.reason) == ("undecided", in_words(weak.lines[3:]))
    other = verdicts(changed(without(evidence(), name), "none"))[OBSERVE]
    assert other.lines[3].state == "missing"
    behavior = [*without(evidence(), name), one(name, 0.9, 0.05, p=0.001, kind="behavior", variant="all")]
    assert verdicts(behavior)[OBSERVE].lines[3].detail == "it was not measured"
    block = [*without(evidence(), name), one(name, 0.98, 0.01, p=0.001, kind="self_report", layer=2)]
    line = verdicts(block)[OBSERVE].lines[3]
    assert line.detail.startswith(f"{name} 0.98 is of adapters on block 2 alone")


@pytest.mark.parametrize(
    ("read", "bag", "counter", "answer", "because"),
    [
        (0.9, 0.05, 0.3, "supported", (0,)),
        (0.05, 0.9, 0.3, "supported", (1,)),
        (0.9, 0.9, 0.3, "supported", (0, 1)),
        (0.05, 0.05, 0.3, "not supported", (0, 1, 2)),
        (0.05, 0.05, 0.0, "undecided", (2,)),
        (0.5, 0.05, 0.3, "undecided", (0,)),
        (0.05, 0.5, 0.3, "undecided", (1,)),
        (0.5, 0.05, 0.0, "undecided", (0, 2)),
    ],
)
def test_words(read, bag, counter, answer, because):
    """Either baseline above half says yes; both below it and a state that moves the report say no."""
    results = evidence()
    for name, value in (
        ("bridge.words.in_context", read),
        ("bridge.words.bag", bag),
        ("bridge.state_or_prompt.counter", counter),
    ):
        results = changed(results, name, value=value, ci=(value - 0.05, value + 0.05))
    results.append(one("bridge.words.bag", bag - 0.2, 0.05, method="t over seeds", kind="smaller"))
    words = verdicts(results)[WORDS]
    decided = [words.lines[3 + k] for k in because]
    assert (words.answer, words.reason, words.p) == (answer, in_words(decided), None)
    flip = [closest(decided)] if answer == "not supported" else decided
    assert words.would_change == "; ".join(line.otherwise for line in flip)


def test_a_state_against_the_prompt_needs_its_p():
    """Without a small p the counter line does not speak for the state."""
    weak = verdicts(changed(evidence(), "bridge.state_or_prompt.counter", p=0.2))[WORDS]
    assert (weak.answer, weak.lines[5].state) == ("undecided", "open")
    none = verdicts(without(evidence(), "bridge.words.bag"))[WORDS]
    assert (none.answer, none.lines[4].state) == ("undecided", "missing")


def test_no_results_say_nothing_of_an_unknown_behavior():
    """Everything is missing, and every verdict undecided."""
    for verdict in verdicts([]):
        assert (verdict.answer, verdict.behavior, verdict.p) == ("undecided", "unknown", None)
        assert isinstance(verdict.to_result(), Result)
        assert verdict.to_result().value == 0
