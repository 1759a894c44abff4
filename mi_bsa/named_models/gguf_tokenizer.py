"""The tokenizer of a GGUF file, cutting text as the original does.

transformers builds it from the vocabulary; how text is cut before the merges stands in the field
`tokenizer.ggml.pre`, and a value that transformers does not know falls back to GPT-2's rule without a word.
"""

from typing import Any

from mi_bsa.named_models.gguf_source import Source


def tokenizer_of(source: Source) -> Any:
    """The file's tokenizer, ready to be saved."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        source.path.parent, gguf_file=source.path.name, local_files_only=True
    )
    if source.fields.get("tokenizer.ggml.pre") == "smollm":
        from tokenizers import pre_tokenizers

        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    return tokenizer
