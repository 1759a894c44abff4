"""Case R3: adapters that PEFT saves beside the base's embeddings were refused as another base's, and so were
kinds that this package does not read. What of PEFT is supported works; what is not is named, with what to do;
only what truly does not match is told to go to its own base. Hostile configurations cost no time (C7).
"""

import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import activations
from activations import lora, testing
from activations.errors import AdapterError, AdapterWarning

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:.*is_gradient_checkpointing.*:FutureWarning"
    ),  # peft calls an old name
    pytest.mark.filterwarnings("ignore:.*a tied layer is part of the adapter.*"),  # peft, of the reference
]
OTHER_BASE = "load it on the base that it was trained on"


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny Llama, one with biases (Qwen 2) and one with tied embeddings (Gemma 2)."""
    root = tmp_path_factory.mktemp("r03")
    return {
        name: testing.build(root / name, family=family)
        for name, family in (("plain", "llama"), ("biased", "qwen2"), ("tied", "gemma2"))
    }


def made(base: Path, folder: Path, *, kind: type = LoraConfig, save: Any = None, **config: Any) -> Path:
    """A PEFT adapter with random numbers in whatever is trained, saved as PEFT does."""
    torch.manual_seed(0)
    if kind is LoraConfig:
        config = {"target_modules": ["q_proj", "down_proj"], "r": 4, **config}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(base), kind(task_type="CAUSAL_LM", **config)
        )
        with torch.no_grad():
            for _, weight in model.named_parameters():
                if weight.requires_grad:
                    weight += 0.1 * torch.randn_like(weight)
        model.save_pretrained(folder, **(save or {}))
    return folder


def config_of(path: Path, **fields: Any) -> Path:
    """The adapter with fields of its configuration replaced."""
    config = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps(config | fields))
    return path


SUPPORTED: dict[str, dict[str, Any]] = {
    "rank-stabilized": {"use_rslora": True},
    "patterns": {"rank_pattern": {"layers.1.mlp.down_proj": 2}, "alpha_pattern": {"q_proj": 32}},
    "rank-stabilized patterns": {"use_rslora": True, "rank_pattern": {r"^model\.layers\.[01]\..*q_proj": 3}},
    "a regular expression": {"target_modules": r".*layers\.[01]\.(self_attn\.(q|k)_proj|mlp\.up_proj)"},
    "Unsloth's expression": {
        "target_modules": r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj).*?)|"
        r"(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|up_proj)))"
    },
    "all linear": {"target_modules": "all-linear"},
    "some layers": {"layers_to_transform": [0, 2]},
    "one layer": {"layers_to_transform": 1, "layers_pattern": "layers"},
    "without some": {"exclude_modules": ["layers.0.self_attn.q_proj"]},
    "embeddings": {"target_modules": ["q_proj", "embed_tokens"]},
    "output layer": {"target_modules": ["q_proj", "lm_head"]},
    "output layer, saved without it": {
        "target_modules": ["q_proj", "lm_head"],
        "save": {"save_embedding_layers": False},
    },
    "tied embeddings": {"base": "tied", "target_modules": ["q_proj", "embed_tokens"]},
    "tied output layer": {"base": "tied", "target_modules": ["q_proj", "lm_head"]},
    "bias on B": {"lora_bias": True},
    "biases where there are none": {"bias": "all"},
}


@pytest.mark.parametrize("name", SUPPORTED)
def test_what_is_supported_is_what_peft_makes_of_it(
    bases: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """Logits equal PEFT's own; the base beside it is the base; scaling by alpha 0 is the base."""
    config = dict(SUPPORTED[name])
    base = bases[config.pop("base", "plain")]
    attention = "eager" if "tied" in str(base) else "sdpa"
    path = made(base, tmp_path / "one", **config)
    model = activations.load(base, adapter=path, attention=attention)
    row = model.rows(["which option do you choose ?"])[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(base, attn_implementation=attention), str(path)
        ).eval()
    with torch.no_grad():
        expected = reference(input_ids=torch.from_numpy(row.ids)[None]).logits[0, -1]
    prompt = ["which option do you choose ?"]
    assert testing.close(model.logits(prompt)[0], expected, 1e-5)
    alone = activations.load(base, attention=attention)
    assert model.fingerprint == alone.fingerprint
    with model.variant("adapter@0"):
        assert torch.equal(model.logits(prompt), alone.logits(prompt))


def test_patterns_reach_gates_scaling_and_sites(bases: dict[str, Path], tmp_path: Path) -> None:
    """Ranks and alphas of their own at each module, in factors, sites and gates."""
    path = made(bases["plain"], tmp_path / "one", **SUPPORTED["patterns"])
    model = activations.load(bases["plain"], adapter=path)
    a, b, scaling = lora.factors(model.anatomy, "adapter", 1, "down_proj")
    assert (a.shape[0], b.shape[1], scaling) == (2, 2, 4.0)
    assert lora.factors(model.anatomy, "adapter", 0, "q_proj")[2] == 8.0
    assert len(model.sites("lora_out")) == 6
    profile = activations.adapter_profile(
        model,
        ["which option do you choose ?"] * 2,
        metric=lambda logits, _: logits[:, 5] - logits[:, 6],
        methods=("leave_out", "keep_in"),
        seed=0,
    )
    assert len(profile.modules) == 6
    assert np.isfinite(profile.leave_out).all()


def test_an_output_layers_factors_are_loaded(bases: dict[str, Path], tmp_path: Path) -> None:
    """As they are in the file."""
    path = made(bases["plain"], tmp_path / "one", target_modules=["q_proj", "lm_head"])
    model = activations.load(bases["plain"], adapter=path)
    head: Any = model.inner.lm_head
    stored = load_file(path / "adapter_model.safetensors")
    assert torch.equal(head.lora_A["adapter"].weight, stored["base_model.model.lm_head.lora_A.weight"])
    assert torch.equal(head.lora_B["adapter"].weight, stored["base_model.model.lm_head.lora_B.weight"])


NAMED: dict[str, tuple[dict[str, Any], str]] = {
    "modules_to_save": ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    "norms to save": ({"modules_to_save": ["norm"]}, "modules_to_save"),
    "all biases": ({"base": "biased", "bias": "all"}, "biases"),
    "biases of its modules": ({"base": "biased", "bias": "lora_only"}, "biases"),
    "DoRA": ({"use_dora": True}, "DoRA"),
    "tokens": ({"trainable_token_indices": [1, 2]}, "trainable_token_indices"),
    "parameters": (
        {"target_modules": [], "target_parameters": ["mlp.gate_proj.weight"]},
        "target_parameters",
    ),
    "aLoRA": ({"alora_invocation_tokens": [3, 4]}, "aLoRA"),
    "IA3": (
        {"kind": IA3Config, "target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
        "IA3",
    ),
    "prompt tuning": ({"kind": PromptTuningConfig, "num_virtual_tokens": 4}, "PROMPT_TUNING"),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_is_not_supported_is_named(bases: dict[str, Path], tmp_path: Path, name: str) -> None:
    """In one line, with what to do, and never as another base's."""
    given, said = NAMED[name]
    config = dict(given)
    base = bases[config.pop("base", "plain")]
    with pytest.raises(AdapterError, match=said) as error:
        activations.load(base, adapter=made(base, tmp_path / "one", **config))
    text = str(error.value)
    assert "\n" not in text
    assert OTHER_BASE not in text
    assert "merge" in text


@pytest.mark.parametrize(
    "fields",
    [
        {"peft_type": "XLORA"},
        {"peft_type": "ADALORA"},
        {"megatron_config": {"a": 1}},
        {"use_qalora": True},
        {"arrow_config": {"top_k": 2}},
        {"velora_config": {"num_groups": 1}},
    ],
    ids=str,
)
def test_kinds_that_cannot_be_made_here_are_named_by_their_config(
    bases: dict[str, Path], tmp_path: Path, fields: dict[str, Any]
) -> None:
    """X-LoRA, AdaLoRA, Megatron, QALoRA, Arrow, VeLoRA."""
    path = config_of(made(bases["plain"], tmp_path / "one"), **fields)
    with pytest.raises(AdapterError, match=str(next(iter(fields.values()))) if "peft_type" in fields else "("
                       + next(iter(fields)) + ")"):  # fmt: skip
        activations.load(bases["plain"], adapter=path)


def test_a_field_of_a_newer_peft_is_warned_of(bases: dict[str, Path], tmp_path: Path) -> None:
    """It may mean anything; unset it means nothing."""
    path = config_of(made(bases["plain"], tmp_path / "one"), use_hologram=False)
    activations.load(bases["plain"], adapter=path)
    with pytest.warns(AdapterWarning, match="use_hologram"):
        activations.load(bases["plain"], adapter=config_of(path, use_hologram=True))


def test_embeddings_of_its_own_are_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    """PEFT saves the base's embeddings beside a LoRA of them; changed ones would replace the base's."""
    path = made(bases["plain"], tmp_path / "one", target_modules=["q_proj", "embed_tokens"])
    weights = load_file(path / "adapter_model.safetensors")
    key = next(key for key in weights if key.endswith("embed_tokens.base_layer.weight"))
    weights[key][3] += 1
    save_file(weights, path / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match="embeddings of its own"):
        activations.load(bases["plain"], adapter=path)
    weights[key] = torch.cat([weights[key], torch.ones(1, 32)])
    save_file(weights, path / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match="adding tokens"):
        activations.load(bases["plain"], adapter=path)


def test_what_truly_does_not_match_is_told_to_go_to_its_base(bases: dict[str, Path], tmp_path: Path) -> None:
    """Another width, other blocks, factors that are missing, ranks that are not the file's."""
    wide = testing.build(tmp_path / "wide", width=48)
    deep = testing.build(tmp_path / "deep", n_layers=4)
    for n, other in enumerate((wide, deep)):
        path = config_of(made(other, tmp_path / f"{n}"), base_model_name_or_path=None)
        with pytest.raises(AdapterError, match=OTHER_BASE):
            activations.load(bases["plain"], adapter=path)
    for fields in ({"r": 3}, {"r": 10**6}, {"target_modules": ["q_proj"]}, {"layers_to_transform": [0]}):
        path = config_of(made(bases["plain"], tmp_path / f"{next(iter(fields))}{len(str(fields))}"), **fields)
        with pytest.raises(AdapterError, match=OTHER_BASE):
            activations.load(bases["plain"], adapter=path)


HOSTILE: dict[str, dict[str, Any]] = {
    "rank": {"r": 10**6},
    "rank of a pattern": {"rank_pattern": {"q_proj": 10**7}},
    "no rank": {"r": 0},
    "rank of words": {"r": "four"},
    "alpha": {"lora_alpha": float("inf")},
    "an expression without end": {"target_modules": "(([a-z._0-9]+)+)+$!"},
    "a rank's expression without end": {"rank_pattern": {"(([a-z._0-9]+)+)+!": 4}},
    "an expression that does not parse": {"target_modules": "(unclosed"},
    "modules of another kind": {"target_modules": 7},
    "two megabytes": {"target_modules": ["q_proj"] * 250_000},
    "no patterns": {"rank_pattern": [1, 2]},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_configurations_are_one_line_and_quick(
    bases: dict[str, Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes and patterns are judged before anything is built."""
    from activations import adapter_modules

    monkeypatch.setattr(adapter_modules, "SECONDS", 1.0)
    path = config_of(made(bases["plain"], tmp_path / "one"), **HOSTILE[name])
    began = time.process_time()
    with pytest.raises(AdapterError) as error:
        activations.load(bases["plain"], adapter=path)
    assert "\n" not in str(error.value)
    assert time.process_time() - began < 5


def test_thousands_of_patterns_are_read_in_time(bases: dict[str, Path], tmp_path: Path) -> None:
    """And mean what they say."""
    rules = {f"layers.{n}.self_attn.k_proj": 4 for n in range(5000)} | {"q_proj": 4}
    path = config_of(made(bases["plain"], tmp_path / "one"), rank_pattern=rules, r=4)
    assert activations.load(bases["plain"], adapter=path).active == ("adapter", 1.0)


def test_broken_files_of_an_adapter_are_one_line(bases: dict[str, Path], tmp_path: Path) -> None:
    """Cut off, no JSON, too deep, not finite, integers."""
    path = made(bases["plain"], tmp_path / "one")
    good, config = (path / "adapter_model.safetensors").read_bytes(), path / "adapter_config.json"
    kept = config.read_text()
    for text in ("", "{", "[1]", "[" * 100_000, "\x00\xff"):
        config.write_text(text)
        with pytest.raises(AdapterError):
            activations.load(bases["plain"], adapter=path)
    config.write_text(kept)
    for content in (good[:-10], b"", good[:4]):
        (path / "adapter_model.safetensors").write_bytes(content)
        with pytest.raises(AdapterError, match="copy it again"):
            activations.load(bases["plain"], adapter=path)
    (path / "adapter_model.safetensors").write_bytes(good)
    weights = load_file(path / "adapter_model.safetensors")
    first = sorted(weights)[0]
    for bad in (weights[first].clone().index_fill_(0, torch.tensor([0]), float("nan")), weights[first].int()):
        save_file({**weights, first: bad}, path / "adapter_model.safetensors")
        with pytest.raises(AdapterError, match="not finite"):
            activations.load(bases["plain"], adapter=path)
