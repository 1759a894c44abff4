"""Sampling: what the parser takes and refuses, and that samples agree with log-probabilities."""

import numpy as np
import pytest
import tiny_llama

from mi_bsa.asking.asking import ask
from mi_bsa.asking.by_sampling import answered, ask_by_sampling, by_sampling, read_answer
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


LETTERS = (("A", 1.0), ("B", 0.0))
YES_NO = (("Yes", 1.0), ("No", 0.0))
PHRASES = (("keep what is certain", 0.0), ("gamble for more", 1.0))
OPEN = (("bold", 1.0), ("daring", 1.0), ("cautious", 0.0), ("careful", 0.0))


@pytest.mark.parametrize(
    ("text", "options", "score"),
    [
        ("I am rather bold.", WORDS, 1.0),
        ("I am bold and not cautious", WORDS, None),
        ("I'm not bold", WORDS, None),
        ("Either bold or cautious", WORDS, None),
        ("boldly, I'd say", WORDS, None),
        ("I'd say 70 out of 100.", NUMBERS, 0.3),
        ("25/100", NUMBERS, 0.75),
        ("between 20 and 30", NUMBERS, None),
        ("120, easily", NUMBERS, None),
        ("B) keep it", LETTERS, 0.0),
        ("My answer is A", LETTERS, 1.0),
        ("A bold one", LETTERS, None),
        ("I would pick option B, not option A", LETTERS, None),
        ("No, I'm not bold", YES_NO, 0.0),
        ("Well, yes", YES_NO, None),
        ("I would gamble for more, I think", PHRASES, 1.0),
        ("gamble for what is certain", PHRASES, None),
        ("Daring and bold.", OPEN, 1.0),
        ("daring, but careful", OPEN, None),
        (" ", OPEN, None),
    ],
)
def test_an_answer_is_the_one_option_that_it_names(text, options, score):
    """A sentence that names exactly one option is read as it; one that names none, both or a negation is
    not.
    """
    parsed = read_answer(text, options)
    assert (parsed.outcome == "parsed") == (score is not None)
    assert np.isnan(parsed.score) if score is None else parsed.score == pytest.approx(score)


def test_items_are_asked_by_sampling(tmp_path):
    """One row an item with the columns of `ask`: the share that could be read, and the mean score of those;
    an item of which none could be has no score, and is left out where scores are read.
    """
    model = tiny_llama.load(tiny_llama.build(tmp_path, std=0.6))
    message = ({"role": "user", "content": "A: 100 coins. B: a lottery."},)
    items = [Item("i", message, (("A", 0.0), ("B", 1.0)), {"kind": "letter"}), Item("j", message, PHRASES)]
    found = ask_by_sampling(model, items, 300, seed=0, tokens=1).set_index("id")
    plain = ask(model, items).set_index("id")
    assert set(plain.columns) <= set(found.columns)
    drawn = sample(model, items, 300, seed=0, max_new_tokens=1, parser=read_answer)
    read = drawn[(drawn["id"] == "i") & (drawn["outcome"] == "parsed")]
    assert found.loc["i", "mass"] == len(read) / 300 == found.loc["i", "parsed"] / 300
    assert found.loc["i", "score"] == pytest.approx(read["score"].mean())
    assert found.loc["i", "mass"] == pytest.approx(plain.loc["i", "mass"], abs=0.1)
    assert (found.loc["j", "parsed"], np.isnan(found.loc["j", "score"])) == (0, True)
    assert by_sampling(found).all()
    assert not by_sampling(plain).any()
    assert list(answered(found).index) == ["i"]
