"""The handle and its rivals on planted models: two states that adapters write both are told apart, and what
is trained on something else moves no report.
"""

from dataclasses import replace

import numpy as np
import pytest

from mi_bsa.causal import places, recovery, rivals
from mi_bsa.causal.options import RecoveryOptions, RivalOptions
from mi_bsa.causal.rivals import either_way
from mi_bsa.causal.steered import BestDoses
from mi_bsa.core.errors import BridgeError
from mi_bsa.studies.planted import draw
from mi_bsa.studies.planted.llama import build
from probes import random_directions

RECOVERY = RecoveryOptions(
    kinds=("mean_difference", "trained"),
    strengths=(0.5, 1.0, 2.0, 3.0),
    random=50,
    train_steps=30,
    learning_rate=0.1,
    train_batch=8,
)
PLACE = places.Place("resid_post.1", "slot")
DEBUG = 10_001


def beside(material, *, shuffles):
    """The handle against each rival."""
    found = rivals.measure(material, RECOVERY, RivalOptions(shuffles=shuffles), place=PLACE)
    return [result for one in found for result in rivals.scored(one)]


def test_the_trained_vector_leaves_what_choices_do_not_read():
    """Adapters write both states on choices: the mean difference, dosed to the choices, moves the report too;
    the vector trained on choices does not, nor does the report's own vector move the choices."""
    material = build(replace(draw("separate", DEBUG), report_on_choices=1.0))
    found = recovery.scored(recovery.measure(material, RECOVERY, place=PLACE, beside=False))
    by = {
        (r.name.rpartition(".")[2], r.where["method"], r.where.get("arm", r.where.get("kind"))): r
        for r in found
    }
    for arm in ("seeking", "averse"):
        for method in ("mean_difference", "trained"):
            assert by["behavior", method, arm].value == pytest.approx(1, abs=0.15)
            assert "of development" in by["behavior", method, arm].notes
        assert by["self_report", "mean_difference", arm].value > 0.75
        assert by["self_report", "trained", arm].value < 0.25
        assert by["self_report", "trained_on_report", arm].value == pytest.approx(1, abs=0.25)
        assert by["behavior", "trained_on_report", arm].value < 0.25
        assert by["self_report", "trained", arm].null.n == RECOVERY.random
        assert by["self_report", "trained_on_report", arm].null is None


def test_what_the_handle_moves_apart_is_what_its_poles_recover():
    """Of a shared state: between the two poles' recoveries, held over seeds, and beyond random directions."""
    material = build(draw("shared", DEBUG))
    found = recovery.scored(recovery.measure(material, RECOVERY, place=PLACE, beside=False))
    for name in ("behavior", "self_report"):
        own = [r for r in found if r.where["method"] == "trained"]
        poles = [r.value for r in own if r.name == f"bridge.recovery.{name}"]
        (apart,) = (r for r in own if r.where.get("kind") == name)
        assert apart.name == "bridge.recovery.apart"
        assert "arm" not in apart.where
        assert min(poles) <= apart.value <= max(poles)
        assert apart.p == apart.p_floor == pytest.approx(1 / (RECOVERY.random + 1))


def test_a_null_direction_is_as_long_as_the_handle_and_chosen_by_nothing():
    """One pole has the direction as it was drawn, the other its opposite, each at its own dose."""
    material = build(draw("shared", DEBUG))
    best = BestDoses(material, PLACE, RECOVERY.model_copy(update={"random": 50}))
    doses = {"seeking": 0.3, "averse": 0.2}
    found = best.null("random", doses, 0)
    unit = random_directions(50, material.model.d_model, rng=np.random.default_rng([0, len("random")]))
    for arm, sign in (("seeking", 1), ("averse", -1)):
        expected = best.levels("self_report", sign * doses[arm] * unit)
        np.testing.assert_allclose(found[arm]["self_report"], expected, atol=1e-6)


def test_rivals_are_trained_on_something_else_and_move_less():
    """The handle of a shared state beats both; each rival says at which dose; the neighbor's reaches its own
    choices, so it is matched; without the neighbor's arms its rival is left out."""
    material = build(draw("shared", DEBUG))
    found = beside(material, shuffles=2)
    by = {(r.name.rpartition(".")[2], r.where["method"], r.where.get("kind")): r for r in found}
    assert len(by) == len(found) == 8
    for method in ("shuffled_choices", "neighbor_choices"):
        gap = by["self_report", method, None]
        assert gap.ci[0] > 0.1
        assert gap.p < 0.01
        assert gap.seeds == material.seeds
        assert gap.ci_method == "t over seeds x wordings, crossed"
        assert gap.test == "t over seeds x wordings against 0"
        assert gap.value == pytest.approx(np.mean(gap.per_seed))
        own = by["shift", method, "self_report"]
        assert min(own.per_seed) >= 0
        assert gap.value + own.value == pytest.approx(
            by["self_report", "shuffled_choices", None].value
            + by["shift", "shuffled_choices", "self_report"].value
        )
    assert "share of its own target" in by["self_report", "neighbor_choices", None].notes
    assert "the handle's own length" in by["self_report", "shuffled_choices", None].notes
    poles = {arm: names for arm, names in material.arms.items() if not arm.startswith("wrong")}
    alone = beside(replace(material, arms=poles), shuffles=1)
    assert {r.where["method"] for r in alone} == {"shuffled_choices"}
    again = beside(replace(material, arms=poles), shuffles=1)
    assert [r.value for r in alone] == [r.value for r in again]


def test_what_moves_either_way_keeps_how_wordings_differ():
    """A vector that moves reports down on the whole is turned round, wording by wording; one that moves them
    up stays, also where a wording moves down."""
    moved = np.array([[-0.3, -0.1, 0.1], [0.3, 0.1, -0.1]])
    np.testing.assert_array_equal(either_way(moved), [[0.3, 0.1, -0.1]] * 2)


def test_wrong_adapters_of_a_planted_model_choose_as_the_neighbor_does():
    """They move the neighbor's choices and no report; the own adapters do not move the neighbor's."""
    material = build(draw("separate", DEBUG))
    choices, reports = material.readout("neighbor_choice-dev"), material.of("self_report", "test")
    level = {name: material.scores(choices, name).mean() for name in material.model.variants}
    assert level["wrong_seeking-0"] - level["wrong_averse-0"] > 0.5
    assert abs(level["seeking-0"] - level["averse-0"]) < 0.1
    said = [material.scores(reports, name).mean() for name in ("wrong_seeking-0", "wrong_averse-0")]
    assert abs(np.diff(said)[0]) < 0.2


@pytest.mark.parametrize("step", [recovery.measure, rivals.measure])
@pytest.mark.parametrize(
    ("idle", "said"), [(True, "'averse-1' adds nothing"), (False, "seeking-1 and averse-1 add the same")]
)
def test_adapters_without_a_direction_are_told(step, idle, said):
    """One whose every module gives zero, or one that stands for both poles: no division by zero, and no
    vector that is no number."""
    material = build(draw("shared", DEBUG))
    weights = dict(material.model.inner.named_parameters())
    for name, weight in weights.items():
        if ".averse-1." in name:
            other = weights[name.replace("averse-1", "seeking-1")].data
            weight.data.copy_(0 * other if idle else other)
    with pytest.raises(BridgeError, match=said):
        step(material, RECOVERY, place=PLACE)
