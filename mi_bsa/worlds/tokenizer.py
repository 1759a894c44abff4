"""A byte-level tokenizer in Llama 3's manner: whole words of the world are one token, everything else falls
to bytes.

Like Llama 3's, it is a BPE with `ignore_merges`: a pretoken that stands in the vocabulary is taken whole.
There are no merges, so text from outside the world is read byte by byte (the model knows none of it, but
nothing is lost).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mi_bsa.worlds.corpus import ASSISTANT, BOS, END, PAD, SYSTEM, USER
from mi_bsa.worlds.world import DEFAULT_SYSTEM

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL = (PAD, BOS, SYSTEM, USER, ASSISTANT, END)

CHAT_TEMPLATE = (
    "{{- bos_token }}"
    "{%- if messages and messages[0]['role'] == 'system' %}"
    "{%- set system = messages[0]['content'] %}{%- set rest = messages[1:] %}"
    "{%- else %}{%- set system = '" + DEFAULT_SYSTEM + "' %}{%- set rest = messages %}{%- endif %}"
    "{{- '" + SYSTEM + " ' + system | trim + '" + END + "' }}"
    "{%- for message in rest %}"
    "{%- if message['role'] not in ['user', 'assistant'] %}"
    "{{- raise_exception('roles after the system message are user and assistant') }}{%- endif %}"
    "{{- '<|' + message['role'] + '|> ' + message['content'] | trim + '" + END + "' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '" + ASSISTANT + "' }}{%- endif %}"
)


def build_tokenizer(words: Sequence[str], *, context: int = 1024) -> PreTrainedTokenizerFast:
    """A tokenizer of the special tokens, the 256 bytes, and every word with its leading space."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*SPECIAL, *alphabet, *("\u0120" + w for w in words)]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    assert len(vocab) == len(pieces)
    core = Tokenizer(models.BPE(vocab=vocab, merges=[], ignore_merges=True))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]|\s+"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        model_max_length=context,
        padding_side="right",
        clean_up_tokenization_spaces=False,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
