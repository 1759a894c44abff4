"""The laws of chat templates, on every tokenizer at hand: the real ones, the embedded and the tiny."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from activations import testing
from activations.tokens import Template
from mi_bsa.embedded.weights import FOLDER, variants

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


def test_no_embedded_model_is_left_out() -> None:
    """A sibling that ships is under the laws."""
    assert len(EMBEDDED) == len(variants())
