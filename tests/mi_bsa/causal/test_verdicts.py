"""Verdicts: each rule of decision 0006 answers as written; what is missing or thin supports nothing."""

import dataclasses

import pytest
from bridge_evidence import answers, evidence, one, without

from mi_bsa.causal.verdict import verdicts
from mi_bsa.core.errors import ResultError


def test_where_every_line_holds_the_state_is_shared_and_the_words_are_not_enough():
    """The full evidence supports both conjectures and refutes the third."""
    found = answers(evidence())
    assert found == {
        "shared_state": "supported",
        "later_layers_observe": "supported",
        "word_association": "not supported",
    }


@pytest.mark.parametrize(
    "name",
    [
        "bridge.transfer.over_neutral",
        "bridge.transfer.over_wrong_behavior",
        "bridge.recovery.self_report",
        "bridge.recovery.behavior",
        "bridge.recovery.apart",
        "bridge.mediation.nie",
        "bridge.rival.self_report",
        "bridge.necessity.self_report",
        "self_report.validity",
        "behavior.effect",
    ],
)
def test_what_was_not_measured_supports_nothing(name):
    """Without any one of its lines, the conjecture is undecided, and the reason names what is missing."""
    verdict = verdicts(without(evidence(), name))[0]
    assert verdict.answer == "undecided"
    assert "measur" in verdict.reason or "no bridge" in verdict.reason


def test_a_report_that_does_not_move_reads_no_state_and_follows_the_words():
    """No effect of the report decides all three conjectures, whatever else was measured."""
    assert answers(evidence(report=0.0)) == {
        "shared_state": "not supported",
        "later_layers_observe": "not supported",
        "word_association": "supported",
    }


def test_an_unreadable_report_decides_nothing():
    """A validity index below the mark leaves all verdicts undecided."""
    results = without(evidence(), "self_report.validity")
    results.append(one("self_report.validity", 0.3, 0.05, kind="index", seeds=()))
    assert set(answers(results).values()) == {"undecided"}


def test_a_component_of_validity_that_was_not_measured_leaves_the_report_unread():
    """The index alone is not enough."""
    results = without(evidence(), "self_report.validity")
    results.append(one("self_report.validity", 0.9, 0.05, kind="index", seeds=(), notes="not measured: flip"))
    assert answers(results)["shared_state"] == "undecided"


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"recovered": 0.05, "kept": 0.98, "back": 0.05}, "not supported"),
        ({"recovered": 0.05, "kept": 0.98}, "undecided"),
        ({"recovered": 0.05}, "undecided"),
        ({"kept": 0.98}, "undecided"),
        ({"recovered": 0.27}, "undecided"),
        ({"p": 0.2}, "undecided"),
        ({"p": 0.03}, "supported"),
        ({"p": 0.03, "observed": 0.05}, "undecided"),
    ],
)
def test_causal_lines_decide_together(change, answer):
    """Causal lines must fail together for a no; one alone, a wide interval, or Holm's p leaves it open."""
    assert answers(evidence(**change))["shared_state"] == answer


def test_layers_follow_the_observed_share():
    """An adapter that writes the answer itself is observed by nobody."""
    assert answers(evidence(observed=0.05))["later_layers_observe"] == "not supported"
    assert answers(evidence(observed=0.26))["later_layers_observe"] == "undecided"


@pytest.mark.parametrize(
    ("everywhere", "answer"), [(0.9, "supported"), (0.05, "not supported"), (None, "undecided")]
)
def test_adapters_on_one_block_say_nothing_of_layers(everywhere, answer):
    """By construction they are observed: adapters on all layers decide, and without those nothing does."""
    name = "bridge.attribution.observed"
    results = [*without(evidence(), name), one(name, 1.0, 0.01, p=0.001, kind="self_report", layer=0)]
    if everywhere is not None:
        results.append(one(name, everywhere, 0.05, p=0.001, kind="self_report", variant="all"))
    verdict = verdicts(results)[1]
    assert verdict.answer == answer
    assert ("by construction" in verdict.reason) == (everywhere is None)


def test_words_that_do_as_much_as_the_finetune_are_told():
    """A baseline above half of the effect supports the deflationary conjecture."""
    assert answers(evidence(words=0.7))["word_association"] == "supported"
    assert answers(evidence(words=0.5))["word_association"] == "undecided"


def test_few_seeds_do_not_count():
    """Two seeds, or an exact sign flip over five, hold no line."""
    few = [
        dataclasses.replace(r, seeds=(0, 1), where=dict(r.where)) if r.name == "behavior.effect" else r
        for r in evidence()
    ]
    flipped = [
        dataclasses.replace(r, ci_method="exact sign flip", where=dict(r.where))
        if r.name == "self_report.effect"
        else r
        for r in evidence()
    ]
    assert answers(few)["shared_state"] == answers(flipped)["shared_state"] == "undecided"


def test_every_verdict_says_what_would_have_changed_it():
    """Reason and counterfactual are never empty, and the result carries both."""
    for results in (evidence(), evidence(report=0.0), evidence(recovered=0.3), []):
        for verdict in verdicts(results):
            assert verdict.reason
            assert verdict.would_change
            record = verdict.to_result()
            assert verdict.answer in record.notes
            assert record.value == {"supported": 1, "undecided": 0, "not supported": -1}[verdict.answer]


def test_a_verdict_is_about_one_behavior():
    """Results of two behaviors are refused."""
    other = [dataclasses.replace(r, where={**r.where, "behavior": "patience"}) for r in evidence()]
    with pytest.raises(ResultError, match="one behavior"):
        verdicts([*evidence(), *other])
