"""S11: a span of a message is counted in the message as it was given, whatever white space a template takes.

Llama 3.1 and Gemma 3 trim each message, Qwen 3 takes line feeds from answers only, Gemma folds the system
line into the user's turn. The token is the very one; what the template took away has none.
The real tokenizers are held to the same by `TemplateLaws` (tests/contract/test_templates.py).
"""

from typing import Any

import pytest

from activations import testing
from activations.alignment import roles
from activations.errors import PositionError, PromptError
from activations.positions import Positions
from activations.prompts import read
from activations.tokens import Row, Template

TRIMS = {
    "trim": testing.TEMPLATE,
    "as it is": testing.TEMPLATE.replace("message['content'] | trim", "message['content']"),
    "line feeds": testing.TEMPLATE.replace("message['content'] | trim", "message['content'].lstrip('\\n')"),
    "left": testing.TEMPLATE.replace("message['content'] | trim", "message['content'].lstrip()"),
    "right": testing.TEMPLATE.replace("message['content'] | trim", "message['content'].rstrip()"),
    "folded": (  # Gemma's way: the system line stands as it is at the beginning of the user's trimmed turn
        "{{ bos_token }}{% set ns = namespace(before='') %}{% for m in messages %}"
        "{% if m['role'] == 'system' %}{% set ns.before = m['content'] + '\\n\\n' %}{% else %}"
        "{{ '<|' + m['role'] + '|> ' + ns.before + m['content'] | trim + '<|end|>' }}"
        "{% set ns.before = '' %}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    ),
}


def row(name: str, messages: list[dict[str, str]], **spans: Any) -> Row:
    """One tokenized chat under one of these templates."""
    tokenizer = testing.tokenizer()
    tokenizer.chat_template = TRIMS[name]
    return Template(tokenizer).encode(read([{"messages": messages, "spans": spans}]))[0]


def words(made: Row, rule: str) -> str:
    """The characters of the tokens that a rule names."""
    return "".join(made.text[slice(*made.offsets[n])] for n in Positions.parse(rule).resolve(made))


@pytest.mark.parametrize("name", list(TRIMS))
@pytest.mark.parametrize(
    "content",
    [
        "   pick the red card now",
        "\n\npick the red card now",
        " \n\t pick the red card now \n",
        "pick the red card",
        "red",
        " red",
        "\u00a0 pick \U0001f600 the red card",
    ],
)
def test_the_span_is_the_very_token(name: str, content: str) -> None:
    """In the first turn, behind a system line, and in a later turn; by characters and by words."""
    start = content.index("red")
    user = {"role": "user", "content": content}
    for before in (
        [],
        [{"role": "system", "content": "  be the brief one \n"}],
        [{"role": "user", "content": "\n hi "}, {"role": "assistant", "content": " which ? \n"}],
    ):
        at = len(before)
        made = row(
            name, [*before, user], place=[at, start, start + 3], back=[-1, start, start + 3], word="red"
        )
        for rule in ("span:place", "span:back", "span:word"):
            assert words(made, rule).strip() == "red", rule
        chosen = Positions.parse("span:place").resolve(made)
        assert {roles(made)[n] for n in chosen} == {"word"}  # the last of three names for them


@pytest.mark.parametrize("name", ["trim", "left", "folded"])
def test_white_space_that_was_taken_away_has_no_token(name: str) -> None:
    """A span of it alone is refused; one that holds it and words is the words."""
    user = {"role": "user", "content": "   red card"}
    with pytest.raises(PositionError, match="takes away; mark other characters") as error:
        Positions.parse("span:s").resolve(row(name, [user], s=[0, 0, 2]))
    assert "\n" not in str(error.value)
    assert words(row(name, [user], s=[0, 0, 6]), "span:s").strip() == "red"


def test_a_span_beyond_the_message_is_refused_by_its_own_length() -> None:
    """As it was given, not as it was trimmed."""
    user = {"role": "user", "content": "   red  "}
    assert words(row("trim", [user], s=[0, 3, 8]), "span:s").strip() == "red"
    with pytest.raises(PositionError, match="leaves its 8 characters"):
        Positions.parse("span:s").resolve(row("trim", [user], s=[0, 3, 9]))


def test_words_are_looked_for_in_what_is_said() -> None:
    """Not in the template's own words, which may hold them too; twice is refused, also where they overlap."""
    made = row("trim", [{"role": "user", "content": "an assistant , ana na ."}], who="assistant", twice="na")
    assert words(made, "span:who").strip() == "assistant"
    with pytest.raises(PositionError, match="occurs 3 times"):
        Positions.parse("span:twice").resolve(
            row("trim", [{"role": "user", "content": "nana na"}], twice="na")
        )
    with pytest.raises(PositionError, match="occurs 2 times"):
        Positions.parse("span:twice").resolve(row("trim", [{"role": "user", "content": "aaa"}], twice="aa"))


def test_a_template_that_changes_words_is_refused_by_name() -> None:
    """Upper case, or a turn that is left out."""
    for change, said in (
        (("| trim", "| upper"), "user message"),
        (("{% for message in messages %}", "{% for message in messages[1:] %}"), "user message"),
    ):
        tokenizer = testing.tokenizer()
        tokenizer.chat_template = testing.TEMPLATE.replace(*change)
        talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
        with pytest.raises(PromptError, match=said):
            Template(tokenizer).encode(read([{"messages": talk}]))
