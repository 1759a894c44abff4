"""Index: the tokenized prompts of a capture, as small as they can be.

The law: memory grows by what is stored and by four bytes a token, and not by what a prompt is in Python
(7.8 kB of dictionaries, offsets and arrays each). Prompts are read, tokenized and resolved in blocks; a block
is gone when the next one comes. Order, values and errors are those of reading all at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from activations.batches import Batch, collate
from activations.positions import Positions
from activations.prompts import Prompts, blocks
from activations.selection import Ragged, Selection, Selector
from activations.tokens import Row

if TYPE_CHECKING:
    from activations.models import Model


@dataclass(frozen=True)
class Index:
    """Token ids and answers of all prompts.

    Attributes:
        ids: token ids of each prompt.
        answers: index of the first token of the closing answer, the length where there is none; (example,).
        head: the first prompts as they were tokenized, to be shown or compared.
        names: ids of the prompts.
    """

    ids: Ragged
    answers: np.ndarray
    head: list[Row]
    names: list[str]

    @classmethod
    def of(
        cls,
        model: "Model",
        prompts: Prompts,
        positions: str | Positions,
        *,
        head: int = 3,
        extend: Callable[[int, Row], Row] | None = None,
    ) -> "tuple[Index, Selection]":
        """Read and tokenize prompts, and resolve the positions; `extend` puts something behind each row, of
        which it gets the number.

        Raises:
            PromptError, PositionError: a row that cannot be used as it is.
        """
        selector = Selector(positions)
        ids: list[Ragged] = []
        answers: list[np.ndarray] = []
        kept: list[Row] = []
        for block in blocks(prompts):
            rows = model._encode(block)
            if extend:
                rows = [extend(n, row) for n, row in enumerate(rows, start=len(selector.names))]
            selector.add(rows)
            ids.append(Ragged([row.ids for row in rows]))
            answers.append(
                np.array([len(row) if row.answer is None else row.answer for row in rows], np.int64)
            )
            kept += rows[: max(0, head - len(kept))]
        return cls(Ragged.joined(ids), np.concatenate(answers), kept, selector.names), selector.done()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each prompt, shape (example,)."""
        return self.ids.lengths

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return int(self.lengths.max())

    def batch(self, model: "Model", members: np.ndarray) -> Batch:
        """Some prompts, padded on the right, on the model's device."""
        return collate(
            [self.ids[int(n)] for n in members],
            pad=model.pad_id,
            examples=members,
            prompt_lengths=self.answers[members],
            device=model.device,
        )
