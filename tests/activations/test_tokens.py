"""The chat template is used exactly once, and positions are found from characters, never from columns."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from activations import testing
from activations.errors import PositionError, PromptError
from activations.positions import Positions
from activations.prompts import Prompt, read
from activations.tokens import Row, Template, tokenizer_fingerprint

CHAT = [
    {"role": "user", "content": "which option ? A: take 40 coins . B: leave ."},
    {"role": "assistant", "content": "B"},
]


@pytest.fixture(scope="module")
def template() -> Template:
    """The tests' own tokenizer."""
    return Template(testing.tokenizer())


def row(template: Template, messages: list[dict[str, str]], **more: Any) -> Row:
    """One tokenized chat."""
    return template.encode(read([{"messages": messages, **more}]))[0]


def words(row: Row, rule: str) -> list[str]:
    """The characters of the tokens that a rule names."""
    return [row.text[slice(*row.offsets[n])] for n in Positions.parse(rule).resolve(row)]


def test_a_response_is_its_words_and_nothing_around_them(template: Template) -> None:
    """All of its tokens, one of them, and the mean; without one it is said what to use."""
    made = row(template, [CHAT[0], {"role": "assistant", "content": "bold and careful"}])
    said = Positions.parse("response").resolve(made)
    assert "".join(words(made, "response")).strip() == "bold and careful"
    assert said[0] == Positions.parse("answer").resolve(made)[0]
    assert Positions.parse("mean:response").resolve(made).tolist() == said.tolist()
    assert [words(made, f"response:{n}") for n in (1, -1)] == [[words(made, "response")[n]] for n in (1, -1)]
    for rule, chat, remedy in (
        ("response", CHAT[:1], "closing assistant message"),
        ("mean:response", CHAT[:1], "use 'slot' or 'last'"),
        ("response:9", CHAT, "has a response of 1 tokens, none at 9"),
    ):
        with pytest.raises(PositionError, match=remedy) as error:
            Positions.parse(rule).resolve(row(template, chat))
        assert "\n" not in str(error.value)


def test_tokens_are_those_of_the_template_with_one_bos(template: Template) -> None:
    """apply_chat_template(tokenize=True) gives the same ids; BOS leads once."""
    made = row(template, CHAT)
    expected = template.tokenizer.apply_chat_template(CHAT, tokenize=True, return_dict=False)
    assert made.ids.tolist() == list(expected)
    assert (made.ids == template.tokenizer.bos_token_id).sum() == 1
    assert made.n_bos == 1


def test_a_generation_prompt_is_added_only_for_an_open_question(template: Template) -> None:
    """Closed by the assistant: no further turn."""
    assert row(template, CHAT[:1]).text.endswith("<|assistant|>")
    assert row(template, CHAT).text.endswith("B<|end|>")


def test_bos_in_the_text_is_an_error(template: Template) -> None:
    """The doubled BOS of a template rendered by hand."""
    text = template.render(CHAT)
    with pytest.raises(PromptError, match="take it out of the text"):
        template.encode([Prompt("x", None, text)])


def test_a_template_without_bos_is_an_error() -> None:
    """A tokenizer that has BOS but a template that forgets it."""
    tokenizer = testing.tokenizer()
    tokenizer.chat_template = testing.TEMPLATE.replace("{{ bos_token }}", "")
    with pytest.raises(PromptError, match="mend the chat template"):
        Template(tokenizer).encode(read([{"messages": CHAT}]))


def test_todays_date_never_enters_a_prompt() -> None:
    """A Llama-3 template that prints the date gets a pinned one, and the hash covers it."""
    tokenizer = testing.tokenizer()
    tokenizer.chat_template = (
        "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
        + (
            testing.TEMPLATE.replace("you are", "{{ date_string }} you are").replace(
                "'<|system|> {{ date_string }}", "'<|system|> ' + date_string + '"
            )
        )
    )
    pinned, other = Template(tokenizer), Template(tokenizer, arguments={"date_string": "01 Jan 2025"})
    assert "26 Jul 2024" in pinned.render(CHAT)
    assert pinned.hash != other.hash


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("last", "<|end|>"),
        ("last:2", "B<|end|>"),
        ("answer", "B"),
        ("slot", "<|assistant|>"),
        ("option:A", "A"),
        ("option:B", "B"),
        ("last_user", "."),
        ("message:0", "."),
        ("message:-1", "B"),
        ("span:amount", "40 coins"),
        ("span:word", "take"),
    ],
)
def test_rules_name_the_right_words(template: Template, rule: str, expected: str) -> None:
    """Each position rule, read back as characters."""
    made = row(template, CHAT, spans={"amount": [0, 23, 31], "word": "take"})
    assert made.text[made.contents[0][0] :][23:31] == "40 coins"
    assert "".join(words(made, rule)).strip() == expected
    assert Positions.parse(rule).resolve(made).min() >= 0


def test_all_and_means_differ_by_bos_only(template: Template) -> None:
    """A mean leaves BOS out."""
    made = row(template, CHAT)
    assert len(Positions.parse("all").resolve(made)) == len(made)
    assert Positions.parse("mean").resolve(made).tolist() == list(range(1, len(made)))


def test_the_slot_is_where_the_answer_is_predicted(template: Template) -> None:
    """`slot` of a closed row is `last` of the same row left open."""
    closed, opened = row(template, CHAT), row(template, CHAT[:1])
    assert (
        Positions.parse("slot").resolve(closed).tolist() == Positions.parse("last").resolve(opened).tolist()
    )
    assert closed.answer == Positions.parse("slot").resolve(closed)[0] + 1


@pytest.mark.parametrize(
    ("rule", "messages", "remedy"),
    [
        ("answer", CHAT[:1], "use 'slot'"),
        ("option:C", CHAT, "mark it in 'spans'"),
        ("last:999", CHAT, "ask for fewer"),
        ("span:none", CHAT, "add it under 'spans'"),
        ("message:7", CHAT, "span:NAME"),
    ],
)
def test_a_position_that_a_row_lacks_is_an_error(
    template: Template, rule: str, messages: list[dict[str, str]], remedy: str
) -> None:
    """Never a neighbor instead."""
    with pytest.raises(PositionError, match=remedy):
        Positions.parse(rule).resolve(row(template, messages))


def test_an_unknown_rule_lists_the_known_ones() -> None:
    """A typo."""
    with pytest.raises(PositionError, match="last, last:K"):
        Positions.parse("lastt")


def test_multibyte_characters_do_not_shift_positions(template: Template) -> None:
    """Characters that take several byte-level tokens."""
    made = row(
        template,
        [
            {"role": "user", "content": "caf\u00e9 \u2192 A: oui . B: non"},
            {"role": "assistant", "content": "B"},
        ],
    )
    assert [w.strip() for w in words(made, "option:A")] == ["A"]
    assert [w.strip() for w in words(made, "answer")] == ["B"]


def test_the_tokenizers_fingerprint_ignores_padding_but_not_words() -> None:
    """Padding settings are no part of it; a new token is."""
    one, two = testing.tokenizer(), testing.tokenizer()
    two(["a", "b c"], padding=True)
    assert tokenizer_fingerprint(one) == tokenizer_fingerprint(two)
    two.add_tokens(["zyx"])
    assert tokenizer_fingerprint(one) != tokenizer_fingerprint(two)


BAD = {
    "neither": ([{"id": "a", "pole": 1}], "exactly one of"),
    "both": ([{"text": "a", "messages": CHAT}], "exactly one of"),
    "empty text": ([{"text": "  "}], "empty prompt"),
    "empty content": ([{"messages": [{"role": "user", "content": " "}]}], "empty prompt"),
    "no messages": ([{"messages": []}], "no messages"),
    "unknown role": ([{"messages": [{"role": "bot", "content": "a"}]}], "use one of these"),
    "same id": ([{"id": "a", "text": "x"}, {"id": "a", "text": "y"}], "ids must differ"),
    "some ids": ([{"id": "a", "text": "x"}, {"text": "y"}], "or none"),
    "mixed label": ([{"text": "x", "pole": 1}, {"text": "y", "pole": "one"}], "mixed types"),
    "absent label": ([{"text": "x", "pole": 1}, {"text": "y"}], "give it in every row"),
    "nested label": ([{"text": "x", "pole": [1]}], "a label is"),
    "NUL": ([{"text": "a\0b"}], "take it out"),
    "no row": ([], "no row"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_rows_are_refused_with_a_remedy(name: str) -> None:
    """One clear line each."""
    rows, remedy = BAD[name]
    with pytest.raises(PromptError, match=remedy) as error:
        read(rows)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_a_file_that_is_cut_off_names_the_line(tmp_path: Path) -> None:
    """The last line of a truncated file is no JSON."""
    path = tmp_path / "prompts.jsonl"
    text = "\n".join(json.dumps({"text": f"row {n}"}) for n in range(3))
    path.write_text(text[:-5])
    with pytest.raises(PromptError, match=r"line 3 is not JSON.*cut off"):
        read(path)
    path.write_text("3\n")
    with pytest.raises(PromptError, match="not an object"):
        read(path)
    path.write_text(text)
    assert [prompt.id for prompt in read(path)] == ["0", "1", "2"]
    with pytest.raises(PromptError, match="does not exist"):
        read(tmp_path / "none.jsonl")


def test_labels_keep_their_types() -> None:
    """Strings, integers, numbers and booleans."""
    from activations.prompts import label_columns

    columns = label_columns(
        read(
            [
                {"text": "x", "s": "a", "i": 1, "f": 1, "b": True},
                {"text": "y", "s": "b", "i": 2, "f": 0.5, "b": False},
            ]
        )
    )
    assert columns["s"].dtype == object
    assert columns["i"].dtype == np.int64
    assert columns["f"].tolist() == [1.0, 0.5]
    assert columns["b"].dtype == bool
