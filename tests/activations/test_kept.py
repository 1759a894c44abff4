"""Kept passes: what begins at a higher block is the whole pass, and is begun there."""

import numpy as np
import pytest
import torch

import activations
import activations.errors
from activations import engine, kept, testing
from activations.adapter_gates import Gated
from activations.alignment import slots
from activations.metrics import logit_difference

WORDS = ["take", "the", "bold", "word", "you", "are", "sure", "quick", "fox", "coins"]
IDS = np.array([[40, 41]] * 4)
UPPER = ("layers.2.self_attn.q_proj", "layers.2.mlp.down_proj", "layers.3.self_attn.v_proj")


@pytest.fixture
def model(tmp_path):
    base = testing.build(tmp_path / "base", width=16, n_layers=4)
    testing.build_adapter(tmp_path / "k", base, seed=1, modules=UPPER)
    return activations.load(base, adapter={"k": tmp_path / "k"}, dtype="float64")


@pytest.fixture
def prompts():
    rng = np.random.default_rng(0)
    return [[{"role": "user", "content": " ".join(rng.choice(WORDS, 3 + 2 * n))}] for n in range(len(IDS))]


def conditions(rows):
    """Of every kind: none, gates, what is put at a slot, what is added at one or everywhere."""
    at = slots(rows)[:, None]
    vectors = np.random.default_rng(1).normal(size=(3, 16)).astype(np.float32)
    put = torch.from_numpy(np.random.default_rng(2).normal(size=(len(rows), 1, 16)))
    return {
        "plain": engine.PLAIN,
        "gates": engine.ByEdits(lambda _: [activations.gate("v_proj.3", 0.0)]),
        "put": engine.ByEdits(
            lambda lines: [
                activations.replace("resid_post.1", put[lines.examples], positions=at[lines.examples])
            ]
        ),
        "everywhere": engine.ByEdits(
            lambda lines: [activations.project_out((vectors[lines.which], "resid_post"))], 3
        ),
        "slot": engine.adding("resid_post.1", vectors, at),
        "all": engine.adding("resid_pre.3", vectors),
    }


def runs_of(model):
    """How often each block computes."""
    counts = [0] * model.n_layers
    for n, block in enumerate(model.anatomy.layers):
        block.mlp.register_forward_hook(lambda *_, n=n: counts.__setitem__(n, counts[n] + 1))
    return counts


def test_conditions_over_kept_passes_are_those_of_whole_ones(model, prompts):
    """To 1e-9, in the base and in an adapter, and passes below what is changed run once."""
    rows = model.rows(prompts)
    each = [
        (name, one, v) for name, one in conditions(rows).items() for v in ("base", "k")[name == "gates" :]
    ]
    whole = [engine.option_logits(model, rows, one, tokens=IDS, variant=v) for _, one, v in each]
    kept.keep(model)
    counts = runs_of(model)
    for again in range(2):
        for before, (name, one, variant) in zip(whole, each, strict=True):
            now = engine.option_logits(model, rows, one, tokens=IDS, variant=variant)
            np.testing.assert_allclose(now, before, rtol=1e-9, atol=1e-9, err_msg=name)
        if again == 0:
            first, counts[:] = list(counts), [0] * 4
    assert first[0] == 2, "one pass a variant, whatever is asked of it"
    assert counts[:2] == [0, 2], "block 1 runs where block 0's output is edited, and nowhere else"


def test_states_of_kept_passes_are_those_that_are_read(model, prompts):
    """Before and behind blocks, at every token and at the slot; a block that is not there is refused."""
    rows, sites = model.rows(prompts), ["resid_pre.0", "resid_post.1", "resid_post.3"]
    reads = (engine.states, engine.slot_states)
    whole = [read(model, rows, sites, variant="k") for read in reads]
    kept.keep(model)
    for before, read in zip(whole, reads, strict=True):
        now = read(model, rows, sites, variant="k")
        for site in sites:
            np.testing.assert_allclose(now[site], before[site], rtol=1e-6, atol=1e-6)
    with pytest.raises(activations.errors.SiteError, match=r"4"):
        engine.states(model, rows, ["resid_post.4"], variant="k")


def test_a_weight_that_changes_drops_what_was_kept(model, prompts):
    """An optimizer's step is seen."""
    kept.keep(model)
    rows = model.rows(prompts)
    before = engine.option_logits(model, rows, tokens=IDS, variant="base")
    with torch.no_grad():
        model.anatomy.layers[0].mlp.down_proj.weight.mul_(1.5)
    after = engine.option_logits(model, rows, tokens=IDS, variant="base")
    model._kept = None
    np.testing.assert_allclose(
        after, engine.option_logits(model, rows, tokens=IDS, variant="base"), rtol=1e-9
    )
    assert np.abs(after - before).max() > 1e-6


def test_what_finds_no_room_is_run_again(model, prompts):
    """Nothing is kept beyond the bytes that there are, and nothing is wrong then."""
    rows = model.rows(prompts)
    whole = engine.option_logits(model, rows, tokens=IDS, variant="k")
    kept.keep(model, room=1)
    counts = runs_of(model)
    for _ in range(2):
        np.testing.assert_allclose(
            engine.option_logits(model, rows, tokens=IDS, variant="k"), whole, rtol=1e-9
        )
    assert counts[0] == 2


def test_blocks_move_again_after_an_error(model, prompts):
    """Standing still ends with its context, whatever happened in it."""
    rows = model.rows(prompts)
    whole = engine.option_logits(model, rows, tokens=IDS)
    with pytest.raises(RuntimeError, match="planted"), kept.standing_still(model, 2, None):
        raise RuntimeError("planted")
    assert (engine.option_logits(model, rows, tokens=IDS) == whole).all()


def test_gates_of_upper_blocks_run_the_lower_ones_once(model, prompts):
    """The metric under every setting is that of gates as edits; block 1 ran once for all settings."""
    game = Gated(model, prompts, logit_difference(40, 41), adapter="k", batch_tokens=8192)
    settings = np.array([[0, 0, 0], [1, 0, 1], [1, 1, 1], [0.5, 1, 0]])
    counts = runs_of(model)
    found = game.run(settings)
    assert counts[:2] == [1, 1]
    for one, values in zip(settings, found, strict=True):
        gated = [
            activations.gate(f"{name}.{layer}", float(g))
            for (layer, name), g in zip(game.modules, one, strict=True)
        ]
        with model.variant("k"), activations.edit(model, *gated):
            logits = model.logits(prompts, positions="slot").double().numpy()
        np.testing.assert_allclose(values, logits[:, 40] - logits[:, 41], rtol=1e-5, atol=1e-5)


def test_a_clamp_at_slots_of_unequal_prompts_is_that_of_whole_rows(model, prompts):
    """Blocks at the slot alone give what they give where another token is set to what it is already."""
    rows = model.rows(prompts)
    rng = np.random.default_rng(3)
    own = engine.states(model, rows, ["resid_post.1"], variant="base")["resid_post.1"]
    vectors, ends = rng.normal(size=(5, 16)), slots(rows)
    wanted = own.copy()
    wanted[np.arange(len(rows)), ends] += rng.normal(size=(len(rows), 16))
    both = np.stack([ends, np.ones_like(ends)], 1)
    alone, long = (
        engine.option_logits(
            model, rows, engine.clamping("resid_post.1", vectors, wanted, at), tokens=IDS, variant="base"
        )
        for at in (ends[:, None], both)
    )
    np.testing.assert_allclose(alone, long, rtol=1e-5, atol=1e-5)
