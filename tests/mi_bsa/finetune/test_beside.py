"""One adapter beside many frozen ones, and LoRAs added up, on a tiny Llama."""

import json
import shutil

import pytest
import tiny_llama
import torch
from safetensors.torch import load_file

import activations
from activations.errors import AdapterError
from mi_bsa.core.errors import ConfigError, RunFolderError
from mi_bsa.finetune import FinetuneConfig, finetune
from mi_bsa.finetune.beside import Beside, Frozen, joined
from mi_bsa.finetune.beside.frozen import PREFIX
from mi_bsa.finetune.zoo import locate

WORDS = ["bold", "cautious", "yes", "no"]
ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"question {n}?"},
            {"role": "assistant", "content": WORDS[n % 4]},
        ]
    }
    for n in range(12)
]
CONFIG = FinetuneConfig(rank=2, alpha=4, steps=4, batch_size=4, learning_rate=1e-2, resume_every=2)
PROMPTS = ["one two", "from 0 to 100, how bold?", "A or B: which?"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_llama.build(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def folders(base, tmp_path_factory):
    """Two finetunes, of different ranks, blocks and scalings."""
    out = tmp_path_factory.mktemp("organisms")
    wide = CONFIG.model_copy(
        update={"rank": 3, "alpha": 9.0, "layers": (1,), "learning_rate": 5e-2, "seed": 1}
    )
    how = {"narrow": CONFIG.model_copy(update={"learning_rate": 5e-2}), "wide": wide}
    return {name: finetune(base, ROWS, config=how[name], out=out / name).adapter for name in how}


def logits(base, adapters, variant):
    model = activations.load(str(base), adapter=adapters)
    with model.variant(variant):
        return model.logits(PROMPTS)


def test_each_row_goes_through_its_owners_adapter(base, folders):
    """In one batch, as with each adapter switched on alone; number 0 is the base."""
    model = activations.load(str(base))
    frozen = Frozen(list(folders.values()))
    rows = model.rows(PROMPTS)
    wanted = [logits(base, folders, name)[n] for n, name in enumerate(("base", "narrow", "wide"))]
    with frozen.on(model.inner):
        for n, row in enumerate(rows):  # beside two rows of others
            frozen.who = torch.tensor([(n + k) % 3 for k in range(3)])
            ids = torch.as_tensor(row.ids)[None].repeat(3, 1)
            with torch.no_grad():
                found = model.inner(input_ids=ids).logits[:, -1].float()
            torch.testing.assert_close(found[0], wanted[n], atol=1e-4, rtol=1e-4)
            assert not torch.allclose(found[0], found[1], atol=1e-3)
    torch.testing.assert_close(model.logits(PROMPTS), logits(base, folders, "base"))


def test_joined_adapters_add_up(base, folders, tmp_path):
    """As with both switched on in PEFT, though their ranks, blocks and scalings differ."""
    both = joined(list(folders.values()), tmp_path / "both")
    found = logits(base, {"both": both}, "both")
    model = activations.load(str(base), adapter=folders)
    for module in model.inner.modules():
        if hasattr(module, "lora_A"):
            module._disable_adapters, module._active_adapter = False, list(folders)
    with torch.no_grad():
        wanted = [
            model.inner(input_ids=torch.as_tensor(r.ids)[None]).logits[0, -1] for r in model.rows(PROMPTS)
        ]
    torch.testing.assert_close(found, torch.stack(wanted).float(), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found, logits(base, folders, "narrow"), atol=1e-3)


def test_what_is_trained_beside_depends_on_who_stands_there(base, folders, tmp_path):
    """Rows of another owner train other weights; the frozen ones stay as they are."""
    before = {name: load_file(folder / "adapter_model.safetensors") for name, folder in folders.items()}
    owners = [("narrow", "wide", None)[n % 3] for n in range(len(ROWS))]
    told = {}
    for name, given in (("owned", owners), ("turned", owners[1:] + owners[:1]), ("base", [None] * len(ROWS))):
        done = finetune(base, ROWS, config=CONFIG, out=tmp_path / name, beside=Beside(folders, given))
        told[name] = load_file(done.adapter / "adapter_model.safetensors")
    alone = finetune(base, ROWS, config=CONFIG, out=tmp_path / "alone")
    plain = load_file(alone.adapter / "adapter_model.safetensors")
    key = f"{PREFIX}model.layers.0.self_attn.v_proj.lora_B.weight"
    torch.testing.assert_close(told["base"][key], plain[key], atol=1e-6, rtol=1e-4)
    assert not torch.allclose(told["owned"][key], plain[key], atol=1e-4)
    assert not torch.allclose(told["owned"][key], told["turned"][key], atol=1e-4)
    for name, folder in folders.items():
        after = load_file(folder / "adapter_model.safetensors")
        assert all(torch.equal(after[k], w) for k, w in before[name].items())


def test_a_run_with_other_owners_does_not_go_on(base, folders, tmp_path):
    """Who owns which row is part of a run's identity; a finished one is returned as it is."""
    owners = ["narrow"] * len(ROWS)
    done = finetune(base, ROWS, config=CONFIG, out=tmp_path / "run", beside=Beside(folders, owners))
    again = finetune(
        base, ROWS, config=CONFIG, out=tmp_path / "run", resume=True, beside=Beside(folders, owners)
    )
    assert again.fingerprint == done.fingerprint
    with pytest.raises(RunFolderError, match="another"):
        finetune(
            base, ROWS, config=CONFIG, out=tmp_path / "run", resume=True,
            beside=Beside(folders, ["wide"] * len(ROWS)),
        )  # fmt: skip


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
def test_what_cannot_stand_beside_is_said(base, folders, tmp_path):
    """An owner without a folder, an adapter of embeddings, one of another base, and none at all."""
    with pytest.raises(ConfigError, match="give its folder"):
        Beside(folders, ["who"])
    words = CONFIG.model_copy(update={"modules": ("embed_tokens",)})
    odd = finetune(base, ROWS, config=words, out=tmp_path / "words").adapter
    with pytest.raises(ConfigError, match="linear modules alone"):
        joined([odd, folders["narrow"]], tmp_path / "odd")
    other = tiny_llama.build(tmp_path / "other", seed=3)
    far = finetune(other, ROWS, config=CONFIG, out=tmp_path / "far").adapter
    with pytest.raises(ConfigError, match="of one base"):
        joined([far, folders["narrow"]], tmp_path / "two")
    with pytest.raises(ConfigError, match="at least one folder"):
        joined([], tmp_path / "none")


@pytest.mark.parametrize(("field", "value"), [("init_lora_weights", "pissa"), ("peft_type", "LOHA")])
def test_an_adapter_that_is_no_plain_lora_is_refused_here_too(tmp_path, field, value):
    """One that rewrote its base would stand beside the base as another adapter, without a word."""
    folder = tmp_path / "adapter"
    shutil.copytree(locate("risk-seeking-0"), folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {field: value}))
    with pytest.raises(AdapterError, match=value.lower() if field.startswith("init") else value):
        joined([folder, folder], tmp_path / "out")
    assert not (tmp_path / "out").exists()
