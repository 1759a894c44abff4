"""What a finetune would do, without doing it: the rows as text with their loss mask, counts and steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.tokens import Template
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.rows import TrainingRow, encode_rows, marked, read_rows
from mi_bsa.finetune.config import FinetuneConfig


@dataclass(frozen=True)
class Preview:
    """What a finetune would do, without doing it; `str` of it is for reading.

    `guessed`: there was no tokenizer, so tokens are estimated from characters.
    """

    rows: tuple[str, ...]
    n_rows: int
    n_tokens: int
    n_trained_tokens: int
    longest: int
    steps: int
    checkpoints: tuple[int, ...]
    guessed: bool = False

    def __str__(self) -> str:
        shown = "\n".join(f"row {n}: {text}" for n, text in enumerate(self.rows))
        about = "about " if self.guessed else ""
        return (
            f"{shown}\n(the loss is on [[...]] only)\n{self.n_rows} rows, {about}{self.n_tokens} tokens, "
            f"{about}{self.n_trained_tokens} of them trained on, longest row {about}{self.longest}; "
            f"{self.steps} steps"
            + (
                f", adapters kept at steps {', '.join(map(str, self.checkpoints))}"
                if self.checkpoints
                else ""
            )
        )


CHARACTERS = 3.5
"""Characters that a token of English stands for, on the low side, so that lengths are not underestimated."""
FRAME = 5
"""Tokens that a chat template puts around one message."""


def preview(
    tokenizer: Any,
    rows: str | Path | Sequence[TrainingRow],
    *,
    config: FinetuneConfig,
    context: int,
    shown: int = 3,
) -> Preview:
    """Encode the rows and show the first of them with the loss mask. `context`: longest row that the model
    reads. Without a tokenizer (None) rows are shown without their template and tokens are estimated.
    """
    given = read_rows(rows)
    if tokenizer is None:
        return _guess(given, config, shown)
    template = Template(tokenizer)
    encoded = encode_rows(template, given, max_length=longest_row(config, context), turns=config.turns)
    steps = config.total_steps(len(encoded))
    return Preview(
        rows=tuple(marked(template, row) for row in encoded[:shown]),
        n_rows=len(encoded),
        n_tokens=sum(len(row.ids) for row in encoded),
        n_trained_tokens=sum(sum(row.trained) for row in encoded),
        longest=max(len(row.ids) for row in encoded),
        steps=steps,
        checkpoints=config.kept_steps(steps),
    )


def _guess(rows: Sequence[TrainingRow], config: FinetuneConfig, shown: int) -> Preview:
    """The preview of rows that no tokenizer has seen."""
    lengths, trained = [], []
    for row in rows:
        sizes = [FRAME + int(len(m["content"]) / CHARACTERS) + 1 for m in row["messages"]]
        spoken = [n for n, m in zip(sizes, row["messages"], strict=True) if m["role"] == "assistant"]
        lengths.append(sum(sizes))
        trained.append(sum(n - FRAME + 1 for n in (spoken if config.turns == "all" else spoken[-1:])))
    steps = config.total_steps(len(rows))
    return Preview(
        rows=tuple(_plain(row["messages"], config.turns) for row in rows[:shown]),
        n_rows=len(rows),
        n_tokens=sum(lengths),
        n_trained_tokens=sum(trained),
        longest=max(lengths),
        steps=steps,
        checkpoints=config.kept_steps(steps),
        guessed=True,
    )


def _plain(messages: Sequence[Mapping[str, str]], turns: str) -> str:
    """A conversation without its template, `[[` and `]]` around what is trained on."""
    last = max(k for k, m in enumerate(messages) if m["role"] == "assistant")
    return " | ".join(
        f"{m['role']}: [[{m['content']}]]"
        if m["role"] == "assistant" and (turns == "all" or k == last)
        else f"{m['role']}: {m['content']}"
        for k, m in enumerate(messages)
    )


def longest_row(config: FinetuneConfig, context: int) -> int:
    """Most tokens that a row may have. Raises `ConfigError` where `max_length` exceeds the context."""
    if config.max_length is not None and config.max_length > context:
        raise ConfigError(
            f"finetune.max_length {config.max_length} exceeds the model's context of {context}; lower it"
        )
    return config.max_length or context
