"""One question put to a model, with the answers that count and what each is worth.

An item is a conversation that ends where the model must answer, and two or more options, each with a score
in [0, 1]: 1 is the seeking pole, 0 the averse pole. Behavior items (choices) and self-report items
(questions) are the same kind of thing, so one function asks both and a difference between them is never a
difference in how they were asked.

On disk an item is one line of a prompts file (`{"id", "messages", ...labels}`) with one key more, `options`.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from activations import jsonl
from activations.records import content, plain
from mi_bsa.core.errors import ItemError

Label = str | int | float | bool
Message = Mapping[str, Any]
Turns = Sequence[tuple[str, str]]
Split = Literal["pretrain", "dev", "test"]
"""Of wordings and items: what a model is made of, what choices are made on, what is reported once."""
Systems = Sequence[str | None]
"""System lines under which something is asked; None for none."""
AskedSplit = Literal["dev", "test"]
"""The splits that are asked."""

ROLES = ("system", "user", "assistant")
RESERVED = ("id", "messages", "options", "text", "prompt", "spans")


@dataclass(frozen=True)
class Item:
    """A conversation up to the answer, the options that count, and labels that travel along.

    `options`: pairs (text, score); scores lie in [0, 1]. Raises `ItemError` where a rule is broken.
    """

    id: str
    messages: Sequence[Message]
    options: Sequence[tuple[str, float | int]]
    labels: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "messages", plain_messages(self.messages, f"item {self.id!r}"))
        object.__setattr__(self, "options", tuple((str(t), float(s)) for t, s in self.options))
        object.__setattr__(self, "labels", {name: plain(value) for name, value in self.labels.items()})
        check_messages(self.messages, f"item {self.id!r}", error=ItemError)
        if self.messages[-1]["role"] == "assistant":
            raise ItemError(
                f"item {self.id!r} ends with an assistant turn; the model must be the next to speak: "
                "remove that turn"
            )
        texts = [text.strip() for text, _ in self.options]
        if len(texts) < 2:
            raise ItemError(f"item {self.id!r} has {len(texts)} option(s); a question needs at least two")
        if not all(texts):
            raise ItemError(f"item {self.id!r} has an empty option; give every option a text")
        twice = [t for t, n in Counter(texts).items() if n > 1]
        if twice:
            raise ItemError(f"item {self.id!r} has the option {twice[0]!r} twice; options must differ")
        for text, score in self.options:
            if not 0.0 <= score <= 1.0:
                raise ItemError(
                    f"item {self.id!r}, option {text!r}: score {score} is outside [0, 1]; rescale it"
                )
        for name, value in self.labels.items():
            missing = isinstance(value, float) and math.isnan(value)
            if missing or not isinstance(value, str | int | float | bool):
                raise ItemError(
                    f"item {self.id!r}: label {name!r} = {value!r}; a label is a string, a number or a "
                    "boolean"
                )
        reserved = [k for k in self.labels if k in RESERVED]
        if reserved:
            raise ItemError(
                f"item {self.id!r} has a label named {reserved[0]!r}, a reserved key; rename the label"
            )

    def prompt(self) -> dict[str, object]:
        """The item as one row of a prompts file: id, messages and labels, without its options."""
        return {"id": self.id, "messages": [dict(m) for m in self.messages], **self.labels}

    def row(self) -> dict[str, object]:
        """The item as one line of an items file, its options as [text, score] pairs."""
        return {**self.prompt(), "options": [list(pair) for pair in self.options]}


def item_labels(
    about: str,
    trait: str,
    *,
    person: str,
    split: str,
    kind: str,
    template: str,
    order: str,
    scenario: str = "",
) -> dict[str, Label]:
    """The labels that items have in common; the wording (`template`) is the scenario where none is given."""
    return {
        "about": about,
        "trait": trait,
        "person": person,
        "split": split,
        "kind": kind,
        "template": template,
        "scenario": scenario or template,
        "order": order,
    }


def messages_of(system: str | None, turns: Turns) -> list[dict[str, str]]:
    """Chat messages of (question, answer) pairs behind a system line, where there is one."""
    messages = [] if system is None else [{"role": "system", "content": system}]
    for question, answer in turns:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return messages


def conversation(system: str | None, question: str, *, before: Turns = ()) -> tuple[dict[str, str], ...]:
    """Chat messages that end with the question."""
    return (*messages_of(system, before), {"role": "user", "content": question})


def prompts_of(items: Sequence[Item]) -> list[dict[str, object]]:
    """Items as rows of a prompts file, with the labels that all of them have: choices and questions mix."""
    common = set.intersection(*(set(item.labels) for item in items)) if items else set()
    rows = [(item.prompt(), item.labels.keys() - common) for item in items]
    return [{key: value for key, value in row.items() if key not in partial} for row, partial in rows]


def plain_messages(
    messages: Sequence[Message], where: str, *, error: type[Exception] = ItemError
) -> tuple[dict[str, str], ...]:
    """Messages as dictionaries, the text parts of a content joined. Raises `error` for any other part."""
    if isinstance(messages, str) or not all(isinstance(m, Mapping) for m in messages):
        raise error(f"{where}: messages are a list of {{'role': ..., 'content': ...}}; write them so")
    return tuple(
        {k: content(v, where, error=error) if k == "content" else v for k, v in m.items()} for m in messages
    )


def check_messages(messages: Sequence[Message], where: str, *, error: type[Exception]) -> None:
    """Raise `error` unless `messages` are role/content pairs: system first if at all, then the others."""
    if not messages:
        raise error(f"{where} has no messages; give at least one user turn")
    for k, message in enumerate(messages):
        if set(message) != {"role", "content"}:
            raise error(
                f"{where}, message {k}: keys {sorted(message)}; a message has exactly 'role' and 'content'"
            )
        if message["role"] not in ROLES:
            raise error(f"{where}, message {k}: role {message['role']!r}; use one of {', '.join(ROLES)}")
        if not isinstance(message["content"], str):
            kind = type(message["content"]).__name__
            raise error(f"{where}, message {k}: content is {kind}; use one string")
        if message["role"] == "system" and k > 0:
            raise error(f"{where}, message {k}: a system message stands only at the start; move it there")


def write_items(items: Iterable[Item], path: str | Path) -> Path:
    """Write items as JSONL: one prompts-file row each, with `options` as [text, score] pairs."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(item.row(), ensure_ascii=False) for item in items]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def read_items(path: str | Path) -> list[Item]:
    """Read items from JSONL; ids must be unique. Raises `ItemError` naming the line."""
    items = []
    for number, row in read_jsonl(path, error=ItemError):
        missing = [k for k in ("id", "messages", "options") if k not in row]
        if missing:
            free = "; `mi-bsa ask` asks questions without scores" if missing == ["options"] else ""
            raise ItemError(
                f"{path}, line {number}: no {missing[0]!r}; an item has id, messages and options{free}"
            )
        labels = {k: v for k, v in row.items() if k not in RESERVED}
        try:
            pairs = tuple((text, score) for text, score in row["options"])
        except (TypeError, ValueError):
            raise ItemError(f"{path}, line {number}: options must be [text, score] pairs") from None
        items.append(Item(id=str(row["id"]), messages=row["messages"], options=pairs, labels=labels))
    unique_ids(items)
    return items


def read_jsonl(path: str | Path, *, error: type[Exception]) -> list[tuple[int, dict]]:
    """Numbered objects of a JSONL file; blank lines are skipped, what else is no object raises `error`."""
    rows = jsonl.read(path, error=error, what="file")
    if not rows:
        raise error(f"{path}: no rows; give a file with at least one JSON object")
    for number, row in rows:
        if not isinstance(row, dict):
            raise error(
                f"{path}, line {number}: {type(row).__name__}, not an object; write one JSON object a line"
            )
    return rows


def unique_ids(items: Sequence[Item]) -> None:
    """Raise `ItemError` where two items share an id: rows of a table must be told apart."""
    twice = [k for k, n in Counter(item.id for item in items).items() if n > 1]
    if twice:
        raise ItemError(f"item id {twice[0]!r} stands for two items; ids must be unique")


def thin(items: list[Item], n: int) -> list[Item]:
    """About `n` items, spread evenly over the list (so over kinds and wordings)."""
    if len(items) <= n:
        return items
    return [items[round(i * (len(items) - 1) / (n - 1))] for i in range(n)]
