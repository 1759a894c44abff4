"""Case S4: a model folder with a weight missing, unknown, of another shape, or not finite was loaded without
a word, the gap filled at random. Every such folder is refused by name; what no fault is stays right.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import activations
from activations import testing
from activations.errors import ModelError

DOWN = "model.layers.1.mlp.down_proj.weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama."""
    return testing.build(tmp_path_factory.mktemp("s04") / "base")


def changed(base: Path, folder: Path, change) -> Path:
    """A copy whose weights went through `change`."""
    shutil.copytree(base, folder)
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def nan(weights: dict[str, torch.Tensor], key: str, value: float = float("nan")) -> None:
    weights[key].view(-1)[3] = value


FAULTS = {
    "a projection": (lambda w: w.pop(DOWN), DOWN),
    "a norm": (lambda w: w.pop("model.norm.weight"), "model.norm.weight"),
    "the output layer": (lambda w: w.pop("lm_head.weight"), "lm_head.weight"),
    "the last block": (
        lambda w: [w.pop(key) for key in list(w) if ".layers.2." in key],
        "num_hidden_layers 3",
    ),
    "unknown": (lambda w: w.update({"model.layers.1.extra.weight": torch.ones(2)}), "extra.weight"),
    "another shape": (lambda w: w.update({DOWN: torch.ones(3, 3)}), DOWN),
    "renamed": (lambda w: w.update({"model.layers.1.mlp.downproj.weight": w.pop(DOWN)}), DOWN),
    "nan": (lambda w: nan(w, DOWN), DOWN),
    "infinite": (lambda w: nan(w, "lm_head.weight", float("-inf")), "lm_head.weight"),
    "nan in a norm": (lambda w: nan(w, "model.norm.weight"), "model.norm.weight"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_weights_that_are_not_the_models_are_named(base: Path, tmp_path: Path, fault: str) -> None:
    """Missing, unknown, mismatched and non-finite ones; nothing is made up."""
    change, named = FAULTS[fault]
    with pytest.raises(ModelError, match="copy the folder again") as error:
        activations.load(changed(base, tmp_path / "broken", change), device="cpu")
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_a_narrow_type_that_overflows_is_named(base: Path, tmp_path: Path) -> None:
    """A weight of 70,000 is infinite in float16 and right in the others."""
    folder = changed(base, tmp_path / "large", lambda w: nan(w, DOWN, 7e4))
    with pytest.raises(ModelError, match="float32 or bfloat16"):
        activations.load(folder, dtype="float16", device="cpu")
    assert activations.load(folder, dtype="bfloat16", device="cpu").dtype == "bfloat16"


def test_shards_must_all_be_there_and_whole(base: Path, tmp_path: Path) -> None:
    """Whole shards are right; one missing, one cut off and a broken index are refused."""
    from transformers import AutoModelForCausalLM

    sharded = tmp_path / "sharded"
    AutoModelForCausalLM.from_pretrained(base).save_pretrained(sharded, max_shard_size="40kB")
    testing.tokenizer().save_pretrained(sharded)
    whole = activations.load(base, device="cpu")
    assert activations.load(sharded, device="cpu").fingerprint == whole.fingerprint
    shard = sorted(sharded.glob("model-*.safetensors"))[1]
    content = shard.read_bytes()
    shard.write_bytes(content[:-100])
    with pytest.raises(ModelError, match="cut off"):
        activations.load(sharded, device="cpu")
    shard.unlink()
    with pytest.raises(ModelError, match=f"shards missing .{shard.name}"):
        activations.load(sharded, device="cpu")
    (sharded / "model.safetensors.index.json").write_text("[")
    with pytest.raises(ModelError, match="is broken"):
        activations.load(sharded, device="cpu")


def test_a_config_of_another_size_is_refused_before_memory_is_taken(base: Path, tmp_path: Path) -> None:
    """A million blocks, or a billion words, beside the weights of three and four hundred."""
    for key, value in (("num_hidden_layers", 10**6), ("vocab_size", 10**9), ("hidden_size", 10**7)):
        folder = shutil.copytree(base, tmp_path / key)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {key: value}))
        with pytest.raises(ModelError, match="config"):
            activations.load(folder, device="cpu")


def test_what_is_no_fault_loads_as_before(base: Path, tmp_path: Path) -> None:
    """Old rotary buffers in the file, tied output layers, and the same weights as transformers reads."""
    from transformers import AutoModelForCausalLM

    old = changed(
        base,
        tmp_path / "old",
        lambda w: w.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}),
    )
    model = activations.load(base, device="cpu")
    assert activations.load(old, device="cpu").fingerprint == model.fingerprint
    reference = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    for key, value in reference.state_dict().items():
        assert torch.equal(value, model.inner.state_dict()[key]), key
    tied = testing.build(tmp_path / "tied", family="gemma2")
    assert "lm_head.weight" not in load_file(tied / "model.safetensors")
    assert activations.load(tied, attention="eager", device="cpu").dtype == "float32"


def test_a_model_in_memory_must_be_finite_too(base: Path) -> None:
    """`wrap` sees the same."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    with pytest.raises(ModelError, match=r"model\.norm\.weight"):
        activations.wrap(model, testing.tokenizer())


@pytest.mark.slow
def test_the_command_says_it_in_one_line_with_exit_code_2(base: Path, tmp_path: Path) -> None:
    """As a user meets it."""
    folder = changed(base, tmp_path / "broken", lambda w: w.pop(DOWN))
    (tmp_path / "prompts.jsonl").write_text('{"id": "a", "text": "hello"}\n')
    done = subprocess.run(
        [sys.executable, "-m", "mi_bsa.cli", "cache", "build", "--model", str(folder), "--prompts",
         str(tmp_path / "prompts.jsonl"), "--sites", "resid_post", "--out", str(tmp_path / "a.h5")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert DOWN in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("mi-bsa: ")] == [
        done.stderr.strip().splitlines()[-1]
    ]
    assert "Traceback" not in done.stderr


def test_codes_in_the_place_of_numbers_are_refused(base: Path, tmp_path: Path) -> None:
    """Integers would be cast; a quantization that is not read here is named."""
    folder = changed(base, tmp_path / "codes", lambda w: w.update({DOWN: w[DOWN].to(torch.int8)}))
    with pytest.raises(ModelError, match=rf"as I8 .{DOWN}"):
        activations.load(folder, device="cpu")
    for told in ({"quant_method": "gptq", "bits": 4}, {"quant_method": "bitsandbytes", "load_in_8bit": True}):
        config = json.loads((base / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"quantization_config": told}))
        with pytest.raises(ModelError, match="four bits by bitsandbytes") as error:
            activations.load(folder, device="cpu")
        assert "\n" not in str(error.value)
