"""Prompts: rows of `{"id", "messages" | "text", <label columns>}`, from a JSONL file or from memory.

The law: every row is usable or the whole reading fails with the row's number; nothing is skipped or filled
in. Reserved keys are `id`, `messages`, `text`, `prompt` and `spans`; every other key is a label column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from activations.errors import PromptError
from activations.records import content, label, plain, records

ROLES = ("system", "user", "assistant", "tool")
Message = Mapping[str, Any]
PromptLike = str | Mapping[str, Any] | Sequence[Message]
Prompts = Any
"""What `read` takes; what it does not take is refused there in words, not by a type."""


@dataclass(frozen=True)
class Prompt:
    """One row: its name, its messages (or plain text), its labels, and named character spans."""

    id: str
    messages: tuple[dict[str, str], ...] | None
    text: str | None
    labels: dict[str, str | int | float | bool] = field(default_factory=dict)
    spans: dict[str, Any] = field(default_factory=dict)


def read(prompts: Prompts) -> tuple[Prompt, ...]:
    """Read prompts: one or many, from a file or from memory.

    A string is one user message, a mapping or a list of messages one prompt, a `Path` (or a string that ends
    in .jsonl) a JSONL file; a list, an array, a `pandas.DataFrame` or a `datasets.Dataset` holds one prompt a
    row. Rows may all come without an `id`; they are then numbered from 0.

    Raises:
        PromptError: a file that is absent, empty or cut off; a row without `messages` or `text`; an empty
            prompt; an id given twice; a label of mixed types or absent in some rows; what is not taken.
    """
    return parsed(prompts)[0]


def parsed(prompts: Prompts) -> tuple[tuple[Prompt, ...], bool]:
    """What `read` reads, and whether one prompt was given and not a list of them."""
    given = records(prompts)
    where, rows = given.where, given.rows
    if not rows:
        raise PromptError(f"{where} holds no row: at least one is needed; give one JSON object a line")
    read_rows = tuple(_prompt(row, number, where) for number, row in enumerate(rows))
    named = sum(isinstance(row, Mapping) and "id" in row for row in rows)
    if named not in (0, len(rows)):
        raise PromptError(f"{where}: {named} of {len(rows)} rows have an 'id'; give every row one, or none")
    seen: dict[str, int] = {}
    for number, prompt in enumerate(read_rows):
        if prompt.id in seen:
            raise PromptError(
                f"{where}: id {prompt.id!r} is in rows {seen[prompt.id]} and {number}; ids must differ, "
                "rename one"
            )
        seen[prompt.id] = number
    label_columns(read_rows)
    return read_rows, given.one


def prompts_of(prompts: Prompts) -> list[Prompt]:
    """Every prompt on its own: ids may repeat and labels may differ, as among the sides of pairs."""
    given = records(prompts)
    return [_prompt(row, number, given.where) for number, row in enumerate(given.rows)]


def _prompt(row: Any, number: int, where: str) -> Prompt:
    at = f"{where} row {number}"
    row = plain(row)
    if hasattr(row, "to_dict") and not isinstance(row, Mapping):  # a row of a table, from its `iterrows`
        row = row.to_dict()
    if isinstance(row, str):
        row = {"messages": [{"role": "user", "content": row}]}
    elif isinstance(row, Sequence | np.ndarray):
        row = {"messages": row}
    if not isinstance(row, Mapping):
        raise PromptError(
            f"{at} is a {type(row).__name__}, not an object; write {{'messages': [...]}} or {{'text': ...}}"
        )
    if any(not isinstance(key, str) for key in row):
        odd = next(key for key in row if not isinstance(key, str))
        raise PromptError(f"{at} has the key {odd!r}, no string; name every label by a string")
    if ("messages" in row) == ("text" in row):
        raise PromptError(
            f"{at} has keys {sorted(row)}: exactly one of 'messages' and 'text' is needed; add or drop one"
        )
    text = plain(row.get("text"))
    if "text" in row and isinstance(text, list | tuple | np.ndarray):
        raise PromptError(
            f"{at}: text is a {type(text).__name__}, not a string: give one row for each prompt"
        )
    if "text" in row and (not isinstance(text, str) or not text.strip()):
        raise PromptError(
            f"{at} is an empty prompt (text {text!r}): a prompt needs words; fill or drop the row"
        )
    messages = _messages(row["messages"], at) if "messages" in row else None
    identity = plain(row.get("id", str(number)))
    if not isinstance(identity, str | int) or isinstance(identity, bool):
        raise PromptError(f"{at}: id {identity!r} is a {type(identity).__name__}; an id is a string")
    if "prompt" in row:
        raise PromptError(
            f"{at}: 'prompt' is the store's own column for the rendered text; rename this label"
        )
    spans = row.get("spans", {})
    if not isinstance(spans, Mapping):
        raise PromptError(
            f"{at}: spans {spans!r} is no mapping; write {{'name': [start, end]}} or {{'name': 'words'}}"
        )
    named = {key: value for key, value in row.items() if key not in ("id", "messages", "text", "spans")}
    for key in named:
        if "/" in key or key in ("", ".", ".."):
            raise PromptError(f"{at}: label {key!r}: a label has a name without '/'; rename it")
    labels = {key: label(value, at, key) for key, value in named.items()}
    words = [str(identity), text or "", *(m["content"] for m in messages or ())]
    _check_words([*words, *labels, *map(str, labels.values())], at)
    return Prompt(str(identity), messages, text, labels, dict(spans))


def _check_words(words: Sequence[str], at: str) -> None:
    """Refuse what is no text that UTF-8 and HDF5 can keep."""
    whole = "\n".join(words)
    if "\0" in whole:
        raise PromptError(f"{at} holds a NUL character, which no cache can keep; take it out")
    try:
        whole.encode()
    except UnicodeEncodeError as bad:
        half = f"U+{ord(bad.object[bad.start]):04X}"
        raise PromptError(
            f"{at} holds the lone surrogate {half}, half of a character: write all of it"
        ) from None


def _messages(messages: Any, at: str) -> tuple[dict[str, str], ...]:
    if isinstance(messages, np.ndarray):  # as a table read from Parquet holds lists
        messages = messages.tolist()
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise PromptError(f"{at} has no messages ({messages!r}): write [{{'role': 'user', 'content': ...}}]")
    found = []
    for message in messages:
        if isinstance(message, Mapping):  # a table writes the keys that other messages have as None
            message = {
                key: value
                for key, value in message.items()
                if value is not None or key in ("role", "content")
            }
        if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
            raise PromptError(
                f"{at}: message {message!r} needs exactly the keys 'role' and 'content'; fix the row"
            )
        message["content"] = content(message["content"], at)
        if message["role"] not in ROLES:
            raise PromptError(
                f"{at}: role {message['role']!r} is none of {', '.join(ROLES)}; use one of these"
            )
        if not isinstance(message["content"], str) or not message["content"].strip():
            raise PromptError(
                f"{at} is an empty prompt: its {message['role']} message has no words; fill or drop the row"
            )
        found.append({"role": str(message["role"]), "content": str(message["content"])})
    return tuple(found)


def label_columns(prompts: Sequence[Prompt]) -> dict[str, np.ndarray]:
    """The label columns as arrays of one type each: object (str), int64, float64 or bool; shape (example,).

    Raises:
        PromptError: a label that some rows lack, or whose rows hold different types.
    """
    names = list(dict.fromkeys(key for prompt in prompts for key in prompt.labels))
    columns: dict[str, np.ndarray] = {}
    for name in names:
        lacking = [prompt.id for prompt in prompts if name not in prompt.labels]
        if lacking:
            raise PromptError(
                f"label {name!r} is absent in {len(lacking)} of {len(prompts)} rows (first: id "
                f"{lacking[0]!r}); give it in every row"
            )
        values = [prompt.labels[name] for prompt in prompts]
        types = {"number" if type(value) in (int, float) else type(value).__name__ for value in values}
        if len(types) > 1:
            raise PromptError(
                f"label {name!r} has mixed types ({', '.join(sorted(types))}): a column has one; convert "
                "the rows"
            )
        if types == {"str"}:
            columns[name] = np.array(values, dtype=object)
        elif types == {"bool"}:
            columns[name] = np.array(values, dtype=bool)
        elif all(type(value) is int for value in values):
            columns[name] = np.array(values, dtype=np.int64)
        else:
            columns[name] = np.array(values, dtype=np.float64)
            rounded = [v for v, kept in zip(values, columns[name].tolist(), strict=True) if kept != v]
            if rounded:
                raise PromptError(
                    f"label {name!r} holds integers and fractions, and {rounded[0]} is no float64; give the "
                    "column as strings, or smaller numbers"
                )
    return columns
