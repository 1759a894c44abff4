"""What ends an answer is the chat's own end, and nothing of a base's generation config changes an answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import activations
from activations import testing
from activations.generation import end_ids
from mi_bsa.asking.sampling import sample
from mi_bsa.core.items import Item

ENDS = {"llama3_1": "<|eot_id|>", "qwen3": "<|im_end|>", "gemma3": "<end_of_turn>"}
QUESTION = "which option do you choose ?"


@pytest.mark.parametrize("name", list(ENDS))
def test_real_vocabularies_end_their_turns(name: str, real_vocabulary: Callable[[str], Path]) -> None:
    """Also where the base's config names other tokens, or none; padding is none of the words."""
    model: Any = activations.load(real_vocabulary(name))
    end = model.tokenizer.convert_tokens_to_ids(ENDS[name])
    own = model.inner.generation_config.eos_token_id
    assert end in end_ids(model)
    assert set([own] if isinstance(own, int) else own) <= set(end_ids(model))
    for given in (None, 5, [5, 6]):
        model.inner.generation_config.eos_token_id = given
        assert end_ids(model)[0] == end
    assert model.pad_id == (end if model.tokenizer.pad_token_id is None else model.tokenizer.pad_token_id)


def test_smollm2_ends_its_turns(smollm2: Path) -> None:
    """Its end of turn is its padding too."""
    from transformers import AutoTokenizer

    from activations.conversation import stop_ids
    from activations.tokens import Template

    tokenizer = AutoTokenizer.from_pretrained(smollm2, local_files_only=True)
    assert stop_ids(Template(tokenizer)) == (tokenizer.convert_tokens_to_ids("<|im_end|>"),)


def test_nothing_of_the_bases_config_changes_an_answer(tmp_path: Path) -> None:
    """Penalties, forced and forbidden tokens, shortest lengths: answers stay as they are, drawn or not."""
    from transformers import GenerationConfig

    model: Any = activations.load(testing.build(tmp_path / "tiny"))
    item = Item("i", ({"role": "user", "content": QUESTION},), (("A", 0), ("B", 1)))

    def answers() -> tuple[Any, ...]:
        return (
            model.generate(QUESTION, max_new_tokens=12),
            model.generate(QUESTION, max_new_tokens=12, temperature=0.7, seed=1),
            sample(model, [item], 3, seed=0)["text"].tolist(),
        )

    plain = answers()
    given = GenerationConfig(
        repetition_penalty=3.0, min_new_tokens=9, suppress_tokens=list(range(6, 200)), forced_eos_token_id=300
    )
    model.inner.generation_config = given
    assert answers() == plain
    assert model.inner.generation_config is given
    with torch.no_grad():
        ids = torch.tensor([model.rows(QUESTION)[0].ids.tolist()])
        said = model.inner.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
        )
    assert model.tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True).strip() != plain[0]


def test_an_adapters_folder_changes_no_end(tmp_path: Path) -> None:
    """A generation config that lies beside an adapter is nobody's."""
    base = testing.build(tmp_path / "base")
    adapter = testing.build_adapter(tmp_path / "adapter", base)
    (adapter / "generation_config.json").write_text('{"eos_token_id": 9, "repetition_penalty": 3.0}')
    assert end_ids(activations.load(base, adapter=adapter)) == end_ids(activations.load(base))
