"""Items of random words for tiny models (`activations.testing`)."""

import numpy as np

from mi_bsa.core.items import Item

TEXT = "one you for sure the quick brown fox are an or nothing with word coins take"
WORDS = TEXT.split()
"""Most are a token of the tiny tokenizer."""
OPTIONS = (("A", 1.0), ("B", 0.0))


def message(words):
    """What a user says."""
    return [{"role": "user", "content": " ".join(words)}]


def items(tag, count, options=OPTIONS):
    """`count` items of a tag, of six to nine words, in five scenarios."""
    rng = np.random.default_rng(sum(tag.encode()))
    return [
        Item(f"{tag}{n}", message(rng.choice(WORDS, 6 + n % 4)), options, {"scenario": f"s{n % 5}"})
        for n in range(count)
    ]


def neutral(count):
    """Prompts without a question."""
    return [message(WORDS[n : n + 8]) for n in range(count)]
