"""Activation patching: a cell is what an edit of that one place gives, everything patched is the other run,
nothing patched is this one.
"""

import numpy as np
import pytest
import torch

import activations
from activations import metrics, testing
from activations.errors import PatchError, PositionError, SiteError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patching")
    testing.build(folder / "base")
    testing.build_adapter(folder / "lora", folder / "base")
    return activations.load(folder / "base", adapter={"k": folder / "lora"})


def prompt(name, word, more=""):
    text = f"which option ? A: take {word} coins . B: nothing .{more}"
    return {"id": name, "messages": [{"role": "user", "content": text}]}


def pairs(count=3):
    return [(prompt(f"s{n}", "one"), prompt(f"t{n}", "you")) for n in range(count)]


def chats(count=3):
    return [prompt(f"c{n}", "one") for n in range(count)]


METRIC = metrics.logit_difference(40, 41)


def brute(model, source, target, into, site, s, t, *, heads=None):
    """The slow way: one edited forward pass a cell."""
    site = activations.Site.parse(site)
    with model.variant(source[1]):
        batch = model.collate(model.rows([source[0]]))
        value = activations.hooks.read(model, batch, [site], activations.hooks.whole)[site][:, s]
    with (
        model.variant(into),
        activations.edit(model, activations.replace(site, value, positions=torch.tensor([t]), heads=heads)),
    ):
        logits = model.logits([target])[0]
    return float(logits[40] - logits[41])


@pytest.mark.parametrize(
    "site",
    [
        "resid_pre",
        "resid_mid",
        "resid_post",
        "attn_out",
        "mlp_out",
        "head_z",
        "mlp_act",
        "lora_out.v_proj",
        "lora_a.down_proj",
    ],
)
def test_every_cell_is_what_an_edit_there_gives(model, site):
    """Each cell of a map equals one forward pass with that one place replaced."""

    a, b = prompt("s", "one"), prompt("t", "you")
    variants = (
        {"source": "k", "target": "k"} if site.startswith("lora") else {"source": "k", "target": "base"}
    )
    found = activations.patch_map(model, [(a, b)], metric=METRIC, sites=site, **variants)
    assert found.patched.shape == (1, 3, len(found.columns), 1)
    for layer, where in enumerate(found.sites):
        for n in range(0, len(found.columns), 6):
            slow = brute(model, (a, "k"), b, variants["target"], str(where), n, n)
            assert found.patched[0, layer, n, 0] == pytest.approx(slow, abs=2e-5)


def test_patching_a_run_into_itself_changes_nothing(model):
    """A source that is the target fills every cell with the target's own value, bit for bit."""
    with pytest.raises(PatchError, match="choose a metric or runs that differ"):
        activations.patch_map(model, chats(), metric=METRIC, source="k", target="k")
    same = chats(2) + [(prompt("a", "one"), prompt("b", "you"))]
    found = activations.patch_map(model, same, metric=METRIC, source="base", target="base")
    assert (found.effects[:2] == 0).all()
    assert found.filled[:2].all()
    assert found.counts["equal"] >= found.filled[:2].sum()


@pytest.mark.parametrize("site", ["resid_pre", "resid_mid", "resid_post"])
def test_patching_everything_gives_the_source(model, site):
    """All positions at any residual layer give the source's metric, in both modes and for any metric."""
    for metric in (METRIC, metrics.probability(40), metrics.kl(), lambda logits, pair: logits[:, 7] * 2):
        for mode in ("denoising", "noising"):
            found = activations.patch_map(
                model, pairs(), metric=metric, sites=site, positions="together", mode=mode
            )
            np.testing.assert_allclose(
                found.patched[:, :, 0, 0], np.repeat(found.full[:, None], 3, 1), atol=2e-5
            )
            np.testing.assert_allclose(found.recovery, 1, atol=1e-3)


def test_the_last_residual_of_the_finetune_gives_the_finetune(model):
    """Base <-> fine-tune: at the last block's output, the answer slot carries everything and other positions
    nothing.
    """
    found = activations.patch_map(model, chats(), metric=METRIC, source="k", target="base")
    np.testing.assert_allclose(found.recovery[-1, -1], 1, atol=1e-6)
    assert (found.effects[:, -1, :-1] == 0).all()
    assert found.counts["unreachable"] == 3 * (len(found.columns) - 1)


def test_heads_add_up_as_edits_do(model):
    """Layer x head and layer x position x head maps equal edits of one head."""
    a, b = prompt("s", "one"), prompt("t", "you")
    found = activations.patch_map(
        model, [(a, b)], metric=METRIC, sites="head_z", by_head=True, source="k", target="base"
    )
    assert found.patched.shape[3] == 4
    for layer, head in [(0, 1), (1, 3), (2, 0)]:
        slow = brute(model, (a, "k"), b, "base", f"head_z.{layer}", 9, 9, heads=[head])
        assert found.patched[0, layer, 9, head] == pytest.approx(slow, abs=2e-5)
    whole = activations.patch_map(
        model, [(a, b)], metric=METRIC, sites="head_z", by_head=True, positions="together"
    )
    table = whole.to_dataframe()
    assert list(table["head"]) == [0, 1, 2, 3] * 3


def test_batches_do_not_matter(model):
    """Small and large batches, alone and together, give the same map."""
    both = pairs(4)
    one = activations.patch_map(model, both, metric=METRIC, batch_tokens=10**6)
    two = activations.patch_map(model, both, metric=METRIC, batch_tokens=50)
    np.testing.assert_allclose(one.patched, two.patched, atol=1e-5)
    alone = activations.patch_map(model, both[2:3], metric=METRIC)
    np.testing.assert_allclose(one.patched[2:3], alone.patched, atol=1e-5)


def test_roles_align_prompts_of_different_lengths(model):
    """Tokens of a role are paired, also across prompts of different lengths; without roles it is an error."""
    long = prompt("s", "one", more=" answer with one letter .")
    mixed = [(long, prompt("t", "you")), (prompt("u", "you"), prompt("v", "you", more=" describes ."))]
    with pytest.raises(PositionError, match="align='roles'"):
        activations.patch_map(model, mixed, metric=METRIC)
    found = activations.patch_map(model, mixed, metric=METRIC, align="roles")
    assert found.unaligned > 0
    assert {"template", "question", "option A", "option B", "answer slot"} <= {c.role for c in found.columns}
    slot = next(n for n, c in enumerate(found.columns) if c.role == "answer slot")
    np.testing.assert_allclose(found.patched[:, -1, slot, 0], found.full, atol=1e-5)
    by_role = activations.patch_map(model, mixed, metric=METRIC, align="roles", positions="role")
    assert [c.label for c in by_role.columns][-1] == "answer slot"
    assert len(by_role.columns) == len({c.role for c in found.columns})
    source, target = model.rows([long]), model.rows([prompt("t", "you")])
    column = next(n for n, c in enumerate(found.columns) if c.role == "option A")
    aligned = activations.alignment.align(source, target, by="roles")
    s, t = next((s, t) for c, s, t in aligned.at[0] if aligned.columns[c].role == "option A")
    slow = brute(model, (long, "k"), prompt("t", "you"), "k", "resid_post.1", int(s), int(t))
    assert found.patched[0, 1, column, 0] == pytest.approx(slow, abs=2e-5)


def test_the_table_has_every_cell_with_its_interval_and_tokens(model):
    """One row a cell, real tokens on the axis, n and an interval beside every number."""
    found = activations.patch_map(model, chats(4), metric=METRIC, source="k", target="base")
    table = found.to_dataframe()
    assert len(table) == 3 * len(found.columns)
    assert (table["n"] == 4).all()
    assert table["position"].str.contains(":").all()
    assert (table["low"] <= table["recovery"] + 1e-12).all()
    assert found.top(1)["recovery"].abs().iloc[0] == table["recovery"].abs().max()
    assert "resid_post" in str(found)


def test_the_interval_covers(model):
    """The interval of a ratio of means covers the true ratio about 95 times in 100."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        gap = rng.normal(2, 0.8, 20)
        effect = 0.4 * gap + rng.normal(0, 0.5, 20)
        _, low, high, _ = activations.maps.ratio_of_means(effect[:, None], gap)
        hits += bool(low[0] <= 0.4 <= high[0])
    assert 0.92 <= hits / 400 <= 0.98


def test_answer_tokens_are_found_in_context(model):
    """The answer's token is the one that follows the prompt in the template."""
    ids = metrics.answer_tokens(model, chats(2), ["A", "B"])
    row = model.rows([[*chats(1)[0]["messages"], {"role": "assistant", "content": "A"}]])[0]
    assert ids[0] == row.ids[row.answer]
    assert ids[0] != ids[1]


def test_bad_input_is_one_clear_line(model):
    """A constant metric, an absent site, an unknown mode, an edit in force: each says what to do."""
    good = {"metric": METRIC, "source": "k", "target": "base"}
    with pytest.raises(PatchError, match="constant"):
        activations.patch_map(
            model, chats(), metric=lambda logits, pair: logits[:, 0] * 0, source="k", target="base"
        )
    with pytest.raises(PatchError, match="not finite"):
        activations.patch_map(
            model, chats(), metric=lambda logits, pair: logits[:, 0] / 0, source="k", target="base"
        )
    with pytest.raises(PatchError, match="one number a row"):
        activations.patch_map(model, chats(), metric=lambda logits, pair: logits, source="k", target="base")
    with pytest.raises(SiteError, match="layers 0 to 2"):
        activations.patch_map(model, chats(), sites="resid_post.7", **good)
    with pytest.raises(SiteError, match="head_z"):
        activations.patch_map(model, chats(), by_head=True, **good)
    with pytest.raises(SiteError, match="cannot be patched"):
        activations.patch_map(model, chats(), sites="embed", **good)
    with pytest.raises(PatchError, match="one map has one kind"):
        activations.patch_map(model, chats(), sites="resid_post,attn_out", **good)
    with pytest.raises(PatchError, match="denoising"):
        activations.patch_map(model, chats(), mode="sideways", **good)
    with pytest.raises(PatchError, match="no pairs"):
        activations.patch_map(model, [], **good)
    with (
        activations.edit(model, activations.gate("q_proj", 0.5)),
        pytest.raises(Exception, match="leave activations.edit"),
    ):
        activations.patch_map(model, chats(), **good)
