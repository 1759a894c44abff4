"""The engine: a row of a batch of conditions is one edit, whatever it does, wherever it does it."""

import numpy as np
import pytest
import torch

import activations
from activations import engine, testing
from activations.alignment import slots
from activations.errors import EditError, SiteError
from activations.moments import NOWHERE

WORDS = ["take", "the", "bold", "word", "you", "are", "sure", "quick", "fox", "coins"]
SITES = (
    "resid_post.0",
    "resid_pre.1",
    "resid_post.2",
    "attn_out.1",
    "mlp_out.2",
    "attn_out.2",
    "resid_mid.0",
)
IDS = np.array([[40, 41]] * 7)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    base = testing.build(folder / "base", width=32, n_layers=3)
    testing.build_adapter(folder / "k", base, seed=1)
    return activations.load(base, adapter={"k": folder / "k"}, dtype="float64")


@pytest.fixture(scope="module")
def prompts():
    rng = np.random.default_rng(0)
    return [[{"role": "user", "content": " ".join(rng.choice(WORDS, 3 + 2 * n))}] for n in range(len(IDS))]


def table(rows, which):
    """No table for every token; else the answer slot, or every third token but BOS."""
    if which == "every token":
        return None
    each = [[s] if which == "slot" else range(1, len(r), 3) for s, r in zip(slots(rows), rows, strict=True)]
    found = np.full((len(rows), max(map(len, each))), NOWHERE, np.int64)
    for line, at in zip(found, each, strict=True):
        line[: len(at)] = at
    return found


@pytest.mark.parametrize("where", ["every token", "slot", "some"])
@pytest.mark.parametrize("site", SITES)
def test_a_batch_of_conditions_is_one_edit_each(model, prompts, site, where):
    """Added, and taken out, in an adapter, over prompts of unequal length: to 1e-6, as the edit alone."""
    rows = model.rows(prompts)
    at = table(rows, where)
    vectors = np.random.default_rng(1).normal(size=(5, 32)).astype(np.float32) * 3
    positions = "all" if at is None else [[int(k) for k in line if k >= 0] for line in at]
    for made, edit in (
        (engine.adding(site, vectors, at), {"units": "raw"}),
        (engine.projecting(site, vectors, at), {}),
    ):
        make = activations.add if edit else activations.project_out
        found = engine.option_logits(model, rows, made, tokens=IDS, variant="k", batch_tokens=300)
        whole = engine.ByEdits(
            lambda lines, make=make, edit=edit: [
                make(
                    (vectors[lines.which], site),
                    positions="all" if at is None else at[lines.examples],
                    **edit,
                )
            ],
            len(vectors),
        )
        slow = engine.option_logits(model, rows, whole, tokens=IDS, variant="k", batch_tokens=300)
        np.testing.assert_allclose(found, slow, rtol=1e-6, atol=1e-6)
        with (
            model.variant("k"),
            activations.edit(model, make((vectors[2], site), positions=positions, **edit)),
        ):
            alone = model.logits(prompts, positions="slot").numpy()[:, 40:42]
        np.testing.assert_allclose(found[2], alone, rtol=1e-6, atol=1e-6)
    still = engine.option_logits(model, rows, engine.adding(site, 0 * vectors[:1], at), tokens=IDS)
    np.testing.assert_allclose(
        still[0], model.logits(prompts, positions="slot").numpy()[:, 40:42], rtol=1e-6, atol=1e-6
    )


def test_a_clamp_to_another_run_s_projection_is_exact(model, prompts):
    """At the site, what stands along the direction is the other variant's, and nothing else has moved."""
    rows, site = model.rows(prompts), "resid_post.1"
    wanted = engine.states(model, rows, [site], variant="k")[site]
    own = engine.states(model, rows, [site], variant="base")[site]
    vectors = np.random.default_rng(2).normal(size=(2, 32))
    clamp = engine.clamping(site, vectors, wanted)
    unit = vectors[1] / np.linalg.norm(vectors[1])
    lines = engine.Lines(np.full(len(rows), 1), np.arange(len(rows)))
    moved = clamp.move(torch.from_numpy(own), lines).numpy()
    np.testing.assert_allclose(moved @ unit, wanted @ unit, atol=1e-4)
    flat = np.eye(32) - np.outer(unit, unit)
    np.testing.assert_allclose(moved @ flat, own @ flat, atol=1e-4)
    same = engine.option_logits(
        model, rows, engine.clamping(site, vectors[:1], own), variant="base", tokens=IDS
    )
    np.testing.assert_allclose(
        same[0], engine.option_logits(model, rows, variant="base", tokens=IDS)[0], atol=1e-5
    )


def test_a_pass_that_is_run_on_is_the_engine_s_and_has_gradients(model, prompts):
    """Some lines of prompts that were read once: the same logits, and the slope of a vector."""
    from activations.metrics import token_logits
    from activations.sites import Site

    rows, site = model.rows(prompts), "resid_post.1"
    at = table(rows, "slot")
    vectors = np.random.default_rng(3).normal(size=(2, 32)).astype(np.float32)
    whole = engine.option_logits(model, rows, engine.adding(site, vectors, at), tokens=IDS, variant="k")
    lines = engine.Lines(np.array([0, 1, 1]), np.array([4, 2, 6]))
    given = torch.tensor(vectors, requires_grad=True)
    added = engine.AtSite(Site.parse(site), lambda values, own: values + given[own.which][:, None], 2, 32)
    passed = engine.Passed(model, rows, variant="k")
    with torch.enable_grad():
        final = passed(engine.at_tokens(added, at), lines)
        logits = token_logits(model, final, torch.from_numpy(IDS[lines.examples]))
        (slope,) = torch.autograd.grad(logits[1:, 0].sum(), given)
    np.testing.assert_allclose(
        logits.detach().numpy(), whole[lines.which, lines.examples], rtol=1e-5, atol=1e-5
    )
    assert not slope[0].any()
    step = 1e-2 * slope[1] / slope[1].norm()
    near = engine.option_logits(
        model, rows, engine.adding(site, (vectors[1] + step.numpy())[None], at), tokens=IDS, variant="k"
    )
    moved = (near[0] - whole[1])[lines.examples[1:], 0].sum()
    assert moved == pytest.approx(1e-2 * float(slope[1].norm()), rel=0.05)


def test_divergence_of_no_change_is_zero_and_both_ways_agree(model, prompts):
    """From a site, and by edits of whole passes; from the variant as it is, or from another."""
    rows = model.rows(prompts)
    vectors = np.stack([np.zeros(32), np.full(32, 0.5)]).astype(np.float32)
    fast = engine.divergence(model, rows, engine.adding("resid_post.1", vectors), batch_tokens=300)
    slow = engine.divergence(
        model,
        rows,
        engine.ByEdits(
            lambda lines: [activations.add((vectors[lines.which], "resid_post.1"), units="raw")], 2
        ),
    )
    np.testing.assert_allclose(fast, slow, rtol=1e-3, atol=1e-6)
    assert abs(fast[0]) < 1e-6 < fast[1]
    assert abs(engine.divergence(model, rows, variant="k")[0]) < 1e-6
    assert engine.divergence(model, rows, variant="k", reference="base")[0] > 1e-6


def test_states_at_slots_are_those_of_all_tokens(model, prompts):
    """Each prompt's own, and zeros behind its end."""
    rows = model.rows(prompts)
    sites = ["resid_post.0", "attn_out.2"]
    whole = engine.states(model, rows, sites, variant="k")
    slot = engine.slot_states(model, rows, sites, variant="k")
    for site in sites:
        assert np.array_equal(slot[site], whole[site][np.arange(len(rows)), slots(rows)])
        assert not whole[site][0, len(rows[0]) :].any()


def test_option_logits_of_16_bits_are_not_rounded_to_them(model, prompts):
    """They are the head's rows times what it reads, in 32 bits; most lie between two numbers of bfloat16."""
    narrow = activations.load(model.folder, dtype="bfloat16")
    rows = narrow.rows(prompts)
    found = engine.option_logits(narrow, rows, tokens=IDS)[0]
    head = narrow.anatomy.head.weight.detach()[40:42].double().numpy()
    for _, lines, final in engine.passes(narrow, rows):
        wanted = final.double().numpy() @ head.T
        np.testing.assert_allclose(found[lines.examples], wanted, rtol=1e-5, atol=1e-6)
    rounded = torch.from_numpy(found).to(torch.bfloat16).double().numpy()
    assert (rounded != found).mean() > 0.9


def test_bad_input_is_one_clear_line(model, prompts):
    """Other sites, vectors that do not fit, tables that select nothing, tokens that are none."""
    rows, two = model.rows(prompts), np.ones((2, 32))
    with pytest.raises(SiteError, match="residual stream"):
        engine.option_logits(model, rows, engine.adding("head_z.1", two), tokens=IDS)
    with pytest.raises(EditError, match="has 32"):
        engine.option_logits(model, rows, engine.adding("resid_post.1", two[:, :5]), tokens=IDS)
    with pytest.raises(EditError, match="finite"):
        engine.adding("resid_post.1", two * np.nan)
    with pytest.raises(EditError, match="vector 0 is zero"):
        engine.projecting("resid_post.1", 0 * two)
    for wrong in (np.full((7, 2), NOWHERE), np.full((7, 2), -1)):
        with pytest.raises(EditError, match="name a token"):
            engine.adding("resid_post.1", two, wrong)
    with pytest.raises(EditError, match="ids of its tokenizer"):
        engine.option_logits(model, rows, tokens=IDS - 100)
    with activations.edit(model, activations.add((two[0], "resid_post.1"), units="raw")):
        with pytest.raises(EditError, match="leave"):
            engine.option_logits(model, rows, engine.adding("resid_post.1", two), tokens=IDS)
        model.logits(prompts)
