"""Case S1: an adapter made by PiSSA or OLoRA rewrote the base when it was loaded, and every number of the
base beside it. The base is the base: such adapters are refused with what to do, and all others leave its
fingerprint alone.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

import activations
from activations import testing
from activations.errors import AdapterError

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:.*is_gradient_checkpointing.*:FutureWarning"
    ),  # peft calls an old name
    pytest.mark.filterwarnings("ignore:.*eva_config.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Unsupported layer type.*:UserWarning"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama."""
    return testing.build(tmp_path_factory.mktemp("s01") / "base")


def made(base: Path, folder: Path, *, save: dict[str, Any] | None = None, **config: Any) -> Path:
    """A PEFT adapter with random factors, saved as PEFT does."""
    config.setdefault("target_modules", ["q_proj", "down_proj"])
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(base), LoraConfig(task_type="CAUSAL_LM", r=4, **config)
        )
        with torch.no_grad():
            for _, weight in model.named_parameters():
                if weight.requires_grad:
                    weight += 0.1 * torch.randn_like(weight)
        model.save_pretrained(folder, **(save or {}))
    return folder


def logits(model: activations.Model, variant: str = "base") -> torch.Tensor:
    with model.variant(variant):
        return model.logits(["which option do you choose ?", "hello"])


REWRITING = ("pissa", "pissa_niter_4", "olora", "lora_ga", "loftq", "corda", "something new")


@pytest.mark.parametrize("kind", REWRITING)
def test_what_rewrites_the_base_is_refused_with_what_to_do(base: Path, tmp_path: Path, kind: str) -> None:
    """By what the configuration says, so also kinds that cannot be made without data."""
    makes_itself = kind in ("pissa", "pissa_niter_4", "olora")
    path = made(base, tmp_path / "one", init_lora_weights=kind if makes_itself else True)
    config = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps(config | {"init_lora_weights": kind}))
    with pytest.raises(AdapterError, match="path_initial_model_for_weight_conversion") as error:
        activations.load(base, adapter=path)
    assert "\n" not in str(error.value)


def test_layer_replication_is_refused(base: Path, tmp_path: Path) -> None:
    """It makes a deeper base."""
    path = made(base, tmp_path / "deep", layer_replication=[(0, 2), (1, 3)])
    with pytest.raises(AdapterError, match="layer_replication"):
        activations.load(base, adapter=path)


@pytest.mark.parametrize("kind", [True, "gaussian", "orthogonal", "eva", "mica"])
def test_the_bases_fingerprint_is_the_same_beside_every_adapter(
    base: Path, tmp_path: Path, kind: bool | str
) -> None:
    """And its logits, bit for bit; the adapter is what PEFT makes of it."""
    path = made(base, tmp_path / "one", init_lora_weights=kind)
    alone = activations.load(base)
    model = activations.load(base, adapter=path)
    assert model.fingerprint == alone.fingerprint
    assert torch.equal(logits(model), logits(alone))
    peft = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(path)).eval()
    ids = torch.from_numpy(model.rows(["hello"])[0].ids)[None]
    with torch.no_grad():
        assert testing.close(logits(model, "adapter")[1], peft(input_ids=ids).logits[0, -1], 1e-5)


def test_a_pissa_adapter_that_was_converted_loads_and_is_what_it_was(base: Path, tmp_path: Path) -> None:
    """The remedy works: the converted adapter on the base equals the trained model on its rewritten base."""
    torch.manual_seed(0)
    config = LoraConfig(
        task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "down_proj"], init_lora_weights="pissa"
    )
    trained = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    config.init_lora_weights = True
    trained.save_pretrained(tmp_path / "start")
    with torch.no_grad():
        for name, weight in trained.named_parameters():
            if ".lora_" in name:
                weight += 0.1 * torch.randn_like(weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trained.save_pretrained(
            str(tmp_path / "converted"), path_initial_model_for_weight_conversion=str(tmp_path / "start")
        )
    model = activations.load(base, adapter=tmp_path / "converted")
    assert model.fingerprint == activations.load(base).fingerprint
    ids = torch.from_numpy(model.rows(["hello"])[0].ids)[None]
    with torch.no_grad():
        expected = trained.eval()(input_ids=ids).logits[0, -1]
    assert testing.close(logits(model, "adapter")[1], expected, 1e-4)


def test_one_bad_adapter_among_several_leaves_nothing_behind(base: Path, tmp_path: Path) -> None:
    """Also on a model in memory, which is as it was."""
    plain, bad = made(base, tmp_path / "plain"), made(base, tmp_path / "bad", init_lora_weights="olora")
    with pytest.raises(AdapterError, match="'two'"):
        activations.load(base, adapter={"one": plain, "two": bad})
    memory = AutoModelForCausalLM.from_pretrained(base)
    before = list(memory.state_dict())
    with pytest.raises(AdapterError, match="'two'"):
        activations.load(memory, adapter={"one": plain, "two": bad}, tokenizer=testing.tokenizer())
    assert list(memory.state_dict()) == before
    twice = activations.load(base, adapter={"one": plain, "two": plain})
    assert twice.fingerprint == activations.load(base).fingerprint
    assert torch.equal(logits(twice, "one"), logits(twice, "two"))


def test_a_pissa_model_in_memory_is_refused(base: Path) -> None:
    """Its base has been rewritten already."""
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base),
        LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj"], init_lora_weights="pissa"),
    )
    with pytest.raises(AdapterError, match="rewrites the base"):
        activations.wrap(model, testing.tokenizer())


def test_loading_leaves_the_random_state_alone(base: Path, tmp_path: Path) -> None:
    """No initialization is drawn."""
    path = made(base, tmp_path / "one")
    before = torch.random.get_rng_state()
    activations.load(base, adapter=path)
    assert torch.equal(before, torch.random.get_rng_state())
