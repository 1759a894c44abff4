"""The laws of chat templates, on every tokenizer at hand: the real ones, the embedded and the tiny."""

from functools import cache
from pathlib import Path
from typing import Any

import conversations
import pytest

from activations import testing
from activations.conversation import tails
from activations.errors import TemplateError
from activations.tokens import Template
from mi_bsa.core.items import Item
from mi_bsa.worlds.weights import FOLDER, variants

EMBEDDED = tuple(path.parent.name for path in sorted(FOLDER.glob("*/world.json")))
REAL = ("smollm2", "llama3_1", "qwen3", "gemma3")


@cache
def loaded(folder: Path) -> Template:
    """One tokenizer a folder: Gemma's takes a second to read."""
    from transformers import AutoTokenizer

    return Template(AutoTokenizer.from_pretrained(folder, local_files_only=True))


@pytest.fixture(params=["tiny", *EMBEDDED, *REAL, "qwen3 that thinks"], scope="module")
def template(request: Any) -> Template:
    """Each of them; a real one is skipped where it cannot be had."""
    name = request.param
    if name == "tiny":
        return Template(testing.tokenizer())
    if name in EMBEDDED:
        return loaded(FOLDER / name)
    if name.endswith("that thinks"):  # its think block then stands between prompt and answer
        own = loaded(request.getfixturevalue("real_tokenizer")(name.partition(" ")[0]))
        return Template(own.tokenizer, arguments={"enable_thinking": True})
    if name == "smollm2":
        return loaded(request.getfixturevalue("smollm2"))
    return loaded(request.getfixturevalue("real_tokenizer")(name))


class TestTemplates(testing.TemplateLaws):
    """All of them keep the laws."""


@cache
def asked() -> list[Item]:
    """Every eleventh item of every bank and behavior: all kinds and systems are among them."""
    return [
        item
        for items in {**conversations.banks(), **conversations.behavior_items()}.values()
        for item in items[::11]
    ]


def test_every_question_has_the_ids_of_its_rendered_text(template: Template) -> None:
    """Of every bank and behavior: prompt, lead, answer and closing are transformers' own text, tokenized."""
    tokenizer, given = template.tokenizer, template.arguments
    for item in asked():
        texts = [text for text, _ in item.options]
        prompt, ends = tails(template, item.messages, texts)
        talk = [dict(m) for m in item.messages]
        opened = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True, **given)
        assert list(prompt) == tokenizer(opened, add_special_tokens=False)["input_ids"]
        for text, tail in list(zip(texts, ends, strict=True))[:2]:
            answer = {"role": "assistant", "content": text}
            closed = tokenizer.apply_chat_template([*talk, answer], tokenize=False, **given)
            whole = [*prompt, *tail.lead, *tail.answer, *tail.closing]
            assert whole == tokenizer(closed, add_special_tokens=False)["input_ids"]
            assert tokenizer.decode(tail.answer).strip() == text


def test_no_embedded_model_is_left_out() -> None:
    """A sibling that ships is under the laws."""
    assert len(EMBEDDED) == len(variants())


def test_thoughts_of_ones_own_are_trained_on(real_tokenizer: Any) -> None:
    """Qwen 3, thinking: an answer that brings its own think block is the model's words from the block on."""
    from activations.conversation import trained

    tokenizer = loaded(real_tokenizer("qwen3")).tokenizer
    thinks = Template(tokenizer, arguments={"enable_thinking": True})
    said = "<think>\nwhich ?\n</think>\n\ncareful"
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": said}]
    ids, mask = trained(thinks, talk)
    assert tokenizer.decode([n for n, one in zip(ids, mask, strict=True) if one]) == said + "<|im_end|>"
    with pytest.raises(TemplateError, match="writes the prompt's end"):
        trained(Template(tokenizer), talk)


def test_words_that_a_template_changes_elsewhere_keep_no_answer_from_being_trained_on() -> None:
    """The user's turn in capitals: the answer's tokens are its own; an answer in capitals is refused."""
    from activations.conversation import trained

    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "careful"}]
    for role, fine in (("user", True), ("assistant", False)):
        tokenizer = testing.tokenizer()
        tokenizer.chat_template = testing.TEMPLATE.replace(
            "message['content'] | trim",
            f"(message['content'] | upper if message['role'] == '{role}' else message['content'])",
        )
        if fine:
            ids, mask = trained(Template(tokenizer), talk)
            said = tokenizer.decode([n for n, one in zip(ids, mask, strict=True) if one])
            assert said.strip() == "careful<|end|>"
        else:
            with pytest.raises(TemplateError, match="use one that it keeps whole|as it is given|differently"):
                trained(Template(tokenizer), talk)
