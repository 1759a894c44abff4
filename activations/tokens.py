"""Tokens: the chat template applied exactly once, with the characters of every message kept.

The law: what is tokenized is the rendered text and nothing else. The template already writes the special
tokens, so none are added on top. Exactly one BOS leads where the tokenizer or its template writes one. A
template may write the same token again before later turns (ChatML whose BOS is `<|im_start|>`, Llama 2); a
message never says a special token in its own words.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from activations.errors import PromptError
from activations.prompts import Prompt

# Llama-3 templates print today's date unless they are given one: a prompt must not change overnight.
PINNED_DATE = "26 Jul 2024"


@dataclass(frozen=True)
class Row:
    """One tokenized prompt.

    Attributes:
        prompt: where it came from.
        text: the rendered text, special tokens included.
        ids: token ids without padding, shape (pos,), int64.
        offsets: characters [start, end) of each token in `text`, shape (pos, 2).
        contents: characters [start, end) of each message's content in `text`; empty for plain text.
        answer: index of the first token of the last message, if that is the assistant's; else None.
        n_bos: number of leading BOS tokens (0 where the tokenizer has none).
    """

    prompt: Prompt
    text: str
    ids: np.ndarray
    offsets: np.ndarray
    contents: tuple[tuple[int, int], ...]
    answer: int | None
    n_bos: int

    def __len__(self) -> int:
        return len(self.ids)


class Template:
    """A tokenizer with its chat template and pinned template arguments; renders and tokenizes prompts."""

    def __init__(self, tokenizer: Any, *, arguments: Mapping[str, Any] | None = None) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise PromptError(
                f"tokenizer {type(tokenizer).__name__} gives no character offsets; use its fast version"
            )
        self.tokenizer = tokenizer
        self.arguments = {"date_string": PINNED_DATE, **(arguments or {})}
        self._pieces: dict[tuple[tuple[str, ...], bool], list[str]] = {}
        self._special = Specials(tokenizer)

    @property
    def hash(self) -> str:
        """SHA-256 of the template text and its pinned arguments."""
        text = json.dumps([self.tokenizer.chat_template, self.arguments], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The text that the model sees. A generation prompt is added unless the assistant spoke last.

        Raises:
            PromptError: no chat template, or one that refuses these messages.
        """
        self._special.refuse_in(messages)
        if self.tokenizer.chat_template is None:
            raise PromptError(
                "the tokenizer has no chat template: 'messages' need one; give rows with 'text', or set a "
                "template"
            )
        try:
            text: str = self.tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                tokenize=False,
                add_generation_prompt=messages[-1]["role"] != "assistant",
                **self.arguments,
            )
        except Exception as error:  # jinja's own errors and those that a template raises have no common base
            raise PromptError(
                f"the chat template refuses roles {[m['role'] for m in messages]} ({error}); change them"
            ) from None
        return text

    def encode(self, prompts: Sequence[Prompt], *, max_length: int | None = None) -> list[Row]:
        """Tokenize prompts; nothing is truncated.

        Raises:
            PromptError: doubled or missing BOS, or a prompt longer than `max_length`.
        """
        rows: list[Row | None] = [None] * len(prompts)
        chat = [n for n, prompt in enumerate(prompts) if prompt.messages is not None]
        plain = [n for n, prompt in enumerate(prompts) if prompt.messages is None]
        for members, special in ((chat, False), (plain, True)):
            if not members:
                continue
            texts = [
                self.render(prompts[n].messages or ()) if not special else prompts[n].text or ""
                for n in members
            ]
            encoded = self.tokenizer(texts, add_special_tokens=special, return_offsets_mapping=True)
            for n, text, ids, offsets in zip(
                members, texts, encoded["input_ids"], encoded["offset_mapping"], strict=True
            ):
                rows[n] = self._row(
                    prompts[n], text, np.asarray(ids, np.int64), np.asarray(offsets, np.int64).reshape(-1, 2)
                )
        done = [row for row in rows if row is not None]
        for row in done:
            if max_length is not None and len(row) > max_length:
                raise PromptError(
                    f"prompt {row.prompt.id!r} has {len(row)} tokens, more than the model's context of "
                    f"{max_length}; "
                    "shorten or drop it (nothing is truncated)"
                )
        return done

    def _row(self, prompt: Prompt, text: str, ids: np.ndarray, offsets: np.ndarray) -> Row:
        if len(ids) == 0:
            raise PromptError(
                f"prompt {prompt.id!r} is an empty prompt: no token is left of {text!r}; fill or drop the row"
            )
        try:
            n_bos = self._special.leading(ids, again=prompt.messages is not None or self._marks_turns)
        except PromptError as error:
            raise PromptError(f"prompt {prompt.id!r}: {error}") from None
        contents = self._contents(prompt, text)
        answer = None
        if prompt.messages is not None and prompt.messages[-1]["role"] == "assistant":
            answer = token_at(offsets, contents[-1][0])
        return Row(prompt, text, ids, offsets, contents, answer, n_bos)

    @cached_property
    def _marks_turns(self) -> bool:
        """Whether the template writes BOS before later turns too; then a text rendered by hand has it."""
        bos, template = self.tokenizer.bos_token, self.tokenizer.chat_template
        if bos is None or template is None:
            return False
        turns = [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]
        try:
            return self.render(turns).count(bos) > 1
        except PromptError:  # a template without these roles: then its texts have one BOS, as all others
            return False

    def _contents(self, prompt: Prompt, text: str) -> tuple[tuple[int, int], ...]:
        """Characters of each message's content, found by rendering once with marks in their place."""
        if prompt.messages is None:
            return ()
        roles = tuple(message["role"] for message in prompt.messages)
        key = (roles, roles[-1] == "assistant")
        if key not in self._pieces:
            marks = [f"\x02{n}\x03" for n in range(len(roles))]
            marked = self.render(
                [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
            )
            pieces, rest = [], marked
            for mark in marks:
                piece, found, rest = rest.partition(mark)
                if not found:
                    raise PromptError(
                        f"the chat template drops or reorders messages of roles {roles}; change the roles"
                    )
                pieces.append(piece)
            self._pieces[key] = [*pieces, rest]
        for trim in (False, True):  # Llama-3 templates strip each content
            contents = [m["content"].strip() if trim else m["content"] for m in prompt.messages]
            spans, cursor, built = [], 0, ""
            for piece, content in zip(self._pieces[key], contents, strict=False):
                built += piece
                cursor = len(built)
                built += content
                spans.append((cursor, len(built)))
            if built + self._pieces[key][-1] == text:
                return tuple(spans)
        raise PromptError(
            f"prompt {prompt.id!r}: the chat template changes the messages' words, so their characters "
            "cannot be found; "
            "render it yourself and give 'text'"
        )


class Specials:
    """A tokenizer's special tokens: which of them leads a text, and that no message says one."""

    def __init__(self, tokenizer: Any) -> None:
        self.bos, self.bos_id, self.eos_id = (
            tokenizer.bos_token,
            tokenizer.bos_token_id,
            tokenizer.eos_token_id,
        )
        self.adds_bos = self.bos_id is not None and tokenizer("x")["input_ids"][:1] == [self.bos_id]
        said = sorted((t.content for t in tokenizer.added_tokens_decoder.values() if t.special), key=len)
        self._said = re.compile("|".join(map(re.escape, reversed(said))) or "(?!)")  # (?!) never matches

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
        places = np.flatnonzero(np.asarray(ids) == self.bos_id)
        first, twice = int(ids[0]) == self.bos_id, len(places) > 1 and places[1] == 1
        later = len(places) > 1 and not again and self.bos_id != self.eos_id
        if first and (twice or later):
            raise PromptError(
                f"holds the BOS token {self.bos!r} more than once ({len(places)} times): exactly one must "
                "lead it; take it out of the text, or mend the chat template, to write it once"
            )
        if not first and (self.adds_bos or (len(places) and self.bos_id != self.eos_id)):
            raise PromptError(
                f"holds the BOS token {self.bos!r} not at its start ({len(places)} times): exactly one must "
                "lead it; take it out of the text, or mend the chat template"
            )
        return int(first)


def token_at(offsets: np.ndarray, character: int) -> int:
    """Index of the token that covers a character; the next one where none does (a space that no token keeps).

    Raises:
        PromptError: the character lies behind the last token.
    """
    covering = np.nonzero((offsets[:, 1] > character) & (offsets[:, 1] > offsets[:, 0]))[0]
    if len(covering) == 0:
        raise PromptError(
            f"character {character} lies behind the last token, which ends at {offsets[-1, 1]}; check the "
            "span"
        )
    return int(covering[0])


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """SHA-256 of all that decides how text becomes ids (vocabulary, merges, normalizers, special tokens)."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state.pop("padding", None)
    state.pop("truncation", None)
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
