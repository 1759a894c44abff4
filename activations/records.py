"""Records: whatever holds prompts, as a list of rows, and whether it was one prompt or several.

The law: what is given means one thing everywhere. A string is one prompt, a `Path` is a file, a mapping or a
list of messages is one prompt, a table is its records; what could mean two things, or is not taken, is
refused with what to give instead. numpy's and torch's scalars become Python's, exactly or not at all.
"""

import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from activations import jsonl
from activations.errors import PromptError

FILES = (".jsonl", ".ndjson", ".json")
"""A string that ends so is the path of a file, since no prompt does; any other string is a prompt."""
TEXTS = ("text", "input_text", "output_text")
"""The types of content parts that are words."""
INT64 = (-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class Records:
    """Rows as they were given; `where` begins messages about them, `one`: it was a single prompt."""

    where: str
    rows: list[Any]
    one: bool


def records(prompts: Any) -> Records:
    """The rows of a file, a table or anything in memory.

    Raises:
        PromptError: what is not taken, or may mean two things; the message says what to give.
    """
    if isinstance(prompts, str) and not _is_path(prompts):
        return Records("prompt", [str(prompts)], True)
    if isinstance(prompts, str | os.PathLike):
        rows = [row for _, row in jsonl.read(prompts, error=PromptError, what="prompts file")]
        return Records(f"prompts file {os.fspath(prompts)!r}", rows, False)
    _refuse(prompts)
    if isinstance(prompts, Mapping):
        return Records("prompt", [prompts], True)
    pandas = sys.modules.get("pandas")  # where nobody has loaded it, nobody can give its tables
    if (
        pandas is not None
        and isinstance(prompts, pandas.Series)
        and {"text", "messages"} & set(prompts.index)
    ):
        return Records("prompt", [prompts.to_dict()], True)
    if pandas is not None and isinstance(prompts, pandas.DataFrame):
        return Records("table", _table(prompts), False)
    if not isinstance(prompts, Iterable):
        raise PromptError(
            f"prompts are a {type(prompts).__name__}: give a string, a path, a list of strings or of "
            "{'messages': ...} rows, a pandas.DataFrame or a datasets.Dataset"
        )
    rows = list(prompts)
    return Records("prompts", [rows] if is_messages(rows) else rows, is_messages(rows))


def each(prompts: Any) -> tuple[str, Iterable[Any]]:
    """`where` and the rows of `records`; a file's rows are read one by one, and not held."""
    if isinstance(prompts, str | os.PathLike) and (not isinstance(prompts, str) or _is_path(prompts)):
        lines = jsonl.each(prompts, error=PromptError, what="prompts file")
        return f"prompts file {os.fspath(prompts)!r}", (row for _, row in lines)
    given = records(prompts)
    return given.where, given.rows


def is_messages(rows: Any) -> bool:
    """Whether a list is one conversation: every item is a mapping with a role."""
    return (
        isinstance(rows, Sequence)
        and len(rows) > 0
        and all(isinstance(item, Mapping) and "role" in item and "messages" not in item for item in rows)
    )


_PLAIN = frozenset((str, dict, list, tuple, int, bool, float, type(None)))
"""What nearly every value is: not worth a look at numpy and torch (a tenth of reading prompts)."""


def plain(value: Any) -> Any:
    """A numpy or torch scalar as Python's; everything else as it is."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor) and value.ndim == 0:
        return value.item()
    return value


def label(value: Any, at: str, name: str) -> str | int | float | bool:
    """A label's value.

    Raises:
        PromptError: no string, number or boolean; NaN; an integer beyond 64 bits.
    """
    if type(value) is str or type(value) is bool:
        return value
    value = plain(value)
    if isinstance(value, str):
        return str(value)
    missing = value is None or type(value).__name__ in ("NaTType", "NAType")  # pandas's own
    if missing or (isinstance(value, float) and math.isnan(value)):
        raise PromptError(f"{at}: label {name!r} is missing ({value!r}); fill it in, or drop the row")
    if isinstance(value, int) and not INT64[0] <= value <= INT64[1]:
        raise PromptError(
            f"{at}: label {name!r} is an integer beyond 64 bits, which no cache can keep; write it as a "
            "string"
        )
    if not isinstance(value, int | float):  # a bool is an int
        raise PromptError(
            f"{at}: label {name!r} = {_short(value)}: a label is a string, number or boolean; write it as one"
        )
    return value


def content(value: Any, at: str, *, error: type[Exception] = PromptError) -> Any:
    """A message's words: a list of text parts is joined, as templates that know parts do; all else as it is.

    Raises:
        error: a part that is no text, such as an image; it is named.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        return plain(value)
    words = []
    for number, part in enumerate(value):
        kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
        if not isinstance(part, Mapping) or kind not in TEXTS or not isinstance(part.get("text"), str):
            raise error(
                f"{at}: content part {number} is of type {kind!r}, and only words are read: leave it out, or "
                "write {'type': 'text', 'text': ...}"
            )
        words.append(part["text"])
    return "".join(words)


def _is_path(text: str) -> bool:
    """Whether a string is a file's path; one that names a file by chance or on purpose is refused."""
    if "\n" not in text and text.lower().endswith(FILES):
        return True
    try:
        there = len(text) < 1024 and "\0" not in text and Path(text).is_file()
    except (OSError, ValueError):
        return False
    if there:
        raise PromptError(
            f"prompt {text!r} is also the name of a file: give pathlib.Path({text!r}) for the file, or "
            f"[{text!r}] for the words"
        )
    return False


def _refuse(prompts: Any) -> None:
    """What looks like prompts and iterates over something else."""
    kind = type(prompts)
    home = kind.__module__.partition(".")[0]
    instead = None
    if isinstance(prompts, bytes | bytearray | memoryview):
        instead = "decode them, and give a string"
    elif home == "polars":
        instead = "give .to_dicts() of a frame, .to_list() of a series"
    elif home == "pyarrow":
        instead = "give .to_pylist()"
    elif home == "datasets" and kind.__name__ in ("DatasetDict", "IterableDatasetDict"):
        instead = f"name one of its splits, {', '.join(map(repr, prompts))}"
    elif home == "pandas" and kind.__name__.endswith("GroupBy"):
        instead = "give the DataFrame itself, with the group as a label column"
    elif home == "torch" or (isinstance(prompts, np.ndarray) and prompts.dtype.kind in "iufcbV"):
        instead = "prompts are words, not numbers; give strings"
    elif isinstance(prompts, set | frozenset):
        instead = "it has no order; give a list"
    elif isinstance(prompts, np.ndarray) and prompts.ndim != 1:
        instead = f"it has {prompts.ndim} axes; give one axis of strings"
    if instead is not None:
        raise PromptError(f"prompts are a {kind.__module__}.{kind.__name__}, which is not taken: {instead}")


def _table(frame: Any) -> list[dict[str, Any]]:
    """A DataFrame's records; its index is no column."""
    odd = [name for name in frame.columns if not isinstance(name, str)]
    twice = [name for name in frame.columns if list(frame.columns).count(name) > 1]
    if odd or twice:
        fault = f"the column {odd[0]!r}, no string" if odd else f"the column {twice[0]!r} twice"
        raise PromptError(f"table has {fault}: rename it, for every column is a label")
    if not {"text", "messages"} & set(frame.columns):
        raise PromptError(
            f"table has the columns {', '.join(frame.columns)}: one must be 'text' or 'messages'; rename it"
        )
    columns = {name: frame[name].tolist() for name in frame.columns}
    return [{name: column[n] for name, column in columns.items()} for n in range(len(frame))]


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) < 80 else text[:77] + "..."
