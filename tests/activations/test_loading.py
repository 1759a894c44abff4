"""What `load` takes: names, objects, types, places and quantizations; each is what it says, or one line."""

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

import activations
from activations import devices, lora, testing
from activations.errors import AdapterError, ModelError

PROMPT = ["which option do you choose ?"]
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is_gradient_checkpointing.*:FutureWarning"
)  # peft calls an old name


def plain(folders: dict[str, Path], **more: Any) -> Any:
    """The Hugging Face model of the tiny Llama."""
    return AutoModelForCausalLM.from_pretrained(folders["base"], **more)


def adapted(folders: dict[str, Path], *names: str) -> PeftModel:
    """It with adapters, as PEFT loads them."""
    model = PeftModel.from_pretrained(plain(folders), str(folders[names[0]]), adapter_name=names[0])
    for name in names[1:]:
        model.load_adapter(str(folders[name]), adapter_name=name)
    return model


def fresh(folders: dict[str, Path], **config: Any) -> Any:
    """It with a new LoRA, which changes nothing yet."""
    return get_peft_model(
        plain(folders), LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"], **config)
    )


def test_an_object_is_what_its_folder_is(model: activations.Model, folders: dict[str, Path]) -> None:
    """A Hugging Face model, with adapters given or inside, by `load` and by `wrap`."""
    words = testing.tokenizer()
    expected = {name: model.logits(PROMPT) for name in model.variants for _ in [model._activate(name, 1.0)]}
    model._activate("one", 1.0)
    given = activations.load(
        plain(folders), adapter={"one": folders["one"], "two": folders["two"]}, tokenizer=words
    )
    inside = activations.load(adapted(folders, "one", "two"), tokenizer=words)
    wrapped = activations.wrap(adapted(folders, "one", "two"), words)
    for found in (given, inside, wrapped):
        assert found.fingerprint == model.fingerprint
        for name in model.variants:
            assert found.adapter_fingerprint(name) == model.adapter_fingerprint(name)
            with found.variant(name):
                assert torch.equal(found.logits(PROMPT), expected[name])
    assert inside.active == wrapped.active == ("one", 1.0)
    assert activations.load(plain(folders), tokenizer=folders["base"]).variants == ("base",)


def test_an_objects_adapters_are_held_to_the_canary(folders: dict[str, Path]) -> None:
    """Untrained, merged, several at once, and kinds that are not read."""
    words = testing.tokenizer()
    with pytest.raises(AdapterError, match="changes nothing on a canary prompt"):
        activations.wrap(fresh(folders), words)
    merged = adapted(folders, "one")
    merged.merge_adapter()
    with pytest.raises(AdapterError, match="merged"):
        activations.wrap(merged, words)
    both = adapted(folders, "one", "two")
    both.base_model.set_adapter(["one", "two"])
    with pytest.raises(AdapterError, match="several adapters are active"):
        activations.wrap(both, words)
    with pytest.raises(AdapterError, match="DoRA"):
        activations.wrap(fresh(folders, use_dora=True), words)
    with pytest.raises(AdapterError, match="modules_to_save"):
        activations.wrap(fresh(folders, modules_to_save=["lm_head"]), words)
    off = adapted(folders, "one")
    off.base_model.disable_adapter_layers()
    assert activations.wrap(off, words).active == ("base", 1.0)


def test_a_tokenizer_of_another_vocabulary_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    """More words than embeddings, or far fewer; padded embeddings and a few added tokens are right."""
    words = testing.tokenizer()
    small = plain(folders)
    small.resize_token_embeddings(200)
    with pytest.raises(ModelError, match="pass the right one"):
        activations.wrap(small, words)
    large = plain(folders)
    large.resize_token_embeddings(1000)
    with pytest.raises(ModelError, match="pass the right one"):
        activations.wrap(large, words)
    padded = plain(folders)
    padded.resize_token_embeddings(448)
    assert activations.wrap(padded, words).variants == ("base",)
    more = testing.tokenizer()
    more.add_tokens(["<image>"], special_tokens=True)
    assert activations.wrap(plain(folders), more).variants == ("base",)
    with pytest.raises(ModelError, match="pass the right one"):
        activations.load(folders["base"], tokenizer=activations.locate("embedded"))


def test_an_object_is_not_converted_in_silence(folders: dict[str, Path], model: activations.Model) -> None:
    """What cannot be changed in memory is refused; what it has may be said."""
    words = testing.tokenizer()
    for more in (
        {"dtype": "bfloat16"}, {"dtype": torch.float64}, {"device": "meta"}, {"attention": "eager"},
        {"quantization": "nf4"}, {"device_map": "auto"}, {"revision": "main"},
    ):  # fmt: skip
        with pytest.raises(ModelError):
            activations.load(plain(folders), tokenizer=words, **more)
    narrow = activations.load(plain(folders, dtype=torch.bfloat16), tokenizer=words, dtype=torch.bfloat16)
    assert narrow.dtype == "bfloat16"
    with pytest.raises(ModelError, match="pass tokenizer="):
        activations.load(plain(folders))
    with pytest.raises(ModelError, match="loaded model already"):
        activations.load(model, tokenizer=words)  # type: ignore[arg-type]


def test_objects_of_other_frameworks_are_taken_or_named(folders: dict[str, Path]) -> None:
    """nnsight's wrapper is opened; anything else is told what to give."""
    from nnsight import NNsight

    inner = plain(folders)
    words = testing.tokenizer()
    expected = activations.wrap(inner, words).logits(PROMPT)
    found = activations.load(NNsight(inner), tokenizer=words)
    assert found.inner is inner
    assert torch.equal(found.logits(PROMPT), expected)

    class Bridge(torch.nn.Module):
        """Stands for a class of TransformerLens, which is known by its module's name alone."""

    Bridge.__module__ = "transformer_lens.model_bridge.bridge"
    for thing, said in ((Bridge(), "Hugging Face model"), (torch.nn.Linear(2, 2), "no causal language model"),
                        (7, "no causal language model")):  # fmt: skip
        with pytest.raises(ModelError, match=said) as error:
            activations.load(thing, tokenizer=words)  # type: ignore[arg-type]
        assert "\n" not in str(error.value)


def test_a_bridge_is_named_without_importing_its_framework() -> None:
    """Looking at an object costs no import of seconds."""
    import subprocess

    code = (
        "import torch, activations, sys\n"
        "try:\n    activations.load(torch.nn.Linear(2, 2), tokenizer=1)\n"
        "except activations.ActivationsError:\n    pass\n"
        "print([m for m in ('transformer_lens', 'nnsight') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_types_are_told_truly(folders: dict[str, Path]) -> None:
    """By name or as torch's; mixed ones are all named; the adapters' own beside them."""
    for dtype in ("bfloat16", torch.bfloat16):
        narrow = activations.load(folders["base"], adapter=folders["one"], dtype=dtype)
        assert (narrow.dtype, narrow.adapter_dtype) == ("bfloat16", "float32")
    wide = activations.load(folders["base"], adapter=folders["one"], dtype=torch.float64)
    assert (wide.dtype, wide.adapter_dtype) == ("float64", "float64")
    mixed = plain(folders)
    mixed.model.layers[1].mlp.to(torch.bfloat16)
    assert activations.wrap(mixed, testing.tokenizer()).dtype == "bfloat16 and float32"
    assert activations.load(folders["base"]).adapter_dtype == ""
    for odd in (torch.int8, "int8", "torch.float8_e4m3fn"):
        with pytest.raises(ModelError, match="use one of these"):
            activations.load(folders["base"], dtype=odd)


def test_the_default_device_is_the_accelerator_where_there_is_one(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the CPU; an unknown one and an absent one are refused."""
    found = torch.accelerator.current_accelerator(check_available=True)
    assert activations.load(folders["base"]).device.type == ("cpu" if found is None else found.type)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("meta"))
    assert devices.parse(None) == torch.device("meta")
    assert devices.parse("cpu") == torch.device("cpu")
    for odd in ("gpu", "cuda:x", ""):
        with pytest.raises(ModelError, match="not a device of torch"):
            activations.load(folders["base"], device=odd)
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="cannot be put on 'cuda'"):
            activations.load(folders["base"], device="cuda")


def test_a_device_map_is_a_placement_of_the_same_model(
    model: activations.Model, folders: dict[str, Path], tmp_path: Path
) -> None:
    """All on one device, by name or as a mapping: logits, generation, capture and edits are as without."""
    for placement in ({"": "cpu"}, "cpu", {"model": "cpu", "lm_head": "cpu"}):
        found = activations.load(folders["base"], adapter={"one": folders["one"]}, device_map=placement)
        assert found.fingerprint == model.fingerprint
        assert torch.equal(found.logits(PROMPT), model.logits(PROMPT))
        assert found.generate(PROMPT, max_new_tokens=4) == model.generate(PROMPT, max_new_tokens=4)
    store = activations.capture(found, PROMPT, sites="resid_post", out=tmp_path / "a.h5")
    assert len(store) == 1
    with activations.edit(found, activations.replace("resid_post.1", torch.ones(32))):
        assert not torch.equal(found.logits(PROMPT), model.logits(PROMPT))


def test_offloaded_weights_are_refused_in_one_line(folders: dict[str, Path], tmp_path: Path) -> None:
    """They are not there to be read; device and device_map exclude one another."""
    disk = {"model.embed_tokens": "cpu", "model.layers": "disk", "model.norm": "cpu", "lm_head": "cpu"}
    with pytest.raises(ModelError, match="offloaded") as error:
        activations.load(folders["base"], device_map=disk)
    assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="one of them"):
        activations.load(folders["base"], device="cpu", device_map="auto")
    with pytest.raises(ModelError, match=r"nowhere to put model\.embed_tokens"):
        activations.load(folders["base"], device_map={"lm_head": "cpu", "nowhere": "cpu"})
    with pytest.raises(ModelError):
        activations.load(folders["base"], device_map="somehow")


def test_a_quantization_is_refused_where_it_cannot_be(folders: dict[str, Path]) -> None:
    """An unknown kind; the package that is absent, with what to install."""
    with pytest.raises(ModelError, match="use 'nf4'"):
        activations.load(folders["base"], quantization="int3")
    if find_spec("bitsandbytes") is None:
        with pytest.raises(ModelError, match=r"mi-bsa\[quantization\]"):
            activations.load(folders["base"], quantization="nf4")


@pytest.mark.filterwarnings("ignore")  # of bitsandbytes
def test_four_bits_say_that_they_are_four_bits(folders: dict[str, Path], tmp_path: Path) -> None:
    """The type, a fingerprint that use does not change, weights near the base's, adapters on it."""
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes, an extra")
    base = testing.build(tmp_path / "base", width=64)
    one = testing.build_adapter(tmp_path / "one", base)
    model = activations.load(base, quantization="nf4", dtype="bfloat16", adapter=one)
    assert model.dtype == "nf4 (bfloat16 compute)"
    before = model.fingerprint
    assert before != activations.load(base, dtype="bfloat16").fingerprint
    model.logits(PROMPT)
    assert lora.fingerprint(model.inner, None) == before
    assert activations.load(base, quantization="nf4", dtype="bfloat16").fingerprint == before
    full = activations.load(base)
    for layer in range(3):
        ours, theirs = (lora.weight(m.anatomy, layer, "q_proj", adapter=None) for m in (model, full))
        assert 0 < (ours - theirs).abs().max() < 0.16 * theirs.abs().max()  # half of NF4's widest step
    with pytest.raises(ModelError, match="no whole blocks"):
        activations.load(folders["base"], quantization="nf4", device="cpu")
    store = activations.capture(model, PROMPT, sites="resid_post", out=tmp_path / "a.h5")
    assert store.attributes["model_dtype"] == "nf4 (bfloat16 compute)"


def test_an_adapter_by_hub_id_offline_is_one_line(folders: dict[str, Path], tmp_path: Path) -> None:
    """With or without a revision; a `Path` is a folder and never a Hub id."""
    for name in ("nobody/nothing-at-all", "nobody/nothing-at-all@v1"):
        with pytest.raises(AdapterError, match="could not be fetched from the Hub") as error:
            activations.load(folders["base"], adapter=name)
        assert "\n" not in str(error.value)
    for folder in (Path("nobody/nothing-at-all"), "./nobody/nothing-at-all", "a/b/c", "alone"):
        with pytest.raises(AdapterError, match="does not exist"):
            activations.load(folders["base"], adapter=folder)


def test_an_adapter_in_the_hubs_cache_is_found_by_its_id(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pinned to a revision, safetensors and JSON only."""
    asked = []

    def download(repository: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repository, revision))
        assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in allow_patterns)
        return str(folders["one"])

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    found = activations.load(folders["base"], adapter={"a": "owner/tiny", "b": "owner/tiny@abc"})
    assert asked == [("owner/tiny", None), ("owner/tiny", "abc")]
    assert found.variants == ("base", "a", "b")


def test_loading_is_quiet(folders: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    """No bars, no tables, no warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        activations.load(folders["base"], adapter=folders["one"])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize(
    ("has", "dtype", "said"),
    [
        (False, "bfloat16", 1),
        (False, "float16", 1),
        (True, "bfloat16", 0),
        (False, "float32", 0),
    ],
)
def test_numbers_that_a_processor_emulates_are_said_once_for_a_large_base(
    has, dtype, said, in_memory, monkeypatch, recwarn
):
    """A user of a processor without the instructions would wait sixty times as long and never know why."""
    monkeypatch.setattr("activations.devices.has_bfloat16", lambda: has)
    monkeypatch.setattr("activations.devices.LARGE", 1)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    made = activations.load("embedded", dtype=dtype, device="cpu")
    if in_memory:
        recwarn.clear()
        activations.wrap(made.module, made.tokenizer)
    found = [str(w.message) for w in recwarn if issubclass(w.category, devices.DeviceWarning)]
    assert len(found) == said
    assert all(f"is in {dtype}" in one and "use dtype float32 here" in one for one in found)
