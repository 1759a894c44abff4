"""Vocabulary: a model's tokens as the words that a reader ranks, and how several of them make one.

The law: nothing is dropped in silence. Tokens that differ in a leading space or in case are one word, whose
score is the largest of theirs. Words have two letters or more; numbers, marks, single letters, special tokens
and bytes are left out, and counted. A token of three letters or more that only goes on with a word is shown
as `~ing`; one that only begins a word as `explan~`, where the model was asked (`begun`): more often than not
more letters follow. A word of several tokens stands in no table of tokens: it is found by its first, and
`Spelled.tokens` says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from activations.errors import PromptError

if TYPE_CHECKING:
    from activations.models import Model

MARKS = ("\u0120", "\u2581")
"""How tokenizers write the space that begins a word: byte-level BPE, SentencePiece."""
SENTENCE = "The word is"
"""What a word stands behind, where the model is asked whether it is whole: the first token of a text is like
no other to it.
"""
AT_ONCE = 256
"""Words that are asked in one pass."""
HALF = 0.5
"""A word that more letters follow more often than this is the beginning of another."""


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
        goes_on: of each token, whether it goes on with a word.
        open: how often the model goes on with the word, of those that were asked (`begun`).
    """

    words: tuple[str, ...]
    word_of: Int[np.ndarray, " token"]
    left_out: int
    tokenizer: Any
    goes_on: Bool[np.ndarray, " token"]
    open: dict[int, float] = field(default_factory=dict)

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
        going = [not b and key[:1].isalpha() for b, key in zip(begins, keys, strict=True)]
        goes_on = np.pad(np.array(going, bool), (0, size - known))
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
        return cls(tuple(found), word_of, int((word_of < 0).sum()), tokenizer, goes_on)

    def begun(self, model: "Model", words: Sequence[int]) -> None:
        """Ask the base, of words by their place, how often more letters follow each; `shown` says so then."""
        new = [k for k in dict.fromkeys(words) if k not in self.open and not self.words[k].startswith("~")]
        if not new or not self.goes_on.any():  # a tokenizer of whole words
            return
        lead = [int(i) for i in self.tokenizer.encode(SENTENCE, add_special_tokens=False)]
        begins = np.flatnonzero(~self.goes_on)[::-1]  # of several tokens of a word the first
        first = dict(zip(self.word_of[begins].tolist(), begins.tolist(), strict=True))
        new = [k for k in new if k in first]
        if not new:
            return
        goes_on = torch.from_numpy(np.flatnonzero(self.goes_on))
        ids = torch.tensor([[*lead, first[k]] for k in new], device=model.device)
        decoder: Any = model.anatomy.decoder
        with torch.no_grad(), model.variant("base"):
            for at, some in zip(range(0, len(new), AT_ONCE), ids.split(AT_ONCE), strict=True):
                hidden = decoder(input_ids=some, use_cache=False).last_hidden_state[:, -1]
                said = model.unembed(hidden).float().softmax(-1).cpu()
                share = said[:, goes_on].sum(-1).tolist()
                self.open.update(zip(new[at : at + AT_ONCE], share, strict=True))

    def shown(self, k: int) -> str:
        """A word as a reader sees it."""
        return f"{self.words[k]}~" if self.open.get(k, 0.0) > HALF else self.words[k]

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
