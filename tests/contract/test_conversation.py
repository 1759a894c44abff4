"""One way from a conversation to tokens: the new one gives the old one's ids, on every bank and family."""

from functools import partial
from pathlib import Path
from typing import Any

import conversations
import pytest

from activations import conversation, testing
from activations.tokens import Template
from mi_bsa.chat import Chat
from mi_bsa.embedded.weights import FOLDER, variants

EMBEDDED = [path.parent for path in sorted(FOLDER.glob("*/world.json"))]
REAL = ("smollm2", "llama3_1", "qwen3", "gemma3")


@pytest.fixture(params=["tiny", *(path.name for path in EMBEDDED), *REAL])
def tokenizer(request: Any) -> Any:
    """Each tokenizer that the toolkit meets in its tests."""
    from transformers import AutoTokenizer

    if request.param == "tiny":
        return testing.tokenizer()
    if request.param not in REAL:
        return AutoTokenizer.from_pretrained(FOLDER / request.param, local_files_only=True)
    folder: Path = (
        request.getfixturevalue("smollm2")
        if request.param == "smollm2"
        else request.getfixturevalue("real_tokenizer")(request.param)
    )
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@pytest.mark.slow
def test_new_ids_are_the_old_ones(tokenizer: Any) -> None:
    """Items of every bank and behavior, and training rows."""
    assert len(EMBEDDED) == len(variants())
    old, new = Chat(tokenizer), Template(tokenizer)
    words = len(tokenizer)
    some = slice(None, 40 if words > 200_000 else None)  # the old way takes 15 ms a prompt there
    for items in [*conversations.banks().values(), *conversations.behavior_items().values()]:
        assert conversations.digest_items(items[some], old.tails) == conversations.digest_items(
            items[some], partial(conversation.tails, new)
        )
    thinks = "<think>" in str(tokenizer.chat_template)
    for name, rows in conversations.behavior_rows().items():
        if thinks and name.endswith("say"):  # several turns, which this template rewrites
            continue
        masks = words < 2000
        assert conversations.digest_rows(rows, old.trained, masks=masks) == conversations.digest_rows(
            rows, partial(conversation.trained, new), masks=masks
        )
