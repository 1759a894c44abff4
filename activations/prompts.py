"""Prompts: rows of `{"id", "messages" | "text", <label columns>}`, from a JSONL file or from memory.

The law: every row is usable or the whole reading fails with the row's number; nothing is skipped or filled
in. Reserved keys are `id`, `messages`, `text`, `prompt` and `spans`; every other key is a label column.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from activations.errors import PromptError
from activations.jsonl import half_of
from activations.records import content, each, label, plain, records

ROLES = ("system", "user", "assistant", "tool")
Message = Mapping[str, Any]
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
    read_rows = tuple(_each(given.where, given.rows))
    label_columns(read_rows)
    return read_rows, given.one


def blocks(prompts: Prompts, *, size: int = 1024) -> Iterator[list[Prompt]]:
    """What `read` reads, `size` prompts at a time, so that a file of any length is never held whole.

    Labels are left to `Labels`, whose columns are known when all rows are.

    Raises:
        PromptError: as `read`; rows before a faulty one were given already.
    """
    where, rows = each(prompts)
    block: list[Prompt] = []
    for prompt in _each(where, rows):
        block.append(prompt)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


def _each(where: str, rows: Iterable[Any]) -> Iterator[Prompt]:
    """Prompts with ids that differ, in every row or in none."""
    seen: dict[str, int] = {}
    named = number = 0
    for number, row in enumerate(rows, start=1):
        prompt = _prompt(row, number - 1, where)
        named += isinstance(row, Mapping) and "id" in row
        if prompt.id in seen and named in (0, number):
            raise PromptError(
                f"{where}: id {prompt.id!r} is in rows {seen[prompt.id]} and {number - 1}; ids must differ, "
                "rename one"
            )
        seen[prompt.id] = number - 1
        yield prompt
    if not number:
        raise PromptError(f"{where} holds no row: at least one is needed; give one JSON object a line")
    if named not in (0, number):
        raise PromptError(f"{where}: {named} of {number} rows have an 'id'; give every row one, or none")


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
        raise half_of(bad, PromptError, at) from None


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
        message = {"role": message["role"], "content": content(message["content"], at)}
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


class Labels:
    """Collects the labels of prompts, row by row; `columns` are known at the end."""

    def __init__(self) -> None:
        self.n = 0
        self._first = ""
        self._values: dict[str, list[Any]] = {}
        self._lacking: dict[str, tuple[str, int]] = {}
        self._words: dict[str, str] = {}

    def add(self, prompt: Prompt) -> None:
        """The next row."""
        if not self.n:
            self._first = prompt.id
        for name, value in prompt.labels.items():
            if name not in self._values:
                self._values[name] = []
                if self.n:
                    self._lacking[name] = (self._first, self.n)
            if type(value) is str and len(self._words) < MANY_WORDS:  # words repeat: each is held once
                value = self._words.setdefault(value, value)
            self._values[name].append(value)
        if len(prompt.labels) < len(self._values):
            for name in self._values.keys() - prompt.labels.keys():
                first, count = self._lacking.get(name, (prompt.id, 0))
                self._lacking[name] = (first, count + 1)
        self.n += 1

    def columns(self) -> dict[str, np.ndarray]:
        """The columns as arrays of one type each: object (str), int64, float64 or bool; shape (example,).

        Raises:
            PromptError: a label that some rows lack, or whose rows hold different types.
        """
        for name in self._values:
            if name in self._lacking:
                first, count = self._lacking[name]
                raise PromptError(
                    f"label {name!r} is absent in {count} of {self.n} rows (first: id {first!r}); give it in "
                    "every row"
                )
        return {name: _column(name, values) for name, values in self._values.items()}


MANY_WORDS = 10_000
"""So many different words of labels are remembered."""


def label_columns(prompts: Sequence[Prompt]) -> dict[str, np.ndarray]:
    """The label columns of some prompts; see `Labels`.

    Raises:
        PromptError: a label that some rows lack, or whose rows hold different types.
    """
    found = Labels()
    for prompt in prompts:
        found.add(prompt)
    return found.columns()


def _column(name: str, values: list[Any]) -> np.ndarray:
    types = {"number" if type(value) in (int, float) else type(value).__name__ for value in values}
    if len(types) > 1:
        raise PromptError(
            f"label {name!r} has mixed types ({', '.join(sorted(types))}): a column has one; convert the rows"
        )
    if types == {"str"}:
        return np.array(values, dtype=object)
    if types == {"bool"}:
        return np.array(values, dtype=bool)
    if all(type(value) is int for value in values):
        return np.array(values, dtype=np.int64)
    column = np.array(values, dtype=np.float64)
    rounded = [v for v, kept in zip(values, column.tolist(), strict=True) if kept != v]
    if rounded:
        raise PromptError(
            f"label {name!r} holds integers and fractions, and {rounded[0]} is no float64; give the "
            "column as strings, or smaller numbers"
        )
    return column
