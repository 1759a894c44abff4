"""S12: `option:B` is the letter where the options are listed, not where the question speaks of it.

Lines that begin with the letter go first, in every usual style; else the one place whose mark another letter
has too; what stays ambiguous is refused.
"""

import time

import pytest

from activations import testing
from activations.alignment import roles
from activations.errors import PositionError
from activations.options import listed
from activations.positions import Positions
from activations.prompts import read
from activations.tokens import Row, Template

LISTED = {
    "lines": "Answer with A or B.\n<A>) take 10\n<B>) gamble",
    "stops": "Say A. or B.\n<A>. take 10\n<B>. gamble",
    "brackets": "Answer (A) or (B).\n(<A>) take 10\n(<B>) gamble",
    "colons": "A or B: which?\n<A>: take 10\n<B>: gamble",
    "square": "A] or B]?\n[<A>] take 10\n[<B>] gamble",
    "listed first": "<A>) take 10\n<B>) gamble\nAnswer with A or B.",
    "indented": "Answer with A or B.\n  <A>) take 10\n  <B>) gamble",
    "bullets": "A or B.\n- <A>: take 10\n- <B>: gamble",
    "bold": "A or B.\n**<A>)** take 10\n**<B>)** gamble",
    "dashes": "Choose A or B.\n<A> - take 10\n<B> - gamble",
    "carriage returns": "Answer with A or B.\r\n<A>) take 10\r\n<B>) gamble",
    "one line": "Answer with A or B. <A>) take 10 <B>) gamble",
    "one line, asked last": "<A> : take 10 . <B> : gamble . answer A or B .",
    "one line in brackets": "Pick (<A>) take or (<B>) gamble. Answer with A or B.",
    "named": "A or B.\nOption <A>: take 10\nOption <B>: gamble",
    "an initial": "A. Smith asks: A or B.\n<A>) take 10\n<B>) gamble",
}
REFUSED = {
    "listed twice": "A) take\nB) leave\nA) take more\nB) leave less",
    "only spoken of": "Take 10, or gamble. Answer with A or B.",
    "not listed": "Take 10, or gamble?",
    "in words": "Vitamin B, or plan-B; Bold or brave",
}


def row(content: str) -> Row:
    """The message as a row, in a template that writes it as it is."""
    tokenizer = testing.tokenizer()
    tokenizer.chat_template = testing.TEMPLATE.replace("message['content'] | trim", "message['content']")
    return Template(tokenizer).encode(read([{"messages": [{"role": "user", "content": content}]}]))[0]


@pytest.mark.parametrize("name", list(LISTED))
def test_the_letter_is_taken_where_it_is_listed(name: str) -> None:
    """Both letters, and the roles of an alignment begin at the same places."""
    marked = LISTED[name]
    content = marked.replace("<", "").replace(">", "")
    at = {}
    for letter in "AB":
        before, _, _ = marked.partition(f"<{letter}>")
        at[letter] = len(before.replace("<", "").replace(">", ""))
        assert content[at[letter]] == letter
    made = row(content)
    found = {}
    for letter in "AB":
        (n,) = Positions.parse(f"option:{letter}").resolve(made)
        start, end = made.offsets[n]
        place = made.contents[0][0] + at[letter]
        assert start <= place < end
        assert made.text[start:end].strip(" \n*([") == letter
        found[letter] = n
    named = roles(made)
    for letter in "AB":
        assert named.index(f"option {letter}") == found[letter]


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_is_ambiguous_or_not_listed_is_refused(name: str) -> None:
    """One line, with what to do."""
    with pytest.raises(PositionError, match="mark it in 'spans'") as error:
        Positions.parse("option:B").resolve(row(REFUSED[name]))
    assert "\n" not in str(error.value)
    assert "option B" not in roles(row(REFUSED[name]))


def test_other_letters_and_digits_are_listed_too() -> None:
    """Lower case, numbers, more than two."""
    text = "Answer 1, 2 or 3.\n1) take\n2) leave\n3) wait\n10) none"
    assert {k: [text[n] for n in v] for k, v in listed(text).items()} == {"1": ["1"], "2": ["2"], "3": ["3"]}
    assert listed("a or b?\na) yes\nb) no") == {"a": [8], "b": [15]}


def test_a_long_line_takes_no_time() -> None:
    """Marks without a letter, and letters without a mark."""
    start = time.process_time()
    for text in ("*" * 200_000, "A " * 100_000, "> " * 100_000, "A" + " " * 200_000, '"' * 200_000):
        assert not listed(text).get("B")
    assert time.process_time() - start < 3


def test_a_question_in_one_line_is_read_as_before() -> None:
    """The way in which the embedded world and many benchmarks ask."""
    made = row("which option ? A: take 40 coins . B: leave .")
    for letter in "AB":
        (n,) = Positions.parse(f"option:{letter}").resolve(made)
        assert made.text[slice(*made.offsets[n])].strip() == letter
