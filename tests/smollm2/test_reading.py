"""A real chat Llama through the same doors as the embedded one: answers, capture by three backends, LoRA."""

import json

import pytest

import activations
from activations import testing

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
