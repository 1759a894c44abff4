"""The lines that rest on the handle, as decisions 0006 and 0023 have them: what holds, fails, refutes."""

import dataclasses

import pytest
from bridge_evidence import DRAWN, changed, evidence, in_words, placed, without

from mi_bsa.causal.verdict import verdicts
from mi_bsa.core.results import Null

SHARED, WORDS = 0, 2
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
        (0.05, 0.77, "not supported", ("report's own",)),
        (0.23, 0.98, "not supported", ("shrinks",)),
        (0.23, 0.77, "undecided", ()),
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
    """A quarter of the choices, and more than none, holds; an interval below a quarter fails; without its own
    ceiling it stays open.
    """
    name = "the report's own vector moves the choices"
    assert line(evidence(back=0.26), name).state == "holds"
    assert line(evidence(back=0.24), name).state == "open"
    assert line(evidence(back=0.19), name).state == "fails"
    wide = of_method(evidence(), "bridge.recovery.behavior", "trained_on_report", 0.4, half=0.5)
    assert line(wide, name).state == "open"
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


def test_a_report_that_is_open_by_its_poles_is_open_without_a_null():
    """What the poles do not hold no p could give; what they hold is missing where none was drawn."""
    name, result = "the handle moves the report", "bridge.recovery.apart"
    for recovered, state in ((0.25, "open"), (0.05, "fails"), (0.8, "missing")):
        bare = line(without(evidence(recovered=recovered), result), name)
        assert (bare.state, bare.detail[-len("apart: it was not measured") :]) == (
            state,
            "apart: it was not measured",
        )


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
