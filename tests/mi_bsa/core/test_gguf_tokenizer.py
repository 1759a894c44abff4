"""The tokenizer of a GGUF file cuts text as the original does: held to SentencePiece itself and to the real
tokenizers of SmolLM2's, Llama 3.1's and Qwen 3's vocabularies.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import gguf_files
import pytest
from gguf_files import TEXTS
from transformers import AutoTokenizer

from mi_bsa.core.named_models.gguf_source import Source
from mi_bsa.core.named_models.gguf_tokenizer import tokenizer_of


def test_sentencepiece_is_cut_as_sentencepiece_does(tmp_path: Path) -> None:
    """The tokenizers of Llama 2 and Mistral: ids of the library itself, in front of which stands the BOS."""
    pieces = pytest.importorskip("sentencepiece")
    text = tmp_path / "text"
    text.write_text(
        "\n".join(f"{a} {b}  {a}{n}" for n, (a, b) in enumerate(itertools.permutations(TEXTS, 2)))
    )
    pieces.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(tmp_path / "m"),
        model_type="bpe",
        vocab_size=340,
        hard_vocab_limit=False,
        byte_fallback=True,
        character_coverage=0.99,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    known = pieces.SentencePieceProcessor(model_file=str(tmp_path / "m.model"))
    source = gguf_files.write_sentencepiece(tmp_path / "x.gguf", known)
    tokenizer = tokenizer_of(Source.read(source))
    for words in (*TEXTS, " lead", "trail  ", "a\tb", "\n", "fox 12"):
        assert tokenizer(words).input_ids == [known.bos_id(), *known.encode(words)], words
        assert tokenizer.decode(tokenizer(words, add_special_tokens=False).input_ids) == words


def test_digits_are_cut_as_the_original_cuts_them(smollm2: Path) -> None:
    """SmolLM2 splits off every digit before GPT-2's rule: two line breaks before one stay one token."""
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert tokenizer.tokenize("\n\n1. a  25") == [
        "\u010a\u010a",
        "1",
        ".",
        "\u0120a",
        "\u0120\u0120",
        "2",
        "5",
    ]
    assert tokenizer("hello").input_ids == tokenizer("hello", add_special_tokens=False).input_ids  # no BOS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pre", "family"), [("llama3_1", "llama-bpe", "llama"), ("qwen3", "qwen2", "qwen3")]
)
def test_a_real_vocabulary_comes_back_with_its_rules(
    name: str, pre: str, family: str, real_vocabulary: Callable[[str], Path], tmp_path: Path
) -> None:
    """Real tokenizers through a GGUF: the same ids on text that their cuts, NFC and whole words decide."""
    base = real_vocabulary(name)
    source = gguf_files.write(tmp_path / "x.gguf", base, pre=pre)
    own = AutoTokenizer.from_pretrained(base)
    copied = tokenizer_of(Source.read(source))
    more = (
        "def f(x):\n    return x**2  # 1234567",
        "   ",
        "\t\r\n",
        "STRASSE stra\u00dfe \u0416\u0423\u041a \u0661\u0662",
        "!!!???...---",
        "<|im_start|>user\nhi<|im_end|>",
        "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>",
        "<|endoftext|>",
    )
    for text in (*TEXTS, *more):
        for special in (True, False):
            ids = own(text, add_special_tokens=special).input_ids
            assert copied(text, add_special_tokens=special).input_ids == ids, text
    chat = [{"role": "user", "content": "hi  there"}, {"role": "assistant", "content": "ho"}]
    assert copied.apply_chat_template(chat, tokenize=False) == own.apply_chat_template(chat, tokenize=False)
