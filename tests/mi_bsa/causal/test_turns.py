"""Turn by turn: turns of one conversation are compared, reports are forks, steering is at its place."""

import numpy as np
import pytest

import activations
from mi_bsa import behaviors
from mi_bsa.asking.readouts import Readout
from mi_bsa.causal.introspection.readers import trial
from mi_bsa.causal.material import Material
from mi_bsa.causal.places import Place
from mi_bsa.causal.turns.conversations import held, scales
from mi_bsa.causal.turns.correlated import begun, by_turn, isotonic_r2, rank_correlation, untrended
from mi_bsa.causal.turns.options import TurnsOptions
from mi_bsa.core.config import ConfigError, parse
from mi_bsa.core.errors import BridgeError
from mi_bsa.studies.behavior.config import BehaviorConfig

PLACE = Place("resid_post.0", "before-3")


@pytest.fixture(scope="module")
def material() -> Material:
    """Four shipped adapters of risk and few items."""
    arms = {arm: tuple(f"{arm}-{seed}" for seed in (0, 1)) for arm in ("seeking", "averse")}
    names = [name for names in arms.values() for name in names]
    model = activations.load("embedded", adapter={name: f"zoo:risk-{name}" for name in names})
    sets = behaviors.get("risk", "embedded").study_sets(choices=16, others=24)
    return Material(model, "risk", (0, 1), arms, sets, items=12)


def test_only_turns_of_one_conversation_are_compared():
    """Conversations that differ as wholes correlate no turns; within them a rising curve is found."""
    rng = np.random.default_rng(0)
    level = np.linspace(-5, 5, 12)[:, None]
    x, y = rng.normal(size=(2, 12, 10))
    assert abs(rank_correlation(x + level, y + level).mean()) < 0.2
    assert isotonic_r2(x + level, y + level) < 0.05
    assert rank_correlation(x, np.exp(x)).tolist() == pytest.approx([1.0] * 12)
    assert isotonic_r2(x, x + 0.1 * y) > 0.8
    trend = 3.0 * np.arange(10)  # of all conversations alike: taken out, it correlates nothing
    assert rank_correlation(x + trend, y + trend).mean() > 0.9
    assert abs(rank_correlation(untrended(x + trend), untrended(y + trend)).mean()) < 0.2
    assert rank_correlation(x, np.ones_like(x)).tolist() == [0.0] * 12
    assert isotonic_r2(x, np.ones_like(x)) == 0.0


def test_a_report_is_a_fork_and_choices_stay(material):
    """Every turn adds one choice and its answer; the number is asked beside; the seed decides it all."""
    direction = np.eye(material.model.d_model)[0]
    said = held(material, "seeking-0", ("resid_post.2", direction), conversations=3, turns=4, seed=(1,))
    again = held(material, "seeking-0", ("resid_post.2", direction), conversations=3, turns=4, seed=(1,))
    assert said.report.shape == (3, 4)
    np.testing.assert_array_equal(said.report, again.report)
    assert set(said.acts.ravel()) <= {0.0, 1.0}
    assert ((said.report >= 0) & (said.report <= 1)).all()
    assert not said.dose.any()
    # the first report of a conversation is what the model says after one choice of its own, asked alone
    other = held(material, "averse-0", ("resid_post.2", direction), conversations=3, turns=4, seed=(1,))
    assert said.acts.mean() > other.acts.mean()


def test_a_place_is_before_the_first_question(material):
    """Steering stays at the persona line, however many turns have gone; the slot moves along."""
    choice = material.of("behavior", "test").items[0]
    asked = scales(material)[0]
    at = []
    for turns in (0, 3):
        item = trial(asked, [(choice, "A")] * turns, f"{turns}")
        (row,) = Readout.of(material.model, [item], name="one").rows
        at.append(begun(row, "before-3").tolist())
        assert begun(row, "slot").tolist() == [len(row) - 1]
    assert at[0] == at[1]


def test_a_dose_reaches_the_report_and_doses_are_drawn(material):
    """A large push at the place changes what is said at that turn; the grid is used."""
    doses = np.array([[0, 1, 0, 1]] * 3)
    rng = np.random.default_rng(0)
    push = 30.0 * rng.normal(size=material.model.d_model).astype(np.float32)

    def steered(dose, readout):
        (row,) = readout.rows
        given = (dose * push, "resid_post.0")
        return activations.edit(
            material.model, activations.add(given, units="raw", positions=begun(row, "before-3"))
        )

    direction = np.eye(material.model.d_model)[0]
    shape = {"conversations": 3, "turns": 4, "seed": (2,)}
    plain = held(material, "base", ("resid_post.2", direction), **shape)
    moved = held(
        material, "base", ("resid_post.2", direction), doses, grid=(0.0, 1.0), steered=steered, **shape
    )
    assert moved.dose.tolist() == [[0.0, 1.0, 0.0, 1.0]] * 3
    np.testing.assert_allclose(moved.report[:, 0], plain.report[:, 0], atol=1e-6)
    assert np.abs(moved.report[:, 1] - plain.report[:, 1]).min() > 1e-5  # not by rounding


@pytest.mark.slow
def test_the_results_have_their_nulls(material):
    """Four quantities for runs and for the steered base, each with n; the short form takes seconds."""
    options = TurnsOptions(turns=4, conversations=3, random=10, shuffles=99)
    found = by_turn(material, PLACE, options)
    names = {(r.name, r.where["method"]) for r in found}
    assert names == {
        *(
            (f"turns.{what}", who)
            for what in ("correlation", "correlation_untrended", "isotonic_r2", "spread")
            for who in ("runs", "steered")
        ),
        ("turns.dose", "steered"),
        ("turns.correlation", "random"),
    }
    for one in found:
        if one.name == "turns.correlation" and one.where["method"] != "random":
            assert one.null is not None
            assert one.p is not None
            assert "AUROC" in one.notes


def test_what_cannot_be_asked_turn_by_turn(material):
    """No question with a number, too few doses; and a study without turns says nothing of them."""
    sets = {
        **material.sets,
        "report-test": [i for i in material.sets["report-test"] if i.labels["kind"] == "word"],
    }
    none = Material(material.model, "risk", (0, 1), material.arms, sets, items=12)
    with pytest.raises(BridgeError, match="kind 'scale'"):
        scales(none)
    with pytest.raises(ConfigError, match="three or more"):
        parse({"doses": [0.0, 1.0]}, TurnsOptions)
    assert "turns" not in BehaviorConfig(behavior="risk").model_dump()
    assert BehaviorConfig(behavior="risk", turns=TurnsOptions()).turns is not None
