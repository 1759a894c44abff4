"""Laws of edits: zero is an identity, a run patched into itself changes nothing, and steering does not depend
on the cache."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

import activations
from activations import hooks, sites, testing
from activations.edits import Edit
from activations.errors import EditError, SiteError

EDITABLE = (
    "embed,resid_pre,resid_mid,resid_post,attn_out,mlp_out,head_z,mlp_act,final_norm,"
    "lora_out.down_proj,lora_a.q_proj"
)


@pytest.fixture
def vector(model: activations.Model) -> np.ndarray:
    """A fixed random vector of the residual stream."""
    return np.random.default_rng(0).normal(size=model.d_model).astype(np.float32)


def run(model: activations.Model, *, side: str = "right") -> torch.Tensor:
    """Final hidden states of real tokens."""
    batch = model.collate(model.rows(testing.prompts(4)), side=side)
    with torch.no_grad():
        return model.forward(batch)[batch.mask]


@pytest.mark.parametrize("site", [str(s) for s in sites.resolve(EDITABLE, n_layers=3)])
def test_a_run_patched_into_itself_and_adding_zero_are_identities(
    model: activations.Model, site: str
) -> None:
    """Bit for bit, at every site that can be edited."""
    batch = model.collate(model.rows(testing.prompts(4)))
    where = activations.Site.parse(site)
    own = hooks.read(model, batch, [where], hooks.whole)[where]
    with torch.no_grad():
        plain = model.forward(batch)
        with activations.edit(model, activations.replace(where, own)):
            assert torch.equal(model.forward(batch)[batch.mask], plain[batch.mask])
        with activations.edit(model, Edit(where, lambda value, _: value + 0.0)):
            assert torch.equal(model.forward(batch)[batch.mask], plain[batch.mask])
        with activations.edit(model, Edit(where, lambda value, _: value + 1.0)):
            changed = model.forward(batch)[batch.mask]
    assert not torch.equal(changed, plain[batch.mask])


@pytest.mark.parametrize("kind", ["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"])
def test_what_is_added_is_what_is_read(model: activations.Model, vector: np.ndarray, kind: str) -> None:
    """Reading inside the edit sees the sum, at real tokens, and nothing before it changes."""
    batch = model.collate(model.rows(testing.prompts(4)))
    site, before = activations.Site(kind, 1), activations.Site("resid_pre", 1)
    plain = hooks.read(model, batch, [site, before] if kind != "resid_pre" else [site], hooks.whole)
    with activations.edit(model, activations.add((vector, site), scale=2.0, units="raw")):
        edited = hooks.read(model, batch, [site, before] if kind != "resid_pre" else [site], hooks.whole)
    assert testing.close(
        edited[site][batch.mask], (plain[site] + 2.0 * torch.from_numpy(vector))[batch.mask], 1e-5
    )
    if kind != "resid_pre":
        assert torch.equal(edited[before], plain[before])


def test_projecting_out_and_clamping_set_the_projection_and_leave_the_rest(
    model: activations.Model, vector: np.ndarray
) -> None:
    """Along the direction: 0 or the value; across it: nothing moved."""
    batch = model.collate(model.rows(testing.prompts(4)))
    site = activations.Site.parse("resid_post.1")
    unit = torch.from_numpy(vector / np.linalg.norm(vector))
    plain = hooks.read(model, batch, [site], hooks.whole)[site][batch.mask]
    for edit, value in (
        (activations.project_out((vector, site)), 0.0),
        (activations.clamp((vector, site), value=3.5), 3.5),
    ):
        with activations.edit(model, edit):
            found = hooks.read(model, batch, [site], hooks.whole)[site][batch.mask]
        assert ((found @ unit) - value).abs().max() < 1e-5
        assert testing.close(
            found - (found @ unit)[:, None] * unit, plain - (plain @ unit)[:, None] * unit, 1e-5
        )


def test_projecting_out_everywhere_leaves_no_trace(model: activations.Model, vector: np.ndarray) -> None:
    """A name without layer edits all layers."""
    batch = model.collate(model.rows(testing.prompts(4)))
    unit = torch.from_numpy(vector / np.linalg.norm(vector))
    everywhere = sites.resolve("resid_post", n_layers=model.n_layers)
    with activations.edit(model, activations.project_out((vector, "resid_post.0"), sites="resid_post")):
        found = hooks.read(model, batch, everywhere, hooks.whole)
    assert all((found[site][batch.mask] @ unit).abs().max() < 1e-5 for site in everywhere)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("positions", "touched"),
    [
        ("all", lambda p, end: p >= 0),
        ("from:3", lambda p, end: p >= 3),
        (2, lambda p, end: p == 2),
        ("prompt", lambda p, end: p < end),
        ("generated", lambda p, end: p >= end),
    ],
)
def test_positions_are_absolute_whatever_the_padding(
    model: activations.Model,
    vector: np.ndarray,
    side: str,
    positions: str | int,
    touched: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    """In a forward pass `generated` is the closing answer."""
    batch = model.collate(model.rows(testing.prompts(4)), side=side)
    site = activations.Site.parse("resid_post.0")
    plain = hooks.read(model, batch, [site], hooks.whole)[site]
    with activations.edit(model, activations.add((vector, site), units="raw", positions=positions)):
        found = hooks.read(model, batch, [site], hooks.whole)[site]
    moved = ((found - plain).abs().amax(-1) > 0)[batch.mask]
    expected = touched(batch.positions, batch.prompt_lengths[:, None])[batch.mask]
    assert torch.equal(moved, expected)


def test_positions_and_strengths_may_differ_by_row(model: activations.Model) -> None:
    """One batch of four edits equals four batches of one."""
    rows = model.rows(testing.prompts(4))
    generator = np.random.default_rng(1)
    vectors = generator.normal(size=(4, model.d_model)).astype(np.float32)
    scales, places = [0.5, 1.0, 2.0, 0.0], [1, 5, 3, 2]
    batch = model.collate(rows)
    with torch.no_grad():
        with activations.edit(
            model, activations.add((vectors, "resid_post.1"), scale=scales, units="raw", positions=places)
        ):
            together = model.forward(batch)
        for n, row in enumerate(rows):
            with activations.edit(
                model,
                activations.add(
                    (vectors[n], "resid_post.1"), scale=scales[n], units="raw", positions=places[n]
                ),
            ):
                alone = model.forward(model.collate([row]))[0]
            assert testing.close(together[n][batch.mask[n]], alone, 1e-5)


def test_patching_every_site_gives_the_sources_values(model: activations.Model) -> None:
    """Replace the whole residual stream before the last block: logits are the source's exactly."""
    target, source = model.rows(testing.prompts(1, seed=1)), model.rows(testing.prompts(1, seed=1))
    batch = model.collate(target)
    with model.variant("two"):
        other = hooks.read(
            model, batch, [activations.Site("resid_pre", 0), activations.Site("resid_post", 2)], hooks.whole
        )
        expected = model.forward(model.collate(source))
    with (
        activations.edit(
            model, activations.replace("resid_post.2", other[activations.Site("resid_post", 2)])
        ),
        torch.no_grad(),
    ):
        assert torch.equal(model.forward(batch), expected)


def test_values_can_be_replaced_at_k_positions_of_each_row_and_in_some_heads(
    model: activations.Model,
) -> None:
    """(example, k, *site) values at (example, k) positions, out of order; the other heads stay."""
    batch = model.collate(model.rows(testing.prompts(3)))
    site = activations.Site.parse("head_z.1")
    plain = hooks.read(model, batch, [site], hooks.whole)[site]
    places = np.array([[4, 1], [2, 3], [5, 0]])
    values = torch.randn((3, 2, *plain.shape[2:]), generator=torch.Generator().manual_seed(0))
    with activations.edit(model, activations.replace(site, values, positions=places, heads=[2])):
        found = hooks.read(model, batch, [site], hooks.whole)[site]
    expected = plain.clone()
    for n in range(3):
        for k in range(2):
            expected[n, places[n, k], 2] = values[n, k, 2]
    assert torch.equal(found, expected)


def test_closing_every_gate_is_the_base_and_gates_may_differ_by_row(model: activations.Model) -> None:
    """Leave-one-out settings run as one batch."""
    row = model.rows(testing.prompts(1))[0]
    modules = [f"{name}.{layer}" for layer, name in model.anatomy.adapted("one")]
    with torch.no_grad():
        with activations.edit(model, activations.gate(modules, 0.0)):
            closed = model.forward(model.collate([row]))
        with model.variant("base"):
            assert torch.equal(model.forward(model.collate([row])), closed)
        settings = torch.ones(len(modules), len(modules)) - torch.eye(len(modules))
        batch = model.collate([row] * len(modules))
        with activations.edit(
            model, *[activations.gate(name, settings[:, n]) for n, name in enumerate(modules)]
        ):
            together = model.forward(batch)
        for n, name in enumerate(modules):
            with activations.edit(model, activations.gate(name, 0.0)):
                assert testing.close(together[n], model.forward(model.collate([row]))[0], 1e-5)


@pytest.mark.parametrize("positions", ["generated", "prompt", "all", "from:20"])
def test_steered_text_is_the_same_with_and_without_cache_and_alone(
    model: activations.Model, vector: np.ndarray, positions: str
) -> None:
    """Also in a left-padded batch of unequal prompts."""
    asked = ["hello", "which option do you choose ? A: take 40 coins . B: leave ."]
    plain = model.generate(asked, max_new_tokens=8)
    with activations.edit(
        model, activations.add((vector, "resid_post.1"), scale=1.5, units="raw", positions=positions)
    ):
        cached = model.generate(asked, max_new_tokens=8)
        assert cached == model.generate(asked, max_new_tokens=8, use_cache=False)
        assert cached == [model.generate(text, max_new_tokens=8) for text in asked]
    assert cached != plain
    assert model.generate(asked, max_new_tokens=8) == plain


def test_steered_generation_is_what_a_teacher_forced_pass_gives(
    model: activations.Model, vector: np.ndarray
) -> None:
    """Greedy tokens under `generated` are the argmax of one full pass over prompt and answer under the same
    edit."""
    row = model.rows(["hello there"])[0]
    ids = torch.from_numpy(row.ids)[None]
    with activations.edit(
        model, activations.add((vector, "resid_post.1"), scale=1.5, units="raw", positions="generated")
    ):
        with model._prompts_end_at(torch.tensor([len(row)])):
            made = model.inner.generate(
                input_ids=ids, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=2
            )  # type: ignore[operator]
        with torch.no_grad(), model._prompts_end_at(torch.tensor([len(row)])):
            logits = model.inner(input_ids=made).logits
    assert made[0, len(row) :].tolist() == logits[0, len(row) - 1 : -1].argmax(-1).tolist()


def test_edits_compose_in_the_order_given(model: activations.Model, vector: np.ndarray) -> None:
    """Add then project out leaves no projection; the other order leaves the vector."""
    batch = model.collate(model.rows(testing.prompts(2)))
    site = activations.Site.parse("resid_post.1")
    unit = torch.from_numpy(vector / np.linalg.norm(vector))
    plus, out = (
        activations.add((vector, site), scale=5.0, units="raw"),
        activations.project_out((vector, site)),
    )
    for edits, expected in (((plus, out), 0.0), ((out, plus), 5.0 * float(np.linalg.norm(vector)))):
        with activations.edit(model, *edits):
            found = hooks.read(model, batch, [site], hooks.whole)[site][batch.mask]
        assert (found @ unit - expected).abs().max() < 1e-4


def test_the_model_is_restored_after_an_error_and_nothing_is_written_in_place(
    model: activations.Model, vector: np.ndarray
) -> None:
    """An error inside the context, an error inside a hook, and a capture that was made before."""
    before = run(model)
    kept = before.clone()
    with (
        pytest.raises(ZeroDivisionError),
        activations.edit(model, activations.add((vector, "resid_post.0"), units="raw")),
    ):
        1 / int(torch.equal(run(model), before))
    with (
        pytest.raises(EditError, match="made at this site"),
        activations.edit(model, activations.add((vector[:-1], "resid_post.0"), units="raw")),
    ):
        run(model)
    with (
        pytest.raises(SiteError),
        activations.edit(
            model,
            activations.add((vector, "resid_post.0"), units="raw"),
            Edit("resid_post.99", lambda v, _: v),
        ),
    ):
        pass
    assert torch.equal(run(model), before)
    assert torch.equal(before, kept)


def test_strength_counts_in_the_sites_typical_norm(model: activations.Model, vector: np.ndarray) -> None:
    """An object with vector, site and scale: the vector is made a unit, times scale, times strength."""

    class Direction:
        def __init__(self) -> None:
            self.vector, self.site, self.scale = vector, "resid_post.1", 7.0

    batch = model.collate(model.rows(testing.prompts(2)))
    site = activations.Site.parse("resid_post.1")
    plain = hooks.read(model, batch, [site], hooks.whole)[site]
    with activations.edit(model, activations.add(Direction(), scale=2.0)):
        found = hooks.read(model, batch, [site], hooks.whole)[site]
    assert testing.close(
        (found - plain)[batch.mask].norm(dim=-1), torch.full((int(batch.mask.sum()),), 14.0), 1e-4
    )


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (lambda v: activations.add((v, "resid_post.0"), scale=float("nan"), units="raw"), "finite"),
        (lambda v: activations.add((v, "resid_post.0")), "units='raw'"),
        (lambda v: activations.add((v * float("inf"), "resid_post.0"), units="raw"), "finite"),
        (lambda v: activations.project_out((0 * v, "resid_post.0")), "no direction"),
        (lambda v: activations.add((v, "resid_post.0"), units="percent"), "use one of these"),
        (lambda v: activations.add("resid_post.0"), "vector, site"),
        (lambda v: activations.clamp((v, "resid_post.0"), value=float("inf")), "finite"),
    ],
)
def test_meaningless_edits_are_refused(
    vector: np.ndarray, make: Callable[[np.ndarray], Edit], remedy: str
) -> None:
    """Before any model runs."""
    with pytest.raises(EditError, match=remedy) as error:
        make(vector)
    assert "\n" not in str(error.value)


def test_what_a_model_cannot_do_is_refused(model: activations.Model, vector: np.ndarray) -> None:
    """Patterns cannot be written; a wrong number of rows; a bad position; an adapter site of the base."""
    with pytest.raises(EditError, match="head_z"), activations.edit(model, Edit("pattern.0", lambda v, _: v)):
        pass
    with (
        pytest.raises(EditError, match="one row each"),
        activations.edit(model, activations.add((vector, "resid_post.0"), units="raw", positions=[1, 2, 3])),
    ):
        run(model)
    with (
        pytest.raises(EditError, match="use all"),
        activations.edit(model, activations.add((vector, "resid_post.0"), units="raw", positions="lastt")),
    ):
        pass
    with (
        model.variant("base"),
        pytest.raises(SiteError, match="adapter's variant"),
        activations.edit(model, activations.gate("down_proj.0", 0.0)),
    ):
        pass
