"""Gates: Shapley values add up to the full effect, exact values are met, idle modules get nothing, two
read-outs part where they do.
"""

import itertools
import math

import numpy as np
import pytest
import torch

import activations
from activations import adapter_comparison, adapter_gates, metrics, testing
from activations.errors import AdapterError, PatchError

METRIC = metrics.logit_difference(40, 41)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gates")
    testing.build(folder / "base", n_layers=2)
    testing.build_adapter(folder / "lora", folder / "base", modules=("v_proj", "o_proj", "down_proj"))
    made = activations.load(folder / "base", adapter={"k": folder / "lora"})
    with torch.no_grad():
        made.anatomy.projection(1, "v_proj")[0].lora_B["k"].weight.zero_()
    return made


def chats(count=5):
    words = ["one", "you", "coins", "fox", "quick"]
    return [
        {
            "id": f"c{n}",
            "messages": [{"role": "user", "content": f"{words[n % 5]} or {words[(n + 2) % 5]} now"}],
        }
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def profile(model):
    return adapter_gates.adapter_profile(
        model, chats(), metric=METRIC, read_out="behavior", adapter="k", n_permutations=64, seed=0, steps=16
    )


def test_shapley_values_add_up_to_the_full_effect(profile):
    """For every example the sum over modules is the effect of the whole adapter."""
    np.testing.assert_allclose(profile.shapley.sum(0), profile.effect, atol=1e-5)
    np.testing.assert_allclose(profile.linear.sum(0), profile.effect, atol=1e-3)


def test_sampled_shapley_meets_the_exact_values(model, profile):
    """Sampled values lie within four standard errors of the sum over all coalitions."""
    game = adapter_gates.Gated(model, chats(), METRIC, adapter="k")
    count = len(game.modules)
    settings = np.array(list(itertools.product([0.0, 1.0], repeat=count)))
    worth = game.run(settings).mean(1)
    size = settings.sum(1)
    for module in range(count):
        inside = settings[:, module] == 1
        outside = np.array(
            [
                np.nonzero((settings == np.where(np.arange(count) == module, 0, one)).all(1))[0][0]
                for one in settings[inside]
            ]
        )
        weight = np.array(
            [math.factorial(int(k)) * math.factorial(count - int(k) - 1) for k in size[outside]]
        ) / math.factorial(count)
        exact = float((weight * (worth[inside] - worth[outside])).sum())
        assert abs(profile.shapley[module].mean() - exact) <= 4 * profile.sampling_error[module] + 1e-5


@pytest.mark.parametrize("order", ["opened", "drawn"])
def test_settings_that_share_blocks_give_what_each_gives_alone(model, order, monkeypatch):
    """A block runs once for settings that are alike up to it, also of prompts of unequal length; what comes
    out is what each setting gives by itself.
    """
    prompts = [
        *chats(3),
        {"id": "long", "messages": [{"role": "user", "content": "you and the quick fox " * 4}]},
    ]
    game = adapter_gates.Gated(model, prompts, METRIC, adapter="k", batch_tokens=8192)
    count = len(game.modules)
    rng = np.random.default_rng(0)
    if order == "opened":
        gates = np.tril(np.ones((count + 1, count)), -1)[:, rng.permutation(count)]
    else:
        gates = rng.uniform(0, 1, (9, count)) * (rng.uniform(0, 1, (9, count)) > 0.4)
    ran = dict.fromkeys(range(model.n_layers), 0)
    for layer, block in enumerate(model.anatomy.layers):
        # the inner module of a block sees how many rows are run
        norm = block.input_layernorm
        own = norm.forward

        def counted(value, layer=layer, own=own):
            ran[layer] += len(value)
            return own(value)

        monkeypatch.setattr(norm, "forward", counted)
    found = game.run(gates)
    once = dict(ran)
    with model.variant("k"), torch.no_grad():
        for batch in model.batches(game.rows):
            for n, setting in enumerate(torch.from_numpy(gates.astype(np.float32))):
                alone = game.value(batch, setting[None])[0].numpy()
                np.testing.assert_allclose(found[n, batch.examples], alone, atol=2e-5)
    lowest = [n for n, (layer, _) in enumerate(game.modules) if layer == 0]
    assert once[0] == len(np.unique(gates[:, lowest], axis=0)) * len(prompts)
    assert once[1] == len(gates) * len(prompts)


@pytest.mark.parametrize("family", testing.FAMILIES)
def test_every_family_shares_blocks(family, tmp_path):
    """Masks, rotations and returned pairs of each family; as many rows as there are positions, too."""
    tiny = testing.tiny(tmp_path, family)
    name = next(one for one in tiny.variants if one != "base")
    for prompts in (chats(1), chats(3)):
        game = adapter_gates.Gated(tiny, prompts, METRIC, adapter=name)
        count, settings = len(game.modules), len(game.rows[0]) if len(prompts) == 1 else 7
        gates = (np.random.default_rng(0).uniform(size=(settings, count)) > 0.5).astype(float)
        gates[:, : count // 2] = gates[0, : count // 2]
        found = game.run(gates)
        with tiny.variant(name), torch.no_grad():
            for batch in tiny.batches(game.rows):
                alone = game.value(batch, torch.from_numpy(gates.astype(np.float32))).numpy()
                np.testing.assert_allclose(found[:, batch.examples], alone, atol=2e-5)


def test_a_module_that_changes_nothing_gets_nothing(profile):
    """A LoRA whose B is zero has value zero by every method."""
    idle = profile.modules.index((1, "v_proj"))
    for method in ("shapley", "leave_out", "keep_in", "linear"):
        assert np.abs(getattr(profile, method)[idle]).max() < 1e-6


def test_gates_are_edits(model, profile):
    """Leave-one-out and keep-one-in are one gated run each."""
    with model.variant("k"), activations.edit(model, activations.gate("o_proj.0", 0.0)):
        logits = model.logits(chats())
    np.testing.assert_allclose(
        profile.on - profile.leave_out[profile.modules.index((0, "o_proj"))],
        (logits[:, 40] - logits[:, 41]).numpy(),
        atol=1e-5,
    )


def test_the_linear_estimate_is_checked_on_the_top(model):
    """With `top`, only the modules of largest estimate are run exactly."""
    found = adapter_gates.adapter_profile(
        model, chats(), metric=METRIC, adapter="k", methods=("linear", "leave_out"), top=2, seed=0
    )
    assert (~np.isnan(found.leave_out).any(1)).sum() == 2
    table = found.to_dataframe()
    assert set(table["method"]) == {"linear", "leave_out"}
    assert (table["low"] <= table["high"]).all()


def test_two_read_outs_are_told_apart(model):
    """Profiles of two read-outs have a rank correlation with an interval and a map of what moves which."""
    both = adapter_gates.profiles(
        model,
        {"behavior": (chats(), METRIC), "self_report": (chats(), metrics.logit_difference(7, 9))},
        adapter="k",
        seed=0,
        n_permutations=4,
    )
    found = adapter_comparison.compare(both["behavior"], both["self_report"], seed=1, draws=200)
    assert -1 <= found.low <= found.high <= 1
    assert set(found.table["moves"]) <= {"both", "behavior", "self_report", "neither", "undecided"}
    idle = found.table[(found.table["layer"] == 1) & (found.table["module"] == "v_proj")].iloc[0]
    assert idle["moves"] == "neither"
    kl = adapter_gates.adapter_profile(
        model, chats(), metric=metrics.kl(), adapter="k", seed=0, n_permutations=4
    )
    np.testing.assert_allclose(kl.on, 0, atol=1e-5)


def test_bad_input_is_one_clear_line(model):
    """No adapter, odd permutations, a metric that the adapter does not move."""
    with model.variant("base"), pytest.raises(AdapterError, match="name one of its adapters"):
        adapter_gates.adapter_profile(model, chats(), metric=METRIC, seed=0)
    with pytest.raises(PatchError, match="even"):
        adapter_gates.adapter_profile(model, chats(), metric=METRIC, adapter="k", n_permutations=3, seed=0)
    with pytest.raises(PatchError, match="does not move"):
        adapter_gates.adapter_profile(
            model, chats(), metric=lambda logits, pair: logits[:, 0] * 0, adapter="k", seed=0
        )
