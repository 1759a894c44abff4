"""Special tokens: what leads a text, what ends a turn, and what no message may say in its own words.

The law: the model reads a special token as the template's, whoever wrote it. So a message that spells one
would speak for somebody else, and is refused; the one that leads stands there once.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from activations.errors import PromptError


class Specials:
    """A tokenizer's special tokens: which of them leads a text, and that no message says one."""

    def __init__(self, tokenizer: Any) -> None:
        self.bos, self.bos_id, self.eos_id = (
            tokenizer.bos_token,
            tokenizer.bos_token_id,
            tokenizer.eos_token_id,
        )
        self.adds_bos = self.bos_id is not None and tokenizer("x")["input_ids"][:1] == [self.bos_id]
        added = tokenizer.added_tokens_decoder
        self.ids = frozenset(n for n, token in added.items() if token.special)
        said = {token.content for token in added.values() if token.special and token.content}
        longest_first = sorted(said, key=len, reverse=True)
        self._said = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")  # (?!) never matches

    def last(self, text: str) -> int:
        """Where the last special token of a text begins; 0 where it has none."""
        return max((found.start() for found in self._said.finditer(text)), default=0)

    def refuse_in(self, messages: Sequence[Mapping[str, str]]) -> None:
        """Refuse a message that writes a special token: the model would read the end of a turn, or another's.

        Raises:
            PromptError: the token, and whose message it is.
        """
        for message in messages:
            found = self._said.search(message["content"])
            if found is not None:
                raise PromptError(
                    f"a {message['role']} message writes the special token {found[0]!r} in its own words, "
                    "which the model would read as the template's; take it out, or render the row yourself "
                    "and give 'text'"
                )

    def leading(self, ids: Sequence[int] | np.ndarray, *, again: bool) -> int:
        """The number of leading BOS tokens, 0 or 1; `again`: BOS may stand at later places too.

        Raises:
            PromptError: BOS leads twice; it is missing where the tokenizer has one, or not at the start.
        """
        if self.bos_id is None or len(ids) == 0:
            return 0
        ids = ids.tolist() if isinstance(ids, np.ndarray) else ids
        first, times = ids[0] == self.bos_id, ids.count(self.bos_id)
        later = not again and self.bos_id != self.eos_id
        if first and times > 1 and (later or ids[1] == self.bos_id):
            raise PromptError(
                f"holds the BOS token {self.bos!r} more than once ({times} times): exactly one must "
                "lead it; take it out of the text, or mend the chat template, to write it once"
            )
        if not first and (self.adds_bos or (times and self.bos_id != self.eos_id)):
            raise PromptError(
                f"holds the BOS token {self.bos!r} not at its start ({times} times): exactly one must "
                "lead it; take it out of the text, or mend the chat template"
            )
        return int(first)
