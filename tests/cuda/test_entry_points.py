"""Every entry point runs on a CUDA device that holds to it: nothing made on the CPU meets what lies there,
and what comes back is on the CPU.

The device is `fake_cuda.cuda`: real numbers, so that data-dependent code runs, and fake tensors of torch as
the judge of every mixture where this is the CUDA build.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_cuda import CPU, HAS_CUDA, DeviceError, by_rule, by_torch, cuda

import activations
import probes
from activations import conditions, engine, hooks, metrics, parity, testing
from activations.adapter_constancy import constancy
from activations.adapter_weights import embedded, written
from activations.lens import Nulls
from activations.path_patching import path_patch
from activations.sites import ADAPTER, GLOBAL, MODULES, PER_LAYER
from mi_bsa.asking.asking import ask_many
from mi_bsa.asking.by_sampling import ask_by_sampling
from mi_bsa.asking.sampling import sample
from mi_bsa.asking.verdicts import by_model
from mi_bsa.causal.coherence import answer_perplexity
from mi_bsa.causal.contrasts import contrast_directions
from mi_bsa.causal.through_base import through_base
from mi_bsa.core.items import Item
from mi_bsa.finetune import FinetuneConfig, finetune_together
from mi_bsa.studies.inspect.damage import damage

pytestmark = pytest.mark.slow
METRIC = metrics.logit_difference(40, 41)
SITES = [*PER_LAYER, *GLOBAL, *(f"{kind}.{module}" for kind in ADAPTER for module in MODULES)]
ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"which option {word} ?"},
            {"role": "assistant", "content": "A" if n % 2 else "B"},
        ]
    }
    for n, word in enumerate(["one", "you", "coins", "fox", "quick", "bold take"])
]
PROMPTS = [{"id": f"c{n}", "messages": row["messages"][:1]} for n, row in enumerate(ROWS)]
PAIRS = [({"id": f"s{n}", **PROMPTS[n]}, {"id": f"t{n}", **PROMPTS[n + 1]}) for n in (0, 1, 2)]
ITEMS = [
    Item(f"i{n}", row["messages"][:1], (("A", 1.0), ("B", 0.0)), {"kind": "letters"})
    for n, row in enumerate(ROWS)
]


@pytest.fixture(scope="module", params=["one device", "two devices"])
def places(request):
    """The device, and whether the model lies on it whole or in two parts."""
    if request.param == "two devices" and not HAS_CUDA:
        pytest.skip("accelerate places on CUDA devices with the CUDA build of torch alone: make check-cuda")
    with cuda() as found:
        found.parts = request.param
        yield found


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A base and an adapter on disk."""
    root = tmp_path_factory.mktemp("cuda")
    base = testing.build(root / "base", n_layers=4)
    every = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    return {"base": base, "k": testing.build_adapter(root / "k", base, modules=every)}


def load(folders, places, **how):
    """The model where the fixture says; two parts the way that a 70B is placed."""
    if places.parts == "one device":
        return activations.load(folders["base"], adapter={"k": folders["k"]}, device="cuda", **how)
    halves = {"model.embed_tokens": 0, "model.rotary_emb": 0, "model.norm": 1, "lm_head": 1}
    halves |= {f"model.layers.{n}": n // 2 for n in range(4)}
    return activations.load(folders["base"], adapter={"k": folders["k"]}, device_map=halves, **how)


@pytest.fixture(scope="module")
def model(folders, places):
    """It, with attention patterns to be read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_DEACTIVATE_ASYNC_LOAD", "1")  # a thread of its own would not know the device
        return load(folders, places, attention="eager")


def on_cpu(folders):
    """The same model where nothing is pretended."""
    return activations.load(folders["base"], adapter={"k": folders["k"]}, device="cpu", attention="eager")


def test_the_model_lies_where_it_was_put(model, places):
    """Every weight is on the device, or on the one of the two that was named."""
    where = {str(weight.device) for weight in model.inner.parameters()}
    assert where == ({"cuda:0"} if places.parts == "one device" else {"cuda:0", "cuda:1"})


def test_capture(model, folders, tmp_path):
    """All sites of base and adapter, the same numbers as without the device."""
    found = activations.capture(
        model, PROMPTS, sites=SITES, positions="all", out=tmp_path / "a", variants=["base", "k"]
    )
    plain = activations.capture(
        on_cpu(folders), PROMPTS, sites=SITES, positions="all", out=tmp_path / "b", variants=["base", "k"]
    )
    for name in ("base", "k"):
        for site in found[name].sites:
            np.testing.assert_allclose(found[name].read(site), plain[name].read(site), atol=1e-5)


def test_answers_captured_as_they_are_made(model, folders, tmp_path):
    """States, log-probabilities and tokens of greedy answers, the same as without the device; and sampled."""
    how = {"sites": ["resid_post", "head_z", "lora_out.down_proj"], "max_new_tokens": 3}
    stores = []
    for name, one in (("a", model), ("b", on_cpu(folders))):
        with one.variant("k"):
            stores.append(activations.capture_answers(one, PROMPTS, out=tmp_path / f"{name}.h5", **how))
    found, plain = stores
    assert found.table()["response"].tolist() == plain.table()["response"].tolist()
    np.testing.assert_allclose(found.table()["log_prob"], plain.table()["log_prob"], atol=1e-4)
    for site in found.sites:
        np.testing.assert_allclose(found.read(site), plain.read(site), atol=1e-5)
    sampled = {"temperature": 1.0, "seed": 0, "positions": "mean:response", "out": tmp_path / "c.h5"}
    activations.capture_answers(model, PROMPTS, **how | sampled)


def test_plans_and_parity(model):
    """What a capture would cost, and the differences of the other backends to the hooks."""
    assert activations.dry_run(model, PROMPTS, sites="resid_post").n_rows == len(PROMPTS)
    sites = [activations.Site("resid_post", 1), activations.Site("mlp_out", 2)]
    parity.compare(model, model.rows(PROMPTS), sites)


@pytest.mark.parametrize("kind", ["add", "project_out", "replace", "clamp", "gate"])
def test_edits_and_generation(model, kind):
    """Each edit, in a forward pass and in generation, greedy and sampled."""
    vector = (np.random.default_rng(0).normal(size=32).astype(np.float32), "resid_post.1")
    made = {
        "add": lambda: activations.add(vector, scale=2.0, units="raw", positions="prompt"),
        "project_out": lambda: activations.project_out(vector),
        "replace": lambda: activations.replace("resid_post.2", torch.ones(32)),
        "clamp": lambda: activations.clamp(vector, value=1.0),
        "gate": lambda: activations.gate("down_proj", 0.5),
    }[kind]()
    with model.variant("k"), activations.edit(model, made):
        assert model.logits(PROMPTS).device == CPU
        model.generate(PROMPTS, max_new_tokens=3)
        model.generate(PROMPTS, max_new_tokens=3, temperature=1.0, seed=0)


def test_battery(model):
    """Questions with options, asked and sampled, of base and adapter."""
    table = ask_many(model, ITEMS, ["base", "k"])
    assert np.isfinite(table["score"]).all()
    sample(model, ITEMS, n=2, seed=0, max_new_tokens=2)
    ask_by_sampling(model, ITEMS, 2, seed=0, variant="k", tokens=2)
    assert len(by_model(model, variant="k", max_new_tokens=2)(["is it bold ?", "is it quick ?"])) == 2


def test_directions_and_coherence(model):
    """What two variants differ by at the answer slot, and what steered answers are worth to the model."""
    found = contrast_directions(model, ITEMS, ("k", "base"))
    assert len(found) == model.n_layers
    change = activations.edit(model, activations.add(found[1], scale=1.0))
    assert answer_perplexity(model, [p["messages"] for p in PROMPTS], change, max_new_tokens=3) > 0


def test_conditions(model):
    """Many edits of one batch: added, taken out, clamped; divergence and states."""
    rows = model.rows(PROMPTS)
    vectors = np.random.default_rng(1).normal(size=(3, 32)).astype(np.float32)
    ids = np.array([[40, 41]] * len(rows))
    for site in ("resid_post.1", "attn_out.2"):
        for made in (conditions.adding(site, vectors, None), conditions.projecting(site, vectors, None)):
            engine.option_logits(model, rows, made, tokens=ids, variant="k")
    engine.divergence(model, rows, conditions.adding("resid_post.1", vectors, None))
    engine.slot_states(model, rows, ["resid_post.1"])


@pytest.mark.parametrize("site", ["resid_pre", "resid_mid", "head_z", "mlp_act"])
def test_patch_map(model, site):
    """Another prompt's run, and the adapter's in the base."""
    activations.patch_map(
        model, PAIRS, metric=METRIC, sites=site, source="k", target="k", positions="together"
    )
    activations.patch_map(model, PROMPTS[:2], metric=METRIC, sites=site, source="k", target="base")


@pytest.mark.parametrize("method", ["gradient", "integrated"])
def test_attribution(model, method):
    """Gradients at every site."""
    activations.attribute(
        model, PROMPTS[:2], metric=METRIC, source="k", target="base", method=method, steps=2
    )


def test_what_an_adapter_adds(model):
    """Its modules' shares, constants, vectors, paths, and a vector that is trained."""
    activations.adapter_profile(
        model, PROMPTS[:2], metric=METRIC, read_out="behavior", adapter="k", n_permutations=4, seed=0, steps=2
    )
    constancy(model, PROMPTS[:3], PROMPTS[3:], metric=METRIC, adapter="k")
    for kind in ("b", "singular"):
        activations.adapter_vectors(model, adapter="k", kind=kind)
    activations.train_vector(model, ROWS, site="resid_post.0", seed=0, steps=2, batch_size=4)
    path_patch(
        model,
        PAIRS,
        metric=METRIC,
        source="k",
        target="base",
        senders=["0.1", "mlp.1"],
        receivers=["logits", "mlp.2", "2.1.q"],
    )


def test_lenses(model):
    """Differences, all three lenses, weights alone, damage and the base asked under a difference."""
    texts = [row["messages"][0]["content"] for row in PROMPTS]
    found = activations.activation_differences(model, texts, sites="resid_post", after="k")["resid_post.1"]
    nulls = Nulls.draw(model.d_model, found.states, n=4, seed=0)
    carried = activations.mean_jacobian(model, texts[:1], site="resid_post.1", batch_tokens=128)
    for lens in ("logit", carried, activations.Patchscope(model, prompt="take {} or", filler="one")):
        assert len(activations.read_vector(model, found, lens=lens, nulls=nulls).top(3)) == 3
    changes = activations.weight_changes(model, "k")
    for change in changes[:8]:
        tell = written if change.module in ("o_proj", "down_proj") else embedded
        assert len(tell(model, change, n=4, seed=0).top(3)) == 3
    assert damage(model, texts, variant="k").kl.shape == (len(texts),)
    items = [replace(item, labels={"trait": "t"}) for item in ITEMS]
    assert through_base(model, found, nulls, items)[0]["null"]["n"] == 8


def test_stacked_finetune(folders, places, tmp_path):
    """Two adapters side by side."""
    if places.parts == "two devices":
        pytest.skip("adapters are stacked on one device")
    config = FinetuneConfig(rank=2, steps=2, batch_size=4, device="cuda", learning_rate=1e-3)
    jobs = {f"j{seed}": (ROWS, config.model_copy(update={"seed": seed})) for seed in (0, 1)}
    finetune_together(str(folders["base"]), jobs, out=tmp_path / "runs")


def test_finetune_step(folders, places):
    """Loss, gradient and step of one adapter, as the Trainer makes them."""
    from mi_bsa.core.rows import collate, encode_rows
    from mi_bsa.finetune.adapters import put_adapter

    if places.parts == "two devices":
        pytest.skip("covered where it is whole")
    base = activations.load(folders["base"], device="cuda")
    wrapped = put_adapter(base.inner, FinetuneConfig(rank=2, steps=1))
    trained = [weight for weight in wrapped.parameters() if weight.requires_grad]
    batch = collate(encode_rows(base.template, ROWS, max_length=256), pad=0)
    loss = wrapped(**{name: value.to("cuda") for name, value in batch.items()}).loss
    loss.backward()
    torch.optim.AdamW(trained, lr=1e-3).step()
    assert {str(weight.grad.device) for weight in trained} == {"cuda:0"}


@pytest.mark.parametrize("method", ["logistic", "mean_difference"])
def test_probes(places, method):
    """A sweep whose solver runs on the device."""
    rng = np.random.default_rng(0)
    values = {f"resid_post.{n}": rng.normal(size=(40, 8)).astype(np.float32) for n in range(2)}
    import pandas as pd

    table = pd.DataFrame({"pole": np.arange(40) % 2, "scenario": np.arange(40) // 4})
    before = places.seen["cuda:0"]
    probes.sweep(
        values, table, label="pole", groups=["scenario"], methods=(method,), n_shuffles=4, device="cuda"
    )
    assert method != "logistic" or places.seen["cuda:0"] > before


def test_a_cpu_tensor_that_is_mixed_in_fails(model, places):
    """The negative control: one mask that was left on the CPU, and results that were not brought back."""
    from dataclasses import replace

    batch = model.collate(model.rows(PROMPTS))
    if places.parts == "one device":  # accelerate moves what comes into a model of several
        with pytest.raises(DeviceError, match="cpu"):
            model.forward(replace(batch, ids=batch.ids.cpu()))
    hidden = model.forward(batch)
    with pytest.raises(DeviceError, match="copy it to the CPU"):
        hidden.detach().numpy()
    with (
        pytest.raises(DeviceError),
        hooks.altering(model, activations.Site("resid_post", 1), lambda x: x + torch.ones(32)),
    ):
        model.forward(batch)


MIXED = {
    "add": lambda g, c: g + c,
    "linear": torch.nn.functional.linear,
    "where": lambda g, c: torch.where(c > 0, g, g),
    "cat": lambda g, c: torch.cat([g, c]),
    "embedding": lambda g, c: torch.nn.functional.embedding(c.long(), g),
    "gather": lambda g, c: g.gather(1, c.long()),
    "masked_fill": lambda g, c: g.masked_fill(c > 0, 0.0),
    "number": lambda g, c: g + c.sum(),
    "index": lambda g, c: g[c[0].long()],
    "copy": lambda g, c: g.copy_(c),
    "attention": lambda g, c: torch.nn.functional.scaled_dot_product_attention(
        g[None], g[None], g[None], c[None] > 0
    ),
}


@pytest.mark.skipif(not HAS_CUDA, reason="fake CUDA tensors need the CUDA build of torch: make check-cuda")
@pytest.mark.parametrize("name", MIXED)
def test_the_plain_rule_is_torchs(monkeypatch, name):
    """What the rule of the CPU build allows and refuses is what torch says of fake CUDA tensors."""

    def said(judged_by):
        monkeypatch.setattr("fake_cuda.by_torch", judged_by)
        with cuda():
            try:
                return str(MIXED[name](torch.ones(3, 3, device="cuda"), torch.ones(3, 3)).device)
            except DeviceError:
                return "refused"

    assert said(by_rule) == said(by_torch)
