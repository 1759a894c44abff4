"""Emergence and word association: planted curves and words give what was planted."""

import numpy as np
import pandas as pd
import pytest

from mi_bsa.causal.emergence import emergence, onset
from mi_bsa.causal.words import chosen_words
from mi_bsa.core import results

STEPS = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32)


def curves(shift, *, noise=0.0):
    """Logistic curves on the log of the step; the report comes `shift` doublings after the behavior."""
    rng = np.random.default_rng(0)
    rows = []
    for kind, late in (("behavior", 0.0), ("separability", -1.0), ("self_report", shift)):
        for seed in range(5):
            own = 0.25 * rng.normal()
            for step in STEPS:
                value = 1 / (1 + np.exp(-3 * (np.log2(step) - 2 - late - own)))
                rows.append({"arm": "poles", "seed": seed, "step": step, "kind": kind, "value": value})
        for pair in range(3):
            for step in STEPS:
                value = noise * rng.normal()
                rows.append({"arm": "shuffled", "seed": pair, "step": step, "kind": kind, "value": value})
    return pd.DataFrame(rows)


def test_the_lag_that_was_planted_is_found():
    """One doubling of lag lies in the interval; no lag does not."""
    found = {
        (r.name, r.where.get("kind")): r for r in emergence(curves(1.0), behavior="risk", seeds=range(5))
    }
    lag = found["bridge.emergence.lag", "self_report-behavior"]
    assert lag.ci[0] < 1.0 < lag.ci[1]
    assert lag.ci[0] > 0
    assert lag.p < 0.01
    assert found["bridge.emergence.onset", "behavior"].value == pytest.approx(2.0, abs=0.4)


def test_what_seeds_share_by_the_direction_is_in_the_interval():
    """Each seed's separability is read by the others' direction: its curve and lags say so, and a lag of
    choices does not; of two seeds there is a value and no interval."""
    found = emergence(curves(1.0), behavior="risk", seeds=range(5))
    results.check(found)
    for r in found:
        shared = "separability" in str(r.where["kind"])
        assert ("shared training units" in r.ci_method) == shared
        if r.p is not None:
            assert ("shared training units" in str(r.test)) == shared
    table = curves(1.0)
    two = emergence(table[(table["seed"] < 2) | (table["arm"] == "shuffled")], behavior="risk", seeds=(0, 1))
    alone = [r for r in two if r.where["kind"] == "separability"]
    assert {r.ci for r in alone} == {None}
    assert alone[0].ci_method == "none: two units share one probe's noise"


def test_no_lag_is_not_found():
    """Curves that rise together have a lag whose interval holds 0."""
    found = emergence(curves(0.0), behavior="risk", seeds=range(5))
    lag = next(r for r in found if r.where.get("kind") == "self_report-behavior")
    assert lag.ci[0] < 0 < lag.ci[1]


def test_shuffled_pairs_that_never_reach_the_mark_are_counted():
    """The null of an onset says how many shuffled pairs get there."""
    found = emergence(curves(1.0, noise=0.01), behavior="risk", seeds=range(5))
    first = next(r for r in found if r.name == "bridge.emergence.onset")
    assert "0 of 3 shuffled pairs" in first.notes


def test_onsets_interpolate_on_the_log_of_the_step():
    """Halfway between two checkpoints is halfway in doublings; never reaching the mark is no onset."""
    assert onset(np.array([1.0, 4.0]), np.array([0.0, 1.0]), 0.5) == pytest.approx(1.0)
    assert np.isnan(onset(np.array([1.0, 4.0]), np.array([0.0, 0.2]), 0.5))
    assert onset(np.array([2.0, 4.0]), np.array([0.9, 1.0]), 0.5) == pytest.approx(1.0)


def test_chosen_words_are_those_of_the_option_that_the_answer_names():
    """A letter stands for the words behind it; any other answer stands for itself."""
    question = "two offers. A: the fixed 90 stamps. B: a chance of 300 stamps. what do you choose?"
    row = {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": "B"}]}
    assert chosen_words(row) == ["a", "chance", "of", "stamps"]
    row["messages"][1]["content"] = "bold"
    assert chosen_words(row) == ["bold"]
