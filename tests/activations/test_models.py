"""What is active is what was asked for; states that lie are errors."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import activations
from activations import lora, testing
from activations.errors import AdapterError, ModelError, PositionError, PromptError


def hidden(model: activations.Model) -> torch.Tensor:
    """Final hidden states of a fixed batch."""
    with torch.no_grad():
        return model.forward(model.collate(model.rows(testing.prompts(3))))


def test_the_base_under_an_adapter_is_the_base_exactly(
    model: activations.Model, folders: dict[str, Path]
) -> None:
    """Adapter off equals a model that never had one, bit for bit; alpha 0 too; another order of switching
    changes nothing."""
    alone = activations.load(folders["base"])
    expected = hidden(alone)
    with model.variant("base"):
        assert torch.equal(hidden(model), expected)
    with model.variant("one", alpha=0.0):
        assert torch.equal(hidden(model), expected)
    assert model.fingerprint == alone.fingerprint
    assert alone.variants == ("base",)


def test_variants_nest_and_come_back_exactly(model: activations.Model) -> None:
    """Also after an error inside."""
    one = hidden(model)
    with model.variant("two@0.3"):
        scaled = hidden(model)
        with model.variant("base"), model.variant("one", alpha=2.0):
            assert not torch.equal(hidden(model), one)
        assert torch.equal(hidden(model), scaled)
        with pytest.raises(RuntimeError, match="inside"), model.variant("one@3"):
            raise RuntimeError("inside")
        assert torch.equal(hidden(model), scaled)
    assert torch.equal(hidden(model), one)
    assert model.active == ("one", 1.0)


def test_alpha_scales_what_the_adapter_adds(model: activations.Model) -> None:
    """lora_out at the first adapted module is linear in alpha; lora_a there does not depend on it."""
    from activations import hooks, sites

    batch = model.collate(model.rows(testing.prompts(2)))
    wanted = sites.resolve("lora_a.q_proj.0,lora_out.q_proj.0", n_layers=model.n_layers)
    whole = hooks.read(model, batch, wanted, hooks.whole)
    with model.variant("one", alpha=0.25):
        part = hooks.read(model, batch, wanted, hooks.whole)
    inner, out = wanted
    assert torch.equal(whole[inner], part[inner])
    assert testing.close(part[out], 0.25 * whole[out], 1e-6)
    a, b, scaling = lora.factors(model.anatomy, "one", 0, "q_proj")
    assert testing.close(scaling * whole[inner] @ b.T, whole[out], 1e-6)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # peft calls an old name
def test_weight_views_are_right_for_unmerged_lora(model: activations.Model, folders: dict[str, Path]) -> None:
    """The view equals the merged weight of an independent PEFT merge, in Hugging Face's orientation."""
    from peft import PeftModel

    merged = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(folders["base"]), str(folders["one"])
    ).merge_and_unload()
    for layer, name, path in ((0, "o_proj", "self_attn"), (2, "down_proj", "mlp"), (1, "up_proj", "mlp")):
        expected = getattr(getattr(merged.model.layers[layer], path), name).weight
        assert testing.close(lora.weight(model.anatomy, layer, name, adapter="one"), expected, 1e-6)


def test_an_adapter_of_zeros_is_found_by_the_canary(tmp_path: Path, folders: dict[str, Path]) -> None:
    """A freshly made LoRA whose B is zero."""
    path = shutil.copytree(folders["one"], tmp_path / "zero")
    weights = {
        key: torch.zeros_like(value) if "lora_B" in key else value
        for key, value in load_file(path / "adapter_model.safetensors").items()
    }
    save_file(weights, path / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match="changes nothing on a canary prompt"):
        activations.load(folders["base"], adapter=path)


@pytest.mark.parametrize("kind", ["renamed", "missing", "other shape"])
def test_an_adapter_whose_keys_do_not_match_is_an_error(
    tmp_path: Path, folders: dict[str, Path], kind: str
) -> None:
    """PEFT only warns about the first two."""
    path = shutil.copytree(folders["one"], tmp_path / "wrong")
    weights = load_file(path / "adapter_model.safetensors")
    if kind == "renamed":
        weights = {
            key.replace("model.model.layers", "model.transformer.layers"): value
            for key, value in weights.items()
        }
    elif kind == "missing":
        weights = dict(list(weights.items())[2:])
    else:
        weights = {
            key: value[:, :-1].contiguous() if "lora_A" in key else value for key, value in weights.items()
        }
    save_file(weights, path / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match="load it on the base that it was trained on") as error:
        activations.load(folders["base"], adapter=path)
    assert "\n" not in str(error.value)


def test_absent_things_are_named(tmp_path: Path, folders: dict[str, Path]) -> None:
    """A vanished adapter, an unknown model, an unknown variant, an impossible name."""
    with pytest.raises(AdapterError, match="does not exist"):
        activations.load(folders["base"], adapter=tmp_path / "gone")
    with pytest.raises(ModelError, match="check its spelling"):
        activations.load(str(tmp_path / "gone"))
    with pytest.raises(ModelError, match="did you mean 'embedded'"):
        activations.load("embeded")
    with pytest.raises(ModelError, match="could not be fetched"):
        activations.load("nobody/nothing-at-all")
    with pytest.raises(AdapterError, match="not 'base'"):
        activations.load(folders["base"], adapter={"base": folders["one"]})
    with pytest.raises(ModelError, match="use one of these"):
        activations.load(folders["base"], dtype="int3")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot be loaded"):
        activations.load(tmp_path / "empty")


def test_an_unknown_family_is_refused(tmp_path: Path) -> None:
    """GPT-2 has other places for its sites."""
    from transformers import GPT2Config, GPT2LMHeadModel

    words = testing.tokenizer()
    GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=len(words))).save_pretrained(
        tmp_path
    )
    words.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="sites are defined for .*llama"):
        activations.load(tmp_path)


def test_training_mode_and_checkpointing_are_errors(folders: dict[str, Path]) -> None:
    """Both return plausible numbers."""
    model = activations.load(folders["base"], adapter=folders["one"])
    model.module.train()
    with pytest.raises(ModelError, match=r"call model\.module\.eval"):
        model.logits(["hello"])
    model.module.eval()
    model.anatomy.decoder.gradient_checkpointing = True  # type: ignore[assignment]  # as enabling it does
    with pytest.raises(ModelError, match="gradient_checkpointing_disable"):
        model.logits(["hello"])


def test_variants_that_do_not_exist_are_refused(model: activations.Model) -> None:
    """Unknown names, odd alphas, a scaled base."""
    for name in ("three", "one@much", "base@2", "one@inf"):
        with pytest.raises(AdapterError), model.variant(name):
            pass


def test_logits_are_hugging_faces_in_the_order_given(model: activations.Model) -> None:
    """Sorted batches inside, one row at a time as reference."""
    rows = testing.prompts(7)
    found = model.logits(rows, batch_tokens=120)
    for n, row in enumerate(model.rows(rows)):
        with torch.no_grad():
            expected = model.inner(input_ids=torch.from_numpy(row.ids)[None]).logits[0, -1]
        assert testing.close(found[n], expected, 1e-5)
    with pytest.raises(PositionError, match="one each"):
        model.logits(rows, positions="all")


def test_soft_capped_logits_are_met(tmp_path: Path) -> None:
    """Gemma 2 caps its logits."""
    model = activations.load(testing.build(tmp_path, family="gemma2"), attention="eager")
    row = model.rows(testing.prompts(1))[0]
    with torch.no_grad():
        expected = model.inner(input_ids=torch.from_numpy(row.ids)[None]).logits[0, -1]
    assert testing.close(model.logits(testing.prompts(1))[0], expected, 1e-5)


def test_generation_is_that_of_a_single_row_and_leaves_the_seed_alone(model: activations.Model) -> None:
    """Batches, order, seeds."""
    asked = ["which option do you choose ?", "hello", "the quick brown fox jumps over the lazy dog"]
    together = model.generate(asked, max_new_tokens=6)
    assert together == [model.generate(text, max_new_tokens=6) for text in asked]
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    sampled = model.generate(asked, max_new_tokens=6, temperature=1.0, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert sampled == model.generate(asked, max_new_tokens=6, temperature=1.0, seed=1)
    assert sampled != model.generate(asked, max_new_tokens=6, temperature=1.0, seed=2)
    with pytest.raises(ModelError, match="seed"):
        model.generate("hello", temperature=1.0)
    with pytest.raises(PromptError, match="max_new_tokens"):
        model.generate("hello", max_new_tokens=1000)


def test_a_tokenizer_of_the_adapters_own_must_be_the_bases(tmp_path: Path, folders: dict[str, Path]) -> None:
    """Another chat template beside the adapter."""
    path = shutil.copytree(folders["one"], tmp_path / "own")
    words = testing.tokenizer()
    words.save_pretrained(path)
    assert activations.load(folders["base"], adapter=path).active == ("adapter", 1.0)
    words.chat_template = testing.TEMPLATE.replace("an assistant", "a pirate")
    words.save_pretrained(path)
    with pytest.raises(AdapterError, match="pass tokenizer="):
        activations.load(folders["base"], adapter=path)
    assert activations.load(folders["base"], adapter=path, tokenizer=path).active == ("adapter", 1.0)


def test_fingerprints_tell_weights_and_adapters_apart(
    model: activations.Model, tmp_path: Path, folders: dict[str, Path]
) -> None:
    """One changed weight, another adapter, another scaling."""
    assert model.adapter_fingerprint("base") == ""
    assert model.adapter_fingerprint("one") != model.adapter_fingerprint("two")
    with model.variant("one@0.5"):
        assert model.adapter_fingerprint("one") == model.adapter_fingerprint("one")
    other = activations.load(testing.build(tmp_path / "other", seed=1))
    assert other.fingerprint != model.fingerprint
    path = shutil.copytree(folders["one"], tmp_path / "rescaled")
    config = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": config["lora_alpha"] + 1}))
    assert activations.load(folders["base"], adapter=path).adapter_fingerprint(
        "adapter"
    ) != model.adapter_fingerprint("one")


def test_importing_the_package_loads_no_framework() -> None:
    """`import activations` and its errors and sites stay light."""
    import subprocess
    import sys

    code = (
        "import activations, activations.sites, sys; "
        "print([m for m in ('torch', 'transformers', 'h5py', 'nnsight') if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )
    assert isinstance(np.zeros(1), np.ndarray)


def test_answer_ids_are_the_tokens_that_generate_decodes():
    """The ids of an answer decode to its text and stop before the end token; " yes" keeps its space."""
    model = activations.load("embedded")
    prompts = [
        [{"role": "user", "content": "are you bold?"}],
        [{"role": "user", "content": "bold or cautious?"}],
    ]
    ids = model.answer_ids(prompts, max_new_tokens=4)
    texts = model.generate(prompts, max_new_tokens=4)
    assert [t.strip() for t in model.tokenizer.batch_decode(ids)] == texts
    assert all(model.tokenizer.eos_token_id not in line for line in ids)
    assert model.tokenizer.convert_ids_to_tokens(ids[0])[0] in ("\u0120yes", "\u0120no")
