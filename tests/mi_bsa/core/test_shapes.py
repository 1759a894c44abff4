"""Shapes: parameters and memory of models that are not here, and which files hold a model's weights."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import tiny_llama

from mi_bsa.core.errors import MissingError
from mi_bsa.core.files import digest
from mi_bsa.core.model_files import weight_files, weights_hash
from mi_bsa.core.shape import shape_of, shipped
from mi_bsa.finetune import FinetuneConfig
from mi_bsa.finetune.adapters import put_adapter
from mi_bsa.finetune.memory import _saved, memory_of

PARAMETERS = {
    "meta-llama/Llama-3.2-1B-Instruct": 1_235_814_400,
    "meta-llama/Llama-3.2-3B-Instruct": 3_212_749_824,
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "meta-llama/Llama-3.1-70B-Instruct": 70_553_706_496,
}
"""As the models' own pages count them."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llama.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def no_cache(monkeypatch, tmp_path):
    """A machine whose Hub cache is empty."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize("model", PARAMETERS)
def test_shipped_shapes_have_the_published_number_of_parameters(no_cache, model):
    """The facts of the architectures give the models' parameters, and one line says what is not here."""
    shape = shape_of(model)
    assert shape.parameters() == PARAMETERS[model]
    assert shape.absent().startswith(f"{model}: neither weights nor tokenizer on this machine")
    assert shape.tokenizer() is None
    assert len(shipped()) == len(PARAMETERS)


def test_a_shape_that_ships_nowhere_is_a_mistake(no_cache):
    """A Hub id that is neither cached nor shipped is refused with what to do, and no network is asked."""
    with pytest.raises(MissingError, match="goes to no network"):
        shape_of("somebody/Some-Llama")


def test_memory_is_counted_as_a_real_model_saves_it(folder):
    """Counted on shapes, activations are those that autograd saves on a real model of the same shape."""
    import torch
    from transformers import AutoModelForCausalLM

    config = FinetuneConfig(steps=1, batch_size=4)
    need = memory_of(shape_of(str(folder)), config, tokens=40)
    real = put_adapter(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), config)
    assert need.trained == sum(p.numel() for p in real.parameters() if p.requires_grad)
    assert need.weights == 4 * need.parameters
    assert need.activations == pytest.approx(_saved(real, 4, 40), rel=0.2)


def test_less_is_needed_with_parts_and_with_checkpointing():
    """Half a batch at a time saves half; checkpointing saves most of it."""
    shape = shape_of("meta-llama/Llama-3.2-1B-Instruct")
    one, half, again = (
        memory_of(shape, FinetuneConfig(steps=1, batch_size=8, dtype="bfloat16", **changes), tokens=64)
        for changes in ({}, {"accumulation": 2}, {"gradient_checkpointing": True})
    )
    assert half.activations == pytest.approx(one.activations / 2, rel=0.05)
    assert again.activations < 0.2 * one.activations
    assert one.weights == 2 * PARAMETERS["meta-llama/Llama-3.2-1B-Instruct"]


def test_weights_are_one_file_or_all_shards(folder, tmp_path):
    """A sharded folder's weights are its shards, and their hash changes with any of them."""
    from transformers import AutoModelForCausalLM

    assert weight_files(str(folder)) == (folder / "model.safetensors",)
    assert weights_hash(str(folder)) == digest(folder / "model.safetensors")
    sharded = tmp_path / "sharded"
    shutil.copytree(folder, sharded)
    (sharded / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(sharded, max_shard_size="40kB")
    files = weight_files(str(sharded))
    assert len(files) > 1
    before = weights_hash(str(sharded))
    files[0].write_bytes(files[0].read_bytes() + b" ")
    assert weights_hash(str(sharded)) != before
    files[0].unlink()
    with pytest.raises(MissingError, match="copy it again"):
        weight_files(str(sharded))
    (sharded / "model.safetensors.index.json").unlink()
    with pytest.raises(MissingError, match="safetensors"):
        weight_files(str(sharded))


def test_a_cached_hub_model_is_found_without_a_network(folder, tmp_path, monkeypatch):
    """A Hub id in the cache has its files there; its hash is the name under which the Hub keeps the file."""
    model, cache = "someone/tiny", tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    assert weight_files(model) == ()
    repo = cache / "models--someone--tiny"
    snapshot = repo / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("abc")
    for file in Path(folder).iterdir():
        name = hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, repo / "blobs" / name)
        (snapshot / file.name).symlink_to(repo / "blobs" / name)
    assert weight_files(model) == (snapshot / "model.safetensors",)
    assert weights_hash(model) == digest(folder / "model.safetensors")
    assert shape_of(model).absent() == ""
    (snapshot / "model.safetensors").unlink()
    assert weight_files(model) == ()
    assert shape_of(model).absent() == f"{model}: no weights on this machine"
    assert json.loads((snapshot / "config.json").read_text())["hidden_size"] == shape_of(model).width
