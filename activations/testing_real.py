"""Testing with real tokenizers: a tiny random model of a real vocabulary, beside the real tokenizer.

Every token path is then the real one, its template and its special tokens included, and the model costs
milliseconds. The tokenizer's files are given; nothing here fetches anything.
"""

import shutil
from pathlib import Path

STOPS = {"llama": [128001, 128008, 128009], "qwen3": [151645, 151643], "gemma3_text": [1, 106]}
"""What ends a generation in the published configurations: the end of the text and that of a turn."""


def build_beside(
    folder: str | Path,
    words: str | Path,
    *,
    family: str,
    seed: int = 0,
    n_layers: int = 2,
    width: int = 16,
    context: int = 2048,
) -> Path:
    """Write a tiny random model of a family for the vocabulary of a tokenizer's folder; returns the folder.

    Args:
        folder: to write, in the Hub's format.
        words: holds `tokenizer.json` and `tokenizer_config.json`, which are copied as they are.
        family: one of `activations.testing.FAMILIES`.
        seed: of the weights.
        n_layers: number of blocks.
        width: of the stream; small, for a vocabulary may have 262,144 rows of it.
        context: longest input.
    """
    from activations.folders import read_tokenizer
    from activations.testing import config, random_model

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for file in Path(words).iterdir():
        if file.is_file():
            shutil.copy(file, folder / file.name)
    tokenizer = read_tokenizer(folder)
    size = -(-max(tokenizer.get_vocab().values()) // 64) * 64 + 64  # published models too have rows to spare
    shape = config(family, n_layers=n_layers, width=width, context=context, vocabulary=size)
    shape.bos_token_id = tokenizer.bos_token_id
    shape.eos_token_id = STOPS.get(family, tokenizer.eos_token_id)
    shape.pad_token_id = tokenizer.pad_token_id
    random_model(shape, seed=seed).save_pretrained(folder)
    return folder
