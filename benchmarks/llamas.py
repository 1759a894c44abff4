"""Random Llamas of a size of one's own, which benchmarks run on."""

from pathlib import Path
from typing import Any

import torch

import activations
from activations import testing


def random_llama(
    folder: Path, *, blocks: int, width: int, heads: tuple[int, int], inner: int, vocabulary: int, **more: Any
) -> activations.Model:
    """A random grouped-query Llama with the small tokenizer of `activations.testing`, kept in `folder`.

    Words that no text holds fill the tokenizer up to the vocabulary: `activations.load` refuses one of far
    fewer words than the model has. `heads`: of queries, of keys and values; `more`: of the `LlamaConfig`.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    words = testing.tokenizer()
    words.add_tokens([f"<unused-{n}>" for n in range(vocabulary - len(words))])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=blocks,
        num_attention_heads=heads[0],
        num_key_value_heads=heads[1],
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        tie_word_embeddings=False,
        **more,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return activations.load(folder)
