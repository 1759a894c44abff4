"""The tokenizer of a GGUF file, cutting text as the original does.

transformers builds it from the vocabulary. How text is cut before the merges is told by one word,
`tokenizer.ggml.pre`: a word that transformers does not know falls back to GPT-2's rule in silence, and what
the original tokenizers do beside cutting (Qwen's NFC, Llama 3's whole words, Llama 2's space) is left out.
Both are put right here for the words that are known, and others are refused.
"""

import json
from pathlib import Path
from typing import Any

from mi_bsa.core.errors import GgufError
from mi_bsa.core.named_models.gguf_header import sense
from mi_bsa.core.named_models.gguf_source import Source

DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell")
"""Single digits, then GPT-2's rule: what llama.cpp does for these words, and the original of SmolLM2."""
LLAMA3 = ("llama3", "llama-v3", "llama-bpe", "falcon3", "tekken")
"""Cut by transformers; a word that stands in the vocabulary is taken whole, whatever the merges say."""
QWEN2 = ("qwen2", "deepseek-r1-qwen")
"""Cut by transformers; text is brought to NFC first."""
SPACE = "\u2581"
"""How SentencePiece writes a space."""
PLAIN = ("gpt-2", "gpt2")
"""GPT-2's rule, to which transformers falls back."""


def tokenizer_of(source: Source, *, own: Path | None = None) -> Any:
    """The tokenizer of a GGUF file, ready to be saved.

    Args:
        source: the file.
        own: a folder whose tokenizer is taken instead.

    Raises:
        GgufError: there is none, it cannot be built as the original, or it does not fit the model.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    remedy = "give the folder of the model's own tokenizer: --tokenizer DIR"
    if own is None:
        with sense(source.path):
            _judge(source, remedy)
    try:
        if own is not None:
            made: Any = AutoTokenizer.from_pretrained(own, local_files_only=True, trust_remote_code=False)
        else:
            # not AutoTokenizer: it reads the whole header again, slowly, for a configuration that it drops
            with source.alone() as place:
                built = PreTrainedTokenizerFast.from_pretrained(**place)
            made = _mended(built, source)
    except Exception as error:  # tokenizers, transformers and json have no common error for a broken one
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise GgufError(
            f"{own or source.path}: its tokenizer cannot be built ({reason[:200]}); "
            + (remedy if own is None else "give a folder with tokenizer.json")
        ) from error
    last = max(made.get_vocab().values(), default=-1)
    if last >= source.vocabulary:
        raise GgufError(
            f"{own or source.path}: the tokenizer has a token {last} and the model {source.vocabulary:,} "
            f"tokens; {remedy}"
        )
    return made


def _judge(source: Source, remedy: str) -> None:
    """Refuse what transformers would build as something else."""
    fields = {key: source.fields.get(f"tokenizer.ggml.{key}") for key in ("model", "pre", "tokens", "scores")}
    if not fields["tokens"] or not fields["model"]:
        raise GgufError(f"{source.path}: holds no tokenizer; {remedy}")
    if fields["model"] == "gpt2":
        if fields["pre"] not in DIGITS + LLAMA3 + QWEN2 + PLAIN:
            raise GgufError(
                f"{source.path}: how its tokenizer cuts text (tokenizer.ggml.pre = {fields['pre']!r}) is "
                f"not known here; {remedy}"
            )
        if not source.fields.get("tokenizer.ggml.merges"):
            raise GgufError(f"{source.path}: its tokenizer has no merges; {remedy}")
    elif fields["model"] == "llama":
        if not source.gemma and source.fields.get("tokenizer.ggml.add_space_prefix") is False:
            raise GgufError(
                f"{source.path}: its tokenizer puts no space before text, which is not read here; {remedy}"
            )
    else:
        raise GgufError(f"{source.path}: a tokenizer of kind {fields['model']!r} is not read here; {remedy}")
    for name in ("bos", "eos", "padding", "unknown"):
        index = source.fields.get(f"tokenizer.ggml.{name}_token_id")
        if index is not None and not (isinstance(index, int) and 0 <= index < len(fields["tokens"])):
            raise GgufError(
                f"{source.path}: tokenizer.ggml.{name}_token_id is {index}, past the vocabulary; {remedy}"
            )


def _mended(built: Any, source: Source) -> Any:
    """The same tokenizer with what the original does and a GGUF's builder leaves out, without what it adds.

    The builder's class brings special tokens of its own (GPT-2's `<|endoftext|>`), past the
    file's vocabulary where it has none of that name.
    """
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    told = json.loads(built.backend_tokenizer.to_str())
    tokens = source.fields["tokenizer.ggml.tokens"]
    told["added_tokens"] = [token for token in told["added_tokens"] if token["id"] < len(tokens)]
    core = Tokenizer.from_str(json.dumps(told))
    byte_level = source.fields["tokenizer.ggml.model"] == "gpt2"
    pre = source.fields.get("tokenizer.ggml.pre") if byte_level else None
    if pre in DIGITS:
        core.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    if pre in QWEN2:
        core.normalizer = normalizers.NFC()
    if pre in LLAMA3:
        core.model.ignore_merges = True
    if not byte_level and not source.gemma:
        # SentencePiece and llama.cpp put a space before every text, also before one that begins with a space
        core.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
        core.pre_tokenizer = None
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    ids = {name: source.fields.get(f"tokenizer.ggml.{key}_token_id") for name, key in names.items()}
    bos = ids["bos"]
    # llama.cpp's own reading of a file that does not say
    begins = source.fields.get("tokenizer.ggml.add_bos_token", not byte_level or pre in LLAMA3)
    if begins and bos is not None:
        core.post_processor = processors.TemplateProcessing(
            single=[f"{tokens[bos]}:0", "$A:0"],
            pair=[f"{tokens[bos]}:0", "$A:0", f"{tokens[bos]}:1", "$B:1"],
            special_tokens=[(tokens[bos], bos)],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        **{f"{name}_token": tokens[index] for name, index in ids.items() if index is not None},
        chat_template=source.fields.get("tokenizer.chat_template"),
    )
