"""Wordings that change a prompt and say nothing of the behavior: the pool of the matched input anomaly.

The law: no wording names a pole. Words that the report's questions or answers use, and those that a behavior
forbids its training rows, are left out, so that a wording that moves the report does it as an input and not
by saying what the report should be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.core.items import Item

if TYPE_CHECKING:
    from activations import Model

SMALL = 2000
"""Words of a vocabulary that is spelled out: in a larger one the written words fill the templates."""
LONGEST_GRAMMAR = 4
"""Letters of a written line's words that are not looked up among those of the questions."""
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class Wording:
    """A system line before a prompt, or words before its last question.

    Attributes:
        text: the words.
        where: `system` or `prefix`.
    """

    text: str
    where: str = "system"

    def of(self, item: Item) -> Item:
        """The item under this wording; a system line that is there already is followed by it."""
        messages = [dict(message) for message in item.messages]
        if self.where == "prefix":
            messages[-1]["content"] = f"{self.text} {messages[-1]['content']}"
        elif messages[0]["role"] == "system":
            messages[0]["content"] = f"{messages[0]['content']} {self.text}"
        else:
            messages.insert(0, {"role": "system", "content": self.text})
        return replace(item, messages=messages)


def pool(model: Model, items: Iterable[Item], *, forbidden: Sequence[str] = ()) -> list[Wording]:
    """The wordings that may be put before a model's prompts.

    Args:
        model: of a small vocabulary (the embedded ones) the words are its own; else the written ones.
        items: the report's questions, whose words and answers are left out.
        forbidden: further words that are left out, in any inflection (they are matched as beginnings).

    Returns:
        Each template of `pool.yaml` with each word, and for a large vocabulary the written lines.
    """
    written = _written()
    said = set(model.tokenizer.get_vocab())
    small = len(said) < SMALL
    words = sorted({w for token in said if _WORD.fullmatch(w := token.lstrip("\u0120\u2581"))})
    words = [w for w in words if len(w) > 1] if small else written["words"]
    taken = {w for item in items for w in _words(item)} | set(written["grammar"])

    def is_free(word: str) -> bool:
        return word not in taken and not any(word.startswith(f) for f in forbidden)

    free = [word for word in words if is_free(word)]
    lines = [line for line in written["lines"] if not small and all(map(is_free, _content(line)))]
    found = [
        Wording(template["text"].format(word=word), template["where"])
        for template in written["templates"]
        for word in free
    ]
    return [*found, *(Wording(line) for line in lines)]


def _words(item: Item) -> set[str]:
    said = " ".join([str(m["content"]) for m in item.messages] + [text for text, _ in item.options])
    return set(_WORD.findall(said.lower()))


def _content(line: str) -> list[str]:
    """Words of a line that may be of the behavior; short ones are grammar."""
    return [word for word in _WORD.findall(line.lower()) if len(word) > LONGEST_GRAMMAR]


@cache
def _written() -> dict[str, list[Any]]:
    from mi_bsa.core.plain_files import parse_yaml

    found: dict[str, list[Any]] = parse_yaml((Path(__file__).parent / "pool.yaml").read_text("utf-8"))
    return found
