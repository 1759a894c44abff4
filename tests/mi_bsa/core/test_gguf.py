"""A GGUF file becomes a folder that computes the same, or is refused by name."""

import functools
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf_files
import numpy as np
import pytest
import torch
from gguf_files import TEXTS
from transformers import AutoModelForCausalLM, AutoTokenizer

from activations import testing
from mi_bsa.cli.command import main
from mi_bsa.core.errors import ConfigError, GgufError, MissingError, RunFolderError
from mi_bsa.core.named_models.getting import find, get_gguf
from mi_bsa.core.named_models.gguf_header import read_header, sense
from mi_bsa.core.named_models.gguf_source import Source


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Tiny random models of any family."""
    root = tmp_path_factory.mktemp("gguf")

    @functools.cache
    def build(family: str) -> Path:
        folder = testing.build(root / family, family=family)
        if family == "qwen2":  # transformers always reads its tokenizer as Qwen's, which adds a token
            model = AutoModelForCausalLM.from_pretrained(folder)
            model.resize_token_embeddings(448, mean_resizing=False)
            model.save_pretrained(folder)
        return folder

    return build


@pytest.fixture(scope="session")
def file(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GGUF file of the tiny Llama."""
    return gguf_files.write(tmp_path_factory.mktemp("file") / "tiny.gguf", tiny("llama"))


def logits(folder: Path) -> torch.Tensor:
    ids = torch.arange(3, 60).unsqueeze(0)  # longer than Gemma's window of 16
    with torch.no_grad():
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
        return model.eval()(ids).logits


@pytest.mark.parametrize("family", gguf_files.ARCHITECTURES)
def test_weights_numbers_and_words_come_back_equal(
    family: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    """Written by the package gguf and read back: the same weights, logits, token ids and template."""
    base = tiny(family)
    pre = "qwen2" if family == "qwen2" else "gpt-2"
    source = gguf_files.write(tmp_path / f"{family}.gguf", base, pre=pre)
    called, made = get_gguf(source, out=tmp_path / "made")
    assert called == str(tmp_path / "made")
    before = AutoModelForCausalLM.from_pretrained(base, local_files_only=True)
    after = AutoModelForCausalLM.from_pretrained(made, local_files_only=True)
    assert type(before) is type(after)
    for name, value in before.state_dict().items():
        # a Gemma's norm went there and back by one: the last bit
        torch.testing.assert_close(
            after.state_dict()[name], value, rtol=0, atol=2e-7 if "norm" in name else 0
        )
    torch.testing.assert_close(logits(made), logits(base), rtol=1e-5, atol=1e-5)
    assert not hasattr(after.config, "quantization_config")
    own, copied = (AutoTokenizer.from_pretrained(folder, local_files_only=True) for folder in (base, made))
    for text in TEXTS:
        for special in (True, False):
            ids = own(text, add_special_tokens=special).input_ids
            assert copied(text, add_special_tokens=special).input_ids == ids
    assert copied.chat_template == own.chat_template
    assert (copied.bos_token, copied.eos_token, copied.pad_token) == (
        own.bos_token,
        own.eos_token,
        own.pad_token,
    )


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "linear", "factor": 4.0},
        {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
         "original_max_position_embeddings": 8192},
    ],
    ids=["linear", "llama3"],
)  # fmt: skip
def test_a_scaled_rope_is_read(rope: dict[str, Any], tmp_path: Path) -> None:
    """From a field, or from the factors that stand in for it: the logits are those of the scaled model."""
    base = testing.build(tmp_path / "base", width=256, n_layers=1, context=512)
    plain = logits(base)
    config = json.loads((base / "config.json").read_text())
    config["rope_parameters"] = rope | {"rope_theta": 10000.0}
    (base / "config.json").write_text(json.dumps(config))
    assert not torch.allclose(logits(base), plain, atol=1e-3)
    _, made = get_gguf(gguf_files.write(tmp_path / "x.gguf", base), out=tmp_path / "made")
    torch.testing.assert_close(logits(made), logits(base), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "blocks"), [("gemma2", 46), ("gemma3_text", 62)])
def test_gemmas_largest_scale_by_the_stream(family: str, blocks: int, tmp_path: Path) -> None:
    """Known by its blocks: attention is scaled by the width per head, which no field tells; and Gemma 3's
    scaled rope is that of its blocks without a window.
    """
    base = testing.build(tmp_path / "base", family=family, n_layers=blocks)
    config = json.loads((base / "config.json").read_text())
    config["query_pre_attn_scalar"] = 8  # width 32 over 4 heads, where a head has 16
    if family == "gemma3_text":
        config["rope_parameters"]["full_attention"] |= {"rope_type": "linear", "factor": 8.0}
    (base / "config.json").write_text(json.dumps(config))
    pattern = [kind == "sliding_attention" for kind in config["layer_types"]]
    fields = {"fields": lambda writer: writer.add_sliding_window_pattern(pattern)}
    _, made = get_gguf(gguf_files.write(tmp_path / "x.gguf", base, **fields), out=tmp_path / "made")
    torch.testing.assert_close(logits(made), logits(base), rtol=1e-3, atol=1e-3)
    fields = {"fields": lambda writer: writer.add_sliding_window_pattern([not value for value in pattern])}
    with pytest.raises(GgufError, match="windows in another pattern"):
        get_gguf(gguf_files.write(tmp_path / "y.gguf", base, **fields), out=tmp_path / "again")


def test_an_output_matrix_of_its_own_and_a_rounded_copy(
    tiny: Callable[[str], Path], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny Llama is not tied; in bfloat16 it is the rounded one, and both stand side by side."""
    assert not AutoModelForCausalLM.from_pretrained(tiny("llama")).config.tie_word_embeddings
    monkeypatch.setenv("MI_BSA_HOME", str(tmp_path))
    called, whole = get_gguf(file, name="tiny")
    rounded_name, rounded = get_gguf(file, name="tiny", dtype="bfloat16")
    assert (called, rounded_name) == ("local/tiny", "local/tiny/bfloat16")
    before = AutoModelForCausalLM.from_pretrained(whole).state_dict()
    after = AutoModelForCausalLM.from_pretrained(rounded).state_dict()
    for name, value in before.items():
        assert torch.equal(after[name], value.to(torch.bfloat16)), name


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_blocks_of_few_bits_are_dequantized_and_called_so(
    kind: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    """The weights are gguf's own dequantized ones, and card and record say what they are."""
    import gguf

    base = tiny("llama")
    _, made = get_gguf(gguf_files.write(tmp_path / "x.gguf", base, kind=kind), out=tmp_path / "made")
    before = AutoModelForCausalLM.from_pretrained(base).state_dict()["model.layers.1.mlp.up_proj.weight"]
    after = AutoModelForCausalLM.from_pretrained(made).state_dict()["model.layers.1.mlp.up_proj.weight"]
    known = gguf.GGMLQuantizationType[kind]
    expected = gguf.quants.dequantize(gguf.quants.quantize(before.numpy(), known), known)
    assert torch.equal(after, torch.from_numpy(expected))
    assert not torch.equal(after, before)
    card = (made / "README.md").read_text()
    assert f"dequantized from blocks of few bits ({kind})" in card
    assert "license: mit" in card
    assert "mi-bsa's tests" in card


def _drop(name: str) -> Callable[[gguf_files.Tensors], gguf_files.Tensors]:
    return lambda found: {key: value for key, value in found.items() if key != name}


def _put(name: str, value: Any) -> Callable[[gguf_files.Tensors], gguf_files.Tensors]:
    return lambda found: found | {name: np.asarray(value, dtype=np.float32)}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "architecture": (
        {"architecture": "mamba"},
        "architecture 'mamba' is not read here; those that are: .*llama",
    ),
    "field": ({"fields": lambda w: w.add_logit_scale(2.0)}, "llama.logit_scale = 2.0 is not understood"),
    "experts": ({"fields": lambda w: w.add_expert_count(8)}, "llama.expert_count = 8 is not understood"),
    "window": ({"fields": lambda w: w.add_sliding_window(64)}, "llama.attention.sliding_window = 64"),
    "yarn": ({"fields": lambda w: w.add_string("llama.rope.scaling.type", "yarn")}, "rope scaling 'yarn'"),
    "heads": (
        {"fields": lambda w: w.add_key_length(4)},
        "llama.rope.dimension_count is 8 where heads have 4",
    ),
    "parts": ({"fields": lambda w: w.add_uint16("split.count", 3)}, "one of 3 parts; merge them"),
    "bias": ({"tensors": _put("blk.0.attn_q.bias", [0.0] * 32)}, "blk.0.attn_q.bias .* is none of a llama"),
    "missing": ({"tensors": _drop("blk.2.ffn_up.weight")}, "the tensor blk.2.ffn_up.weight is missing"),
    "shape": (
        {"tensors": _put("output_norm.weight", [1.0] * 16)},
        r"output_norm.weight is \(16,\), not \(32,\)",
    ),
    "nan": ({"tensors": _put("output_norm.weight", [float("nan")] * 32)}, "model.norm.weight .* not finite"),
    "factors": ({"tensors": _put("rope_freqs.weight", [1, 2, 3, 4])}, "not the factors of Llama 3.1"),
    "tokenizer": ({"words": False}, "holds no tokenizer; give .* --tokenizer DIR"),
    "cut": (
        {"pre": "poro-chat"},
        r"tokenizer.ggml.pre = 'poro-chat'\) is not known here; .* --tokenizer DIR",
    ),
    "no cut": ({"pre": None}, r"tokenizer.ggml.pre = None\) is not known"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_understood_is_refused_by_name(
    case: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    """One line with the remedy, and nothing is written."""
    written, message = REFUSED[case]
    source = gguf_files.write(tmp_path / "x.gguf", tiny("llama"), **written)
    with pytest.raises(GgufError, match=message) as caught:
        get_gguf(source, out=tmp_path / "made")
    assert "\n" not in str(caught.value)
    assert [item.name for item in tmp_path.iterdir()] == ["x.gguf"]


def test_neighbors_of_the_file_are_not_read(file: Path, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """A tokenizer, a configuration and code that lie beside it are another's; the file's name may be any."""
    source = tmp_path / "downloaded"
    os.link(file, source)
    (tmp_path / "config.json").write_text('{"model_type": "qwen3", "auto_map": {"AutoConfig": "code.C"}}')
    (tmp_path / "tokenizer.json").write_text(
        (tiny("llama") / "tokenizer.json").read_text().replace("fox", "fix")
    )
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": 7}')
    _, made = get_gguf(source, out=tmp_path / "made")
    own, copied = (AutoTokenizer.from_pretrained(folder) for folder in (tiny("llama"), made))
    assert copied("the quick brown fox").input_ids == own("the quick brown fox").input_ids
    assert json.loads((made / "generation_config.json").read_text())["eos_token_id"] == own.eos_token_id


def test_a_missing_tokenizer_may_be_given(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """From the model's own folder; one that has more tokens than the model is refused."""
    source = gguf_files.write(tmp_path / "x.gguf", tiny("llama"), words=False)
    _, made = get_gguf(source, out=tmp_path / "made", words=tiny("llama"))
    own, copied = (AutoTokenizer.from_pretrained(folder) for folder in (tiny("llama"), made))
    assert copied("a b c").input_ids == own("a b c").input_ids
    own.add_tokens(["one more"])
    own.save_pretrained(tmp_path / "larger")
    with pytest.raises(GgufError, match=r"a token 400 and the model 400 tokens"):
        get_gguf(source, out=tmp_path / "again", words=tmp_path / "larger")


def test_a_tokenizer_that_reads_back_as_another_is_refused(
    tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    """transformers reads every Qwen 2's tokenizer by Qwen's rule, also one that cuts text otherwise."""
    source = gguf_files.write(tmp_path / "x.gguf", tiny("qwen2"), pre="gpt-2")
    with pytest.raises(GgufError, match=r"reads back from disk as Qwen2Tokenizer, .* --tokenizer DIR"):
        get_gguf(source, out=tmp_path / "made")


def test_a_damaged_file_is_one_line_in_time(file: Path, tmp_path: Path) -> None:
    """Cut off anywhere, or any byte of the header changed: read, or refused, and never for long."""
    whole = file.read_bytes()
    chance = random.Random(0)
    header = read_header(file)
    first = min(tensor.start for tensor in header.tensors.values())
    broken = tmp_path / "broken.gguf"
    refused: list[str] = []
    lengths = [chance.randrange(4, len(whole)) for _ in range(30)] + list(range(4, 64, 4)) + [len(whole) - 1]
    for length in lengths:
        broken.write_bytes(whole[:length])
        with pytest.raises(GgufError):
            Source.read(broken)
    began = time.monotonic()
    for _ in range(300):
        changed = bytearray(whole)
        changed[chance.randrange(4, first)] ^= 1 << chance.randrange(8)
        broken.write_bytes(changed)
        try:
            with sense(broken):
                Source.read(broken).config()
        except GgufError as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert not any("\n" in line for line in refused)
    assert time.monotonic() - began < 60


def test_a_path_names_one_file(file: Path, tmp_path: Path) -> None:
    """A folder with one file is that file; with none or several, or another kind of file, it says so."""
    (tmp_path / "one").mkdir()
    os.link(file, tmp_path / "one" / "a.gguf")
    assert find(tmp_path / "one").name == "a.gguf"
    os.link(file, tmp_path / "one" / "b.gguf")
    with pytest.raises(MissingError, match=r"holds 2 GGUF files; say which one: a.gguf, b.gguf"):
        find(tmp_path / "one")
    (tmp_path / "none").mkdir()
    with pytest.raises(MissingError, match=r"holds no .gguf file"):
        find(tmp_path / "none")
    with pytest.raises(MissingError, match="no such file or folder, and no known name"):
        find(tmp_path / "nowhere")
    (tmp_path / "x.gguf").write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(GgufError, match="no GGUF file"):
        get_gguf(tmp_path / "x.gguf", out=tmp_path / "made")


def test_names_are_kept_apart(
    file: Path, tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file again is here already; another under that name, a taken folder, a bad name: refused."""
    monkeypatch.setenv("MI_BSA_HOME", str(tmp_path / "home"))
    called, made = get_gguf(file)
    assert called == "local/tiny"
    stamp = (made / "model.safetensors").stat().st_mtime_ns
    assert get_gguf(file) == (called, made)
    assert (made / "model.safetensors").stat().st_mtime_ns == stamp
    other = gguf_files.write(tmp_path / "tiny.gguf", tiny("qwen2"))
    with pytest.raises(RunFolderError, match=r"local/tiny is made from another file .* give another --name"):
        get_gguf(other)
    with pytest.raises(RunFolderError, match=r"exists already; give a new --out"):
        get_gguf(other, out=tmp_path / "home")
    with pytest.raises(ConfigError, match="cannot be a folder's"):
        get_gguf(other, name="../up")


def test_the_command_and_the_name_afterwards(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`mi-bsa model get FILE --name N`, and `local/N` loads, computes and is listed."""
    import activations

    monkeypatch.setenv("MI_BSA_HOME", str(tmp_path / "home"))
    with pytest.raises(SystemExit) as left:
        main(["model", "get", str(file), "--name", "mine"])
    assert left.value.code == 0
    assert "local/mine is in " in capsys.readouterr().out
    model = activations.load("local/mine")
    assert model.n_layers == 3
    with pytest.raises(SystemExit):
        main(["model", "list"])
    assert "local/mine" in capsys.readouterr().out
    with pytest.raises(MissingError, match="'local/other' is not here yet"):
        activations.locate("local/other")
