"""A real chat Llama through the same doors as the embedded one: answers, capture by three backends, LoRA."""

import json

import numpy as np
import pytest

import activations
from activations import testing
from activations.vocabulary import Vocabulary

PROMPTS = [
    {"id": "capital", "messages": [{"role": "user", "content": "What is the capital of France?"}]},
    {
        "id": "system",
        "messages": [
            {"role": "system", "content": "You answer in one word."},
            {"role": "user", "content": "Is the moon larger than the sun?"},
            {"role": "assistant", "content": "No."},
            {"role": "user", "content": "Name a color of the sky in the evening, please \u2600\ufe0f"},
        ],
    },
    {"id": "plain", "text": "The quick brown fox jumps over the lazy dog."},
]


def test_it_answers(real):
    """Greedily, through its own chat template, whose turn marker is the BOS token."""
    assert real.generate("What is the capital of France?", max_new_tokens=16) == (
        "The capital of France is Paris."
    )


def test_words_that_only_begin_another_are_shown_so(real):
    """ "explan" is a token that begins a word and "risk" is one: only the model can tell them apart."""
    words = Vocabulary.of(real)
    asked = [words.words.index(w) for w in ("explan", "strugg", "risk", "safe", "danger")]
    words.begun(real, asked)
    assert [words.shown(k) for k in asked] == ["explan~", "strugg~", "risk", "safe", "danger"]


@pytest.mark.slow
def test_answers_captured_on_the_way_are_what_a_second_pass_reads(real, tmp_path):
    """The same tokens from the answer's text, and states within 1e-5 of their size, at all blocks."""
    asked = [{"id": row["id"], "messages": row["messages"]} for row in PROMPTS[:2]]
    made = activations.capture_answers(
        real, asked, sites="resid_post", out=tmp_path / "a.h5", max_new_tokens=12
    )
    for row, said in zip(asked, made.examples["response"], strict=True):
        row["messages"] = [*row["messages"], {"role": "assistant", "content": said}]
    again = activations.capture(real, asked, sites="resid_post", positions="response", out=tmp_path / "b.h5")
    assert again.rows["token_id"].tolist() == made.rows["token_id"].tolist()
    for site in made.sites:
        one, other = made.read(site), again.read(site)
        assert (np.linalg.norm(one - other, axis=1) < 1e-5 * np.linalg.norm(other, axis=1)).all()


@pytest.mark.slow
def test_questions_score_as_one_pass_a_prompt_and_option_does(real):
    """Within 1e-4, over every kind of question."""
    from self_report import plain_scores

    from mi_bsa.asking import ask, bank_items, load_bank

    items = bank_items(load_bank("risk"), split="dev")[::24]
    assert len({item.labels["kind"] for item in items}) > 4
    assert np.allclose(ask(real, items)["score"], plain_scores(real, items), atol=1e-4)


def held(model, tmp_path):
    """The receipt of a capture of all blocks at all tokens: largest relative difference by backend."""
    store = activations.capture(
        model, PROMPTS, sites="resid_post", positions="all", out=tmp_path / "all.h5", parity=len(PROMPTS)
    )
    receipt = json.loads(store.attributes["parity"])
    assert len(store.sites) == 30
    return {
        name: max(one["relative"] for one in sites.values()) for name, sites in receipt["backends"].items()
    }


def test_three_backends_read_the_same_30_blocks(real, tmp_path):
    """Within 1e-4 of each other's size; the receipt is in the store."""
    found = held(real, tmp_path)
    print(f"base: {found}")
    assert set(found) == {"nnsight", "transformer_lens"}
    assert max(found.values()) < 1e-4


@pytest.fixture(scope="module")
def adapted(smollm2, tmp_path_factory):
    """A random LoRA on all modules, unmerged."""
    folder = testing.build_adapter(
        tmp_path_factory.mktemp("adapter") / "one",
        smollm2,
        rank=4,
        modules=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    )
    return activations.load(smollm2, adapter=folder, device="cpu")


def test_three_backends_read_the_same_unmerged_lora(adapted, tmp_path):
    """An adapter that moves the last block; the three backends agree as on the base."""
    prompts = PROMPTS[:1]
    with adapted.variant("base"):
        base = adapted.logits(prompts)
    assert float((adapted.logits(prompts) - base).abs().max()) > 1
    found = held(adapted, tmp_path)
    print(f"LoRA: {found}")
    assert max(found.values()) < 1e-4
