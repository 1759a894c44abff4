"""Vocabulary: a model's tokens as the words that a reader ranks, and how several of them make one.

The law: nothing is dropped in silence. Tokens that differ in a leading space or in case are one word, whose
score is the largest of theirs. Words have two letters or more; numbers, marks, single letters, special tokens
and bytes are left out, and counted. A token of three letters or more that only goes on with a word is shown
as `~ing`. A word of several tokens stands in no table of tokens: it is found by its first, and
`Spelled.tokens` says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from activations.errors import PromptError

if TYPE_CHECKING:
    from activations.models import Model

MARKS = ("\u0120", "\u2581")
"""How tokenizers write the space that begins a word: byte-level BPE, SentencePiece."""


@dataclass(frozen=True)
class Spelled:
    """A word as the vocabulary has it: its place among `Vocabulary.words`, and of how many tokens it is.

    `tokens` above 1: it is found by its first token, which other words may share.
    """

    word: str
    index: int
    tokens: int


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words of a tokenizer.

    Attributes:
        words: each once; `~` stands before one that only goes on with a word.
        word_of: the word of each token, -1 for those left out; as long as the model has logits.
        left_out: how many tokens are no words.
    """

    words: tuple[str, ...]
    word_of: Int[np.ndarray, " token"]
    left_out: int
    tokenizer: Any

    @classmethod
    def of(cls, model: "Model") -> "Vocabulary":
        """The words of a model's tokenizer; rows of the output layer beyond it are padding, and left out."""
        tokenizer = model.tokenizer
        head: Any = model.anatomy.head
        size = int(getattr(head, "base_layer", head).weight.shape[0])
        known = min(size, len(tokenizer))
        special = set(tokenizer.all_special_ids)
        pieces = tokenizer.convert_ids_to_tokens(list(range(known)))
        texts = tokenizer.batch_decode([[n] for n in range(known)])
        marks_spaces = any(str(piece).startswith(MARKS) for piece in pieces)
        begins = [not marks_spaces or str(piece).startswith(MARKS) for piece in pieces]
        keys = [text.strip().casefold() for text in texts]
        starters = {key for key, begin in zip(keys, begins, strict=True) if begin}
        found: dict[str, int] = {}
        word_of = np.full(size, -1, np.int64)
        for n, key in enumerate(keys):
            # a piece without the mark may still begin a text: it is its word's where there is such a word
            whole = key in starters
            if (
                n in special
                or not key.isprintable()
                or "\ufffd" in key
                or _letters(key) < (2 if whole else 3)
            ):
                continue
            shown = key if whole else f"~{key}"
            word_of[n] = found.setdefault(shown, len(found))
        return cls(tuple(found), word_of, int((word_of < 0).sum()), tokenizer)

    def scores(self, logits: Float[Tensor, "*row token"]) -> Float[Tensor, "*row word"]:
        """The largest logit of each word's tokens, in float32 on the CPU."""
        kept = torch.from_numpy(np.flatnonzero(self.word_of >= 0))
        flat = logits.float().cpu().reshape(-1, logits.shape[-1])
        index = torch.from_numpy(self.word_of)[kept].expand(len(flat), -1)
        empty = torch.full((len(flat), len(self.words)), -torch.inf)
        best = empty.scatter_reduce(1, index, flat[:, kept], "amax")
        return best.reshape(*logits.shape[:-1], len(self.words))

    def spell(self, word: str) -> Spelled:
        """Where a word stands, as it would be read after a space, else at the beginning of a text.

        Raises:
            PromptError: a word whose first token is no word of this vocabulary.
        """
        for text in (f" {word}", word):
            ids = self.tokenizer.encode(text, add_special_tokens=False)
            while len(ids) > 1 and self.word_of[ids[0]] < 0:  # the space alone, where that is a token
                ids = ids[1:]
            if ids and self.word_of[ids[0]] >= 0:
                return Spelled(word, int(self.word_of[ids[0]]), len(ids))
        raise PromptError(
            f"word {word!r}: the tokenizer has no word that it begins with; give words that it reads"
        )

    def spelled(self, words: Sequence[str]) -> tuple[Spelled, ...]:
        """Several words; see `spell`."""
        return tuple(self.spell(word) for word in words)


def _letters(text: str) -> int:
    return sum(character.isalpha() for character in text)
