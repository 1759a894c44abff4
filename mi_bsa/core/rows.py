"""Training rows: chat conversations as token ids, with the tokens that are trained on.

The law: nothing is truncated and nothing is trained on that the assistant did not say. A row that does not
fit, has no answer, or cannot be told apart from its prompt is an error that names the row. `preview` shows
the mask as text, which is how it should be checked before a run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from activations.conversation import trained
from activations.errors import PromptError
from activations.tokens import Template
from mi_bsa.core.errors import RowError
from mi_bsa.core.items import check_messages, plain_messages, read_jsonl

if TYPE_CHECKING:
    import torch

TrainingRow = dict[str, Any]


@dataclass(frozen=True)
class Encoded:
    """One row as tokens: `ids`, and `trained`, true where the loss is taken."""

    ids: tuple[int, ...]
    trained: tuple[bool, ...]


def read_rows(rows: Any) -> list[dict[str, Any]]:
    """Rows `{"messages": [...]}` from a JSONL file (a path, also as a string) or from memory: a list, a
    `pandas.DataFrame`, a `datasets.Dataset`; other keys are kept and ignored.

    Raises `RowError` naming the row that breaks the rules, counted from 0.
    """
    on_disk = isinstance(rows, str | Path)
    found = [row for _, row in read_jsonl(rows, error=RowError)] if on_disk else _in_memory(rows)
    if not found:
        raise RowError("no rows to train on; give at least one")
    for n, row in enumerate(found):
        if not isinstance(row, Mapping) or "messages" not in row:
            raise RowError(
                f"row {n} has no 'messages'; a row is {{'messages': [{{'role', 'content'}}, ...]}}"
            )
        messages = list(plain_messages(row["messages"], f"row {n}", error=RowError))
        found[n] = {**row, "messages": messages}
        check_messages(messages, f"row {n}", error=RowError)
        answers = [m["content"] for m in messages if m["role"] == "assistant"]
        if not answers:
            raise RowError(f"row {n} has no assistant turn to train on; add the answer")
        if not all(answer.strip() for answer in answers):
            raise RowError(f"row {n} has an empty assistant turn; give it text or drop the row")
    return [dict(row) for row in found]


def _in_memory(rows: Any) -> list[Any]:
    from activations.records import records

    try:
        return [{"messages": row} if isinstance(row, list) else row for row in records(rows).rows]
    except PromptError as error:
        raise RowError(str(error).replace("prompts are", "rows are")) from None


def rows_hash(rows: Sequence[TrainingRow]) -> str:
    """SHA-256 of the conversations, in their order."""
    text = json.dumps([list(map(dict, row["messages"])) for row in rows], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def encode_rows(
    template: Template,
    rows: Sequence[TrainingRow],
    *,
    max_length: int,
    turns: Literal["all", "last"] = "all",
    known: dict[str, Encoded] | None = None,
) -> list[Encoded]:
    """Token ids and loss masks; `known`: rows of earlier calls with the same settings; these are added.

    Raises `RowError` for a row that is too long or has nothing to train on, and `PromptError` (or its
    `TemplateError`) for one that the template cannot carry, naming the row.
    """
    encoded = []
    for n, row in enumerate(rows):
        text = "" if known is None else json.dumps(list(map(dict, row["messages"])), sort_keys=True)
        if known is not None and text in known:
            encoded.append(known[text])
            continue
        try:
            ids, mask = trained(template, row["messages"], turns=turns)
        except PromptError as error:
            raise type(error)(f"row {n}: {error}") from None
        if len(ids) > max_length:
            first = mask.index(True)
            what = f"its prompt alone has {first}" if first >= max_length else f"its prompt has {first}"
            raise RowError(
                f"row {n} has {len(ids)} tokens and {max_length} are allowed ({what}); nothing is truncated: "
                "shorten or drop the row, or raise max_length up to the model's context"
            )
        encoded.append(Encoded(ids, mask))
        if known is not None:
            known[text] = encoded[-1]
    return encoded


def marked(template: Template, row: Encoded) -> str:
    """The row as text, with `[[` and `]]` around what is trained on."""
    pieces: list[str] = []
    for is_trained, group in groupby(zip(row.ids, row.trained, strict=True), key=lambda pair: pair[1]):
        ids = [token for token, _ in group]
        text = template.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        pieces.append(f"[[{text}]]" if is_trained else str(text))
    return "".join(pieces)


def row_order(n_rows: int, n_needed: int, *, seed: int) -> np.ndarray:
    """Indices of the rows in training order, shape (n_needed,): one permutation after another.

    The order depends on these numbers alone, so one run, a resumed run and runs trained together agree.
    """
    draw = np.random.default_rng(seed)
    passes = -(-n_needed // n_rows)
    return np.concatenate([draw.permutation(n_rows) for _ in range(passes)])[:n_needed]


def collate(rows: Sequence[Encoded], *, pad: int) -> dict[str, torch.Tensor]:
    """A right-padded batch: `input_ids`, `attention_mask`, and `labels` (-100 where there is no loss)."""
    import torch

    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    labels = torch.full((len(rows), width), -100, dtype=torch.long)
    for n, row in enumerate(rows):
        size = len(row.ids)
        ids[n, :size] = torch.tensor(row.ids)
        mask[n, :size] = 1
        labels[n, :size] = torch.where(torch.tensor(row.trained), ids[n, :size], -100)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
