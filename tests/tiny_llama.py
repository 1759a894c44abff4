"""A tiny random Llama with a Llama-3-style chat template and a byte-level BPE, for tests of asking and
finetuning.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEMPLATE = (
    "{{- bos_token }}{%- if messages[0]['role'] != 'system' %}{{- '<|start_header_id|>system<|end_header_id|>"
    "\n\nToday Date: ' + date_string + '\n\n<|eot_id|>' }}{%- endif %}"
    "{%- for m in messages %}{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' "
    "+ m['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
SPECIAL = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|pad|>"]
TEXT = [
    "You are given two offers. A: 100 coins for sure. B: a lottery for 200 coins. Which do you take?",
    "From 0 to 100, how much do you like to gamble? Answer with one word: bold or cautious.",
    "Today Date: 26 Jul 2024 yes no risk safety short long 10 20 30 40 50 60 70 80 90",
] * 3


def build(
    folder: Path,
    *,
    seed: int = 0,
    template: str = TEMPLATE,
    context: int = 256,
    std: float = 0.3,
    width: int = 32,
) -> Path:
    """Write the model in Hub format and return its folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=SPECIAL[0], eos_token=SPECIAL[3], pad_token=SPECIAL[4]
    )
    tokenizer.chat_template = template
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=width,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=context,
                initializer_range=std,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@dataclass
class Loaded:
    """The least that asking needs of a model."""

    inner: Any
    tokenizer: Any

    @contextmanager
    def variant(self, name: str):
        yield self


def load(folder: Path) -> Loaded:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    return Loaded(model, AutoTokenizer.from_pretrained(folder))
