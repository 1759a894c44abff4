"""The real model and the real tokenizers: what the fixtures give, and what is skipped without them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import real

from mi_bsa.core.errors import FetchError

TURN = {"llama3_1": "<|eot_id|>", "qwen3": "<|im_end|>", "gemma3": "<end_of_turn>"}


@pytest.mark.parametrize("name", list(TURN))
def test_a_tiny_model_stands_beside_each_real_tokenizer(
    name: str, real_vocabulary: Callable[[str], Path]
) -> None:
    """Its vocabulary covers every token, and a chat goes through it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = real_vocabulary(name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.model_type == real.FAMILY[name]
    assert model.config.vocab_size > max(tokenizer.get_vocab().values())
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    ids = tokenizer.apply_chat_template(talk, return_tensors="pt", return_dict=True)["input_ids"]
    assert tokenizer.convert_tokens_to_ids(TURN[name]) in ids[0]
    with torch.no_grad():
        assert torch.isfinite(model(ids).logits).all()


def test_the_real_model_is_what_its_card_says(smollm2: Path) -> None:
    """Thirty blocks, and a card that names the four bits."""
    from transformers import AutoConfig

    assert AutoConfig.from_pretrained(smollm2).num_hidden_layers == 30
    assert "dequantized from 4 bits (Q4_1)" in (smollm2 / "README.md").read_text()


@pytest.mark.parametrize("get", [real.smollm2, lambda: real.tokenizer("qwen3")])
def test_nothing_is_fetched_where_it_is_switched_off(
    get: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the switch off and an empty cache there is a reason, which becomes the skip's."""
    monkeypatch.setenv("MI_BSA_HOME", str(tmp_path))
    monkeypatch.setenv(real.SWITCH, "no network here")
    with pytest.raises(FetchError, match=r"not fetched \(no network here\)"):
        get()
    assert not any(tmp_path.iterdir())


def test_tests_without_the_model_are_skipped_with_the_reason(tmp_path: Path) -> None:
    """The whole way: an empty cache and nothing fetched is a skip that says why, not a failure."""
    wanted = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*wanted, f"{__file__}::test_the_real_model_is_what_its_card_says"],
        env=os.environ | {"MI_BSA_HOME": str(tmp_path), real.SWITCH: "0"},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
    assert f"smollm2 is not in the cache and is not fetched ({real.SWITCH}=0)" in done.stdout
