"""Sampling: what the parser takes and refuses, and that samples agree with log-probabilities."""

import numpy as np
import pytest
import tiny_llama

from mi_bsa.asking.asking import ask
from mi_bsa.asking.sampling import parse_answer, parse_rate, sample
from mi_bsa.core.items import Item

WORDS = (("bold", 1.0), ("cautious", 0.0))
NUMBERS = (("0", 1.0), ("50", 0.5), ("100", 0.0))


@pytest.mark.parametrize(
    ("text", "options", "outcome", "score"),
    [
        (" Bold.", WORDS, "parsed", 1.0),
        ('"cautious"', WORDS, "parsed", 0.0),
        ("I am bold", WORDS, "other", None),
        ("bold or cautious", WORDS, "other", None),
        ("not bold", WORDS, "other", None),
        ("  ", WORDS, "empty", None),
        ("25", NUMBERS, "parsed", 0.75),
        ("80%", NUMBERS, "parsed", 0.2),
        ("120", NUMBERS, "out of range", None),
        ("about 20", NUMBERS, "other", None),
    ],
)
def test_the_parser_is_strict(text, options, outcome, score):
    """An option by itself, or a number in range, is parsed; a sentence about it is a failure of its own
    kind.
    """
    parsed = parse_answer(text, options)
    assert parsed.outcome == outcome
    assert np.isnan(parsed.score) if score is None else parsed.score == pytest.approx(score)


def test_samples_agree_with_log_probabilities(tmp_path):
    """First tokens are sampled with the probabilities that `ask` computes, and failures are counted, not
    dropped.
    """
    model = tiny_llama.load(tiny_llama.build(tmp_path, std=0.6))
    item = Item("i", ({"role": "user", "content": "A: 100 coins. B: a lottery."},), (("A", 0.0), ("B", 1.0)))
    found = sample(
        model, [item, Item("j", item.messages, WORDS, {"kind": "word"})], 400, seed=0, max_new_tokens=1
    )
    again = sample(model, [item], 5, seed=0, max_new_tokens=1)
    assert len(found) == 800
    asked = ask(model, [item])["mass"][0]
    rate = parse_rate(found[found["id"] == "i"])
    assert abs(rate - asked) < 4 * np.sqrt(asked * (1 - asked) / 400) + 1e-3
    assert list(again["text"]) == list(sample(model, [item], 5, seed=0, max_new_tokens=1)["text"])
    assert found["score"].isna().sum() == (found["outcome"] != "parsed").sum() > 0
