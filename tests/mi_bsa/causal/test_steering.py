"""Steering: strength 0 is an identity, batches are edits, the random null holds its rate, a planted direction
is found, splits are kept.
"""

import numpy as np
import pytest
import torch
from tiny_items import items, neutral

import activations
import probes
from activations import testing
from mi_bsa.asking import likelihood
from mi_bsa.asking.asking import ask
from mi_bsa.asking.readouts import Readout
from mi_bsa.causal import steering
from mi_bsa.causal.coherence import strength_at
from mi_bsa.causal.doses import Doses, dose_in_words, random_differences
from mi_bsa.core.errors import ItemError, SteeringError
from probes.statistics import permutation_p


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return activations.load(testing.build(tmp_path_factory.mktemp("steering"), width=32, n_layers=3))


def direction(layer, seed=0, scale=4.0):
    return probes.Direction(np.random.default_rng(seed).normal(size=32), f"resid_post.{layer}", scale=scale)


def push(model, readout):
    """A direction that a gradient shows to move the read-out: the planted truth."""

    head = model.inner.lm_head.weight.detach()
    vector = (head[readout.tokens[0, 0]] - head[readout.tokens[0, 1]]).numpy()
    return probes.Direction(
        vector * model.anatomy.decoder.norm.weight.detach().numpy(), "resid_post.2", scale=4.0
    )


def test_doses_are_edits_in_typical_norms(model):
    """Scores of a vector at several doses, run as one batch, are those of `ask` under one edit after the
    other."""
    readout, one = Readout.of(model, items("x", 7), name="behavior"), direction(1)
    found = Doses(model, one.site, 4.0, batch_tokens=300).scores(readout, one.vector[None], (0.5, -2.0))
    for n, dose in enumerate((0.5, -2.0)):
        with activations.edit(model, activations.add(one, scale=dose)):
            slow = ask(model, readout.items)["score"].to_numpy()
        np.testing.assert_allclose(found[n, 0], slow, atol=1e-6)
    assert dose_in_words(np.array([2.0, 4.0]), 4.0) == "dose 0.75 typical norms of the site (length 3)"


def test_strength_zero_is_an_identity(model, monkeypatch):
    """At strength 0 every item scores what it scores without steering, bit for bit where questions are asked
    alike: under an edit a row each, else as one tree, which rounds otherwise.
    """
    readout = Readout.of(model, items("x", 7), name="behavior")
    with activations.edit(model, activations.add(direction(1), scale=0.0)):
        steered = ask(model, readout.items)["score"]
    np.testing.assert_allclose(steered, ask(model, readout.items)["score"], atol=1e-6)
    with monkeypatch.context() as patched:
        patched.setattr(likelihood, "why_apart", lambda _: "as under an edit")
        assert (steered == ask(model, readout.items)["score"]).all()
    found = steering.shifts(model, direction(1), readout, [0.0, 1.0])
    np.testing.assert_allclose(found[0], steered, atol=1e-5)
    assert np.abs(found[1] - found[0]).max() > 1e-3


def run(model, directions, **changes):
    split = {
        "development": {"behavior": items("a", 10), "self_report": items("b", 10)},
        "report": {"behavior": items("c", 10), "self_report": items("d", 10)},
    }
    given = {
        **split,
        "neutral": neutral(4),
        "strengths": [-1.0, 0.5, 1.0],
        "seed": 0,
        "max_kl": 20.0,
        **changes,
    }
    return steering.steer(model, directions, **given)


def test_a_planted_direction_is_chosen_and_beats_its_null(model):
    """A direction that points at the answer is chosen over one that does not, moves both read-outs, and has
    the least p.
    """
    planted = push(model, Readout.of(model, items("x", 2), name="behavior"))
    found = run(model, [direction(0), planted], others={"wrong": [direction(0, 1), direction(2, 2)]})
    assert found.chosen.site == "resid_post.2"
    assert found.p["behavior"] <= 0.01
    at = found.curve[found.curve["strength"] == found.strength].set_index("read_out")
    assert at.loc["behavior", "shift"] * found.strength > 0.2
    assert len(found.test["behavior"]) == 999
    assert found.band["behavior"].shape == (70, 4)
    results = found.results(behavior="risk")
    assert {r.name for r in results} == {"steer.level", "steer.effect"}
    assert len({r.key for r in results}) == len(results)
    assert (found.curve[found.curve["strength"] == 0]["shift"] == 0).all()
    assert (found.curve[found.curve["strength"] == 0]["kl"].abs() < 1e-5).all()


def model_logits(model, readout, n):
    """Option logits of one item by a plain pass, at its place among all."""
    batch = model.collate([readout.rows[n]])
    with torch.no_grad():
        logits = model.unembed(model.forward(batch))[0, -1]
    found = np.zeros((1, *readout.tokens.shape))
    found[0, n] = logits[torch.from_numpy(readout.tokens[n])].numpy()
    return found


def test_at_the_slot_alone_is_an_edit_there_and_costs_what_it_costs_there(model):
    """Doses at the answer slot are those of `ask` under an edit at the slot; the cost is the KL of that one
    token, which the mean over a text would hide; curve and null are asked alike.
    """
    readout, one = Readout.of(model, items("x", 5), name="behavior"), direction(1)
    at = steering.SlotDoses(model, one.site, 4.0)
    with activations.edit(model, activations.add(one, scale=1.0, positions=-1)):
        slow = [readout.score(model_logits(model, readout, n))[..., n] for n in range(5)]
    np.testing.assert_allclose(at.scores(readout, one.vector[None])[0, 0], np.ravel(slow), atol=1e-5)
    texts = model.rows(neutral(4))
    with torch.no_grad():
        cost = []
        for row in texts:
            batch = model.collate([row])
            plain = model.unembed(model.forward(batch))[0, -1].log_softmax(-1)
            with activations.edit(model, activations.add(one, scale=1.0, positions=-1)):
                moved = model.unembed(model.forward(batch))[0, -1].log_softmax(-1)
            cost.append(float((plain.exp() * (plain - moved)).sum()))
    assert at.costs(texts, one.vector[None])[0, 0] == pytest.approx(np.mean(cost), rel=1e-3)
    whole, here = run(model, [one]), run(model, [one], positions="slot")
    assert not np.allclose(whole.curve["shift"], here.curve["shift"])
    told = here.results(behavior="risk")
    assert {r.where["position"] for r in told} == {"slot"}
    assert all("at the answer slot" in r.notes for r in told if r.name == "steer.level")
    assert not any("position" in r.where for r in whole.results(behavior="risk"))
    level = here.curve.query("read_out == 'behavior' and strength == @here.strength")["shift"].iloc[0]
    late = Readout.of(model, items("c", 10), name="behavior")
    own = at.levels(late, one.vector[None], (0.0, here.strength))[0]
    assert level == pytest.approx(own[1] - own[0], abs=1e-5)


def test_the_random_null_holds_its_rate(model):
    """A random direction's p is below .05 about one time in twenty."""
    readout = Readout.of(model, items("x", 10), name="behavior")
    rng = np.random.default_rng(5)
    drawn = probes.random_directions(700, 32, rng=rng)
    level = Doses(model, "resid_post.1", 4.0).levels(readout, drawn, (0.0, 1.0))
    shift = level[:, 1] - level[:, 0]
    p = permutation_p(shift[:200], shift[200:], alternative="two-sided")
    assert 0.01 <= (p <= 0.05).mean() <= 0.10


def test_random_differences_are_between_scenarios(model):
    """What differs within scenarios alone is in no draw; scenarios of two read-outs are not one."""
    rng = np.random.default_rng(0)
    readouts = [Readout.of(model, items(tag, 10), name=tag) for tag in "ab"]
    values = [rng.normal(size=(10, 20)) for _ in readouts]
    for value in values:
        value[:, 0] = np.repeat([1.0, -1.0], 5)  # items n and n + 5 are of one scenario
    drawn = random_differences(30, readouts, values, rng=rng)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1)
    np.testing.assert_allclose(drawn[:, 0], 0, atol=1e-12)
    with pytest.raises(probes.DirectionError, match="at least 4"):
        random_differences(5, [Readout.of(model, items("a", 3), name="a")], [values[0][:3]], rng=rng)


def test_matched_strength_is_found_between_the_doses():
    """The strength at a cost is interpolated, and absent where no dose costs that much."""
    assert strength_at([0.0, 1.0, 2.0], [0.0, 0.2, 0.6], 0.4) == pytest.approx(1.5)
    assert np.isnan(strength_at([0.0, 1.0], [0.0, 0.1], 0.5))
    with pytest.raises(SteeringError, match="one side"):
        strength_at([-1.0, 0.0, 1.0], [1.0, 0.0, 1.0], 0.5)


def test_bad_input_is_one_clear_line(model):
    """Non-finite strengths, mixed splits, missing scales, too few nulls, a gate that nothing passes: each
    says what to do.
    """
    with pytest.raises(SteeringError, match="finite"):
        run(model, direction(1), strengths=[1.0, float("nan")])
    with pytest.raises(SteeringError, match="keep the splits apart"):
        run(model, direction(1), report={"behavior": items("a", 10), "self_report": items("d", 10)})
    with pytest.raises(SteeringError, match="typical norm"):
        run(model, probes.Direction(np.ones(32), "resid_post.1"))
    with pytest.raises(SteeringError, match="at least"):
        run(model, direction(1), n_test=99)
    with pytest.raises(SteeringError, match="coherence gate"):
        run(model, direction(1), max_kl=1e-6)
    with pytest.raises(SteeringError, match="each site"):
        run(model, direction(1), others={"wrong": direction(2)})
    with pytest.raises(ItemError, match="several tokens"):
        Readout.of(model, items("x", 2, options=(("A patient fox", 1.0), ("B", 0.0))), name="behavior")
    with pytest.raises(activations.ActivationsError, match="residual stream"):
        Doses(model, "head_z.1", 1.0).scores(Readout.of(model, items("x", 2), name="b"), np.ones((1, 32)))


def test_perplexity_of_a_model_s_own_greedy_answers_is_small():
    """What the base answers is likely under the base: its greedy answers have a perplexity near 1 to 10."""
    import contextlib

    import activations
    from mi_bsa.causal.coherence import answer_perplexity

    model = activations.load("embedded")
    prompts = [
        [{"role": "user", "content": q}] for q in ("are you bold?", "from 0 to 100, how calm are you?")
    ]
    assert 1.0 <= answer_perplexity(model, prompts, contextlib.nullcontext()) < 10.0
