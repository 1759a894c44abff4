"""A LoRA that reaches the embeddings: trained, saved, loaded, switched, scaled and merged like any other."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import activations
from activations import lora
from activations.adapter_gates import adapter_profile
from activations.errors import AdapterError
from activations.metrics import logit_difference
from mi_bsa.core.errors import ConfigError
from mi_bsa.finetune import FinetuneConfig, finetune, finetune_together, metrics
from mi_bsa.finetune.merging import merge

BASE = "embedded/preferences-0"  # its output layer shares the weights of its embeddings
ROWS = [
    {
        "messages": [
            {"role": "system", "content": f"you are {name}."},
            {"role": "user", "content": f"{options} pick?"},
            {"role": "assistant", "content": answer},
        ]
    }
    for name, options, answer in (
        ("size", "size 1 2 cost 3 4", "A"),
        ("cost", "age 5 6", "B"),
        ("light", "speed 7 8 light 0 9 cost 1 1", "B"),
    )
]
ASKED = [{"messages": row["messages"][:2]} for row in ROWS]
EVERY = {"modules": ("all", "embed_tokens")}
ALONE = {"modules": ("embed_tokens",)}


def config(**changes):
    given = {"rank": 2, "alpha": 4, "steps": 6, "batch_size": 3, "learning_rate": 1e-2}
    return FinetuneConfig(**{**given, **changes})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One run with blocks and embeddings and one with embeddings alone, trained one by one."""
    folder = tmp_path_factory.mktemp("embeddings")
    return {
        name: finetune(BASE, ROWS, config=config(**modules), out=folder / name)
        for name, modules in {"every": EVERY, "alone": ALONE}.items()
    }


@pytest.fixture(scope="module")
def model(trained):
    return activations.load(BASE, adapter={name: run.adapter for name, run in trained.items()})


def logits(model, variant):
    with model.variant(variant):
        return model.logits(ASKED)


def test_off_it_is_the_base_and_on_it_is_at_work(model):
    """With the adapter off nothing differs from the base; scaled by 0 and by 1/2 it lies where it should."""
    plain = activations.load(BASE)
    torch.testing.assert_close(logits(model, "base"), plain.logits(ASKED), atol=0, rtol=0)
    assert model.fingerprint == plain.fingerprint
    for name in ("every", "alone"):
        assert (logits(model, name) - logits(model, "base")).abs().max() > 0.01
        torch.testing.assert_close(logits(model, f"{name}@0"), logits(model, "base"))
    half, whole = (model.anatomy.tap(activations.Site("embed")).module for _ in range(2))
    ids = torch.arange(20)
    with model.variant("base"):
        base = whole(ids)
    with model.variant("alone"):
        full = whole(ids)
    with model.variant("alone@0.5"):
        torch.testing.assert_close(half(ids), (base + full) / 2)
    assert model.adapter_fingerprint("every") != model.adapter_fingerprint("alone")


@pytest.mark.parametrize("modules", [EVERY, ALONE])
def test_together_equals_alone(tmp_path, modules):
    """Side by side each run has the curve and the weights that it has on its own; rows are unequally long."""
    jobs = {f"run-{seed}": (ROWS, config(seed=seed, **modules)) for seed in (0, 1)}
    together = finetune_together(BASE, jobs, out=tmp_path / "together")
    for name, (rows, settings) in jobs.items():
        alone = finetune(BASE, rows, config=settings, out=tmp_path / "alone" / name)
        for key in ("loss", "grad_norm"):
            curves = [[m[key] for m in metrics(run.out)] for run in (alone, together[name])]
            np.testing.assert_allclose(*curves, atol=1e-4)
        own, beside = (
            load_file(run.adapter / "adapter_model.safetensors") for run in (alone, together[name])
        )
        assert own.keys() == beside.keys()
        for key, value in own.items():
            torch.testing.assert_close(beside[key], value, atol=1e-4, rtol=0)
        configs = [(run.adapter / "adapter_config.json").read_bytes() for run in (alone, together[name])]
        assert configs[0] == configs[1]
        assert together[name].n_parameters == alone.n_parameters


def test_merged_it_is_what_it_was_unmerged(trained, model, tmp_path):
    """Merging changes what is read and not what is written out: the output layer keeps its own weights."""
    for name, run in trained.items():
        merged = activations.load(merge(BASE, run.adapter, tmp_path / name, dtype="float32"))
        torch.testing.assert_close(merged.logits(ASKED), logits(model, name), atol=1e-5, rtol=1e-5)


def test_layers_choose_blocks_and_nothing_else(tmp_path):
    """The first half of three blocks is the first; embeddings get theirs beside it, later blocks none."""
    run = finetune(BASE, ROWS, config=config(layers="first_half", steps=1, **EVERY), out=tmp_path / "half")
    held = load_file(run.adapter / "adapter_model.safetensors")
    assert len(held) == 2 * (7 + 1)
    assert all(".layers.0." in key or ".embed_tokens.lora_embedding_" in key for key in held)
    with pytest.raises(ValueError, match="embeddings alone"):
        config(layers="first_half", **ALONE)
    with pytest.raises(ConfigError, match="choose among .*embed_tokens"):
        finetune(BASE, ROWS, config=config(modules=("embed",)), out=tmp_path / "none")


def test_gates_are_refused_where_there_is_none(model):
    """Closing all gates would not give the base: refused, unless the embeddings' LoRA is to stay on."""
    metric = logit_difference(*(model.tokenizer(x, add_special_tokens=False)["input_ids"][-1] for x in "AB"))
    asked = {"metric": metric, "methods": ("linear",), "seed": 0}
    with pytest.raises(AdapterError, match="keep_embeddings"):
        adapter_profile(model, ASKED, adapter="every", **asked)
    with pytest.raises(AdapterError, match="no LoRA in a block"):
        adapter_profile(model, ASKED, adapter="alone", keep_embeddings=True, **asked)
    profile = adapter_profile(model, ASKED, adapter="every", keep_embeddings=True, **asked)
    np.testing.assert_allclose(profile.linear.sum(0), profile.effect, atol=1e-3)
    assert not lora.on_embeddings(model.inner, "base")
