"""The tables of decision 0006, row by row: which line decides, what it says, and which p is adjusted."""

import pytest
from bridge_evidence import answers, changed, closest, evidence, in_words, one, states, without

from mi_bsa.causal.verdict import CONJECTURES, verdicts
from mi_bsa.core.results import Result

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
        ("bridge.necessity.self_report", 8, 0.76, 0.02, "open"),
        ("bridge.necessity.self_report", 8, 0.74, 0.02, "holds"),
        ("bridge.necessity.self_report", 8, 0.7, 0.4, "open"),
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
