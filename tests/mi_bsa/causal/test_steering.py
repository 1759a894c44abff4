"""Steering: strength 0 is an identity, batches are edits, the random null holds its rate, a planted direction
is found, splits are kept.
"""

import numpy as np
import pytest

import activations
import probes
from activations import testing
from mi_bsa.asking.asking import ask
from mi_bsa.asking.readouts import Readout
from mi_bsa.causal import doses, nulls, steering
from mi_bsa.causal.coherence import strength_at
from mi_bsa.core.errors import ItemError, SteeringError
from mi_bsa.core.items import Item

WORDS = [
    "one",
    "you",
    "for",
    "sure",
    "the",
    "quick",
    "brown",
    "fox",
    "are",
    "an",
    "or",
    "nothing",
    "with",
    "word",
    "coins",
    "take",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return activations.load(testing.build(tmp_path_factory.mktemp("steering"), width=32, n_layers=3))


def items(tag, count, options=(("A", 1.0), ("B", 0.0))):
    rng = np.random.default_rng(sum(tag.encode()))
    return [
        Item(
            f"{tag}{n}",
            [{"role": "user", "content": " ".join(rng.choice(WORDS, 6 + n % 4))}],
            options,
            {"scenario": f"s{n % 5}"},
        )
        for n in range(count)
    ]


def neutral(count=4):
    return [[{"role": "user", "content": " ".join(WORDS[n : n + 8])}] for n in range(count)]


def direction(layer, seed=0, scale=4.0):
    return probes.Direction(np.random.default_rng(seed).normal(size=32), f"resid_post.{layer}", scale=scale)


def push(model, readout):
    """A direction that a gradient shows to move the read-out: the planted truth."""

    head = model.inner.lm_head.weight.detach()
    vector = (head[readout.tokens[0, 0]] - head[readout.tokens[0, 1]]).numpy()
    return probes.Direction(
        vector * model.anatomy.decoder.norm.weight.detach().numpy(), "resid_post.2", scale=4.0
    )


@pytest.mark.parametrize(
    "site", ["resid_post.0", "resid_pre.1", "resid_post.2", "attn_out.1", "mlp_out.2", "resid_mid.0"]
)
def test_a_batch_of_vectors_is_one_edit_each(model, site):
    """Scores of many vectors run as one batch are those of `ask` under one edit after the other."""
    readout = Readout.of(model, items("x", 7), name="behavior")
    vectors = np.random.default_rng(1).normal(size=(5, 32)) * 3
    found = doses.scores_of(model, site, vectors, readout, 300)
    for n, vector in enumerate(vectors):
        with activations.edit(model, activations.add((vector, site), units="raw")):
            slow = ask(model, readout.items)["score"].to_numpy()
        np.testing.assert_allclose(found[n], slow, atol=2e-5)


def test_strength_zero_is_an_identity(model):
    """At strength 0 every item scores what it scores without steering, bit for bit."""
    readout = Readout.of(model, items("x", 7), name="behavior")
    with activations.edit(model, activations.add(direction(1), scale=0.0)):
        steered = ask(model, readout.items)["score"]
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
        "neutral": neutral(),
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


def test_the_random_null_holds_its_rate(model):
    """A random direction's p is below .05 about one time in twenty."""
    readout = Readout.of(model, items("x", 10), name="behavior")
    rng = np.random.default_rng(5)
    drawn = nulls.random_directions(700, 32, rng=rng) * 4
    level = doses.levels_of(
        model, "resid_post.1", np.concatenate([np.zeros((1, 32)), drawn]), readout, (1.0,), 8192
    )[:, 0]
    shift = level[1:] - level[0]
    p = np.array([nulls.two_sided_p(one, shift[200:]) for one in shift[:200]])
    assert 0.01 <= (p <= 0.05).mean() <= 0.10
    assert nulls.two_sided_p(99.0, shift) == pytest.approx(1 / 701)


def test_difference_directions_lie_among_activations():
    """Random-difference directions lie in the span of the activations; random ones do not."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 20))
    drawn = nulls.difference_directions(5, data, rng=rng)
    basis = np.linalg.svd(data)[2][:3]
    np.testing.assert_allclose(np.linalg.norm(drawn @ basis.T, axis=1), 1, atol=1e-9)
    with pytest.raises(SteeringError, match="at least 4"):
        nulls.difference_directions(5, data[:3], rng=rng)


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
        doses.scores_of(model, "head_z.1", np.zeros((1, 32)), Readout.of(model, items("x", 2), name="b"), 100)


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
