"""Tokens: the chat template applied exactly once, with the characters of every message kept.

The law: what is tokenized is the rendered text and nothing else. The template already writes the special
tokens, so none are added on top. Exactly one BOS leads where the tokenizer or its template writes one. A
template may write the same token again before later turns (ChatML whose BOS is `<|im_start|>`, Llama 2); a
message never says a special token in its own words.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from activations.errors import PromptError, TemplateError, first_line
from activations.prompts import Message, Prompt
from activations.rendering import CLOCK, PINS, render
from activations.specials import Specials

Spans = tuple[tuple[int, int], ...]
_WHOLE = {"return_attention_mask": False, "truncation": False, "verbose": False}


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
        trimmed: characters that the template took from the beginning of each message's content.
    """

    prompt: Prompt
    text: str
    ids: np.ndarray
    offsets: np.ndarray
    contents: Spans
    answer: int | None
    n_bos: int
    trimmed: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def within(self, start: int, end: int) -> np.ndarray:
        """Indices of the tokens that hold any of the characters [start, end)."""
        low, high = self.offsets.T
        return np.flatnonzero((low < end) & (high > start) & (high > low))


@dataclass
class KnownTokens:
    """What is known of a tokenizer and its template already, and of conversations that were rendered."""

    specials: Specials
    variables: dict[str, Any]
    pieces: dict[tuple[tuple[str, ...], bool], tuple[str, ...]] = field(default_factory=dict)
    openings: dict[Any, Any] = field(default_factory=dict)
    tails: dict[Any, Any] = field(default_factory=dict)


_KNOWN: WeakKeyDictionary[Any, dict[Any, KnownTokens]] = WeakKeyDictionary()
"""By tokenizer, then by its template, the template's arguments and its number of tokens: a study asks every
variant the same items."""


class Template:
    """A tokenizer with its chat template and pinned template arguments; renders and tokenizes prompts."""

    def __init__(self, tokenizer: Any, *, arguments: Mapping[str, Any] | None = None) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise TemplateError(
                f"tokenizer {type(tokenizer).__name__} gives no character offsets; use its fast version"
            )
        self.tokenizer = tokenizer
        self.arguments = {**PINS, **(arguments or {})}
        try:
            self._state = (len(tokenizer), json.dumps(self.arguments, sort_keys=True))
        except (TypeError, ValueError) as error:
            raise TemplateError(
                f"template_arguments {self.arguments!r}: {error}; give strings, numbers, booleans and lists"
            ) from None

    @property
    def hash(self) -> str:
        """SHA-256 of the template text, its pinned arguments and its clock."""
        text = json.dumps([self.tokenizer.chat_template, self.arguments, CLOCK.isoformat()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def known(self) -> KnownTokens:
        """What is known so far of the tokenizer and its template."""
        tokenizer = self.tokenizer
        states = _KNOWN.setdefault(tokenizer, {})
        state = (*self._state, str(tokenizer.chat_template))
        if state not in states:
            variables = {**tokenizer.special_tokens_map, "tools": None, "documents": None, **self.arguments}
            states[state] = KnownTokens(Specials(tokenizer), variables)
        return states[state]

    def render(self, messages: Sequence[Message], *, opened: bool | None = None) -> str:
        """The text that the model sees, with the opening of the assistant's next turn if `opened` (by default
        unless the assistant spoke last).

        Raises:
            TemplateError: no chat template, or one that refuses these messages or does not end.
            PromptError: a message says a special token.
        """
        known, spoke = self.known, messages[-1]["role"] == "assistant"
        known.specials.refuse_in(messages)
        return self._render(messages, not spoke if opened is None else opened, known)

    def _render(self, messages: Sequence[Message], opened: bool, known: KnownTokens) -> str:
        if not self.tokenizer.chat_template:
            raise TemplateError(
                "the tokenizer has no chat template: 'messages' need one; give rows with 'text', use an "
                "instruct model's tokenizer, or set tokenizer.chat_template"
            )
        plain = [{key: str(value) for key, value in message.items()} for message in messages]
        try:
            source = self.tokenizer.get_chat_template()
            return render(source, {**known.variables, "messages": plain, "add_generation_prompt": opened})
        except Exception as error:  # jinja's own errors and those that a template raises have no common base
            raise TemplateError(
                f"the chat template refuses roles {[m['role'] for m in messages]} ({first_line(error)}); "
                "change them, or use another template"
            ) from None

    def ids(self, text: str) -> list[int]:
        """Token ids of a text that was rendered already."""
        return self.tokenizer(text, add_special_tokens=False, **_WHOLE)["input_ids"]

    def coded(self, texts: Sequence[str], *, special: bool = False) -> list[tuple[list[int], np.ndarray]]:
        """Token ids and character offsets of texts that were rendered already; nothing is truncated."""
        made = self.tokenizer(list(texts), add_special_tokens=special, return_offsets_mapping=True, **_WHOLE)
        found = []
        for text, ids, pairs in zip(texts, made["input_ids"], made["offset_mapping"], strict=True):
            offsets = np.asarray(pairs, np.int64).reshape(-1, 2)
            # A mark that a normalizer joined to the letter before it (NFC) belongs to that letter's token.
            for n in np.flatnonzero(offsets[1:, 0] > offsets[:-1, 1]):
                offsets[n, 1] += len(text[offsets[n, 1] : offsets[n + 1, 0]].rstrip())
            found.append((ids, offsets))
        return found

    def encode(self, prompts: Sequence[Prompt], *, max_length: int | None = None) -> list[Row]:
        """Tokenize prompts; nothing is truncated.

        Raises:
            PromptError: doubled or missing BOS, a special token in a message, or a prompt longer than
                `max_length`.
        """
        rows: dict[int, Row] = {}
        chat = [n for n, prompt in enumerate(prompts) if prompt.messages is not None]
        plain = [n for n, prompt in enumerate(prompts) if prompt.messages is None]
        for members, special in ((chat, False), (plain, True)):
            texts = [prompts[n].text or "" if special else self._chat(prompts[n]) for n in members]
            coded = self.coded(texts, special=special) if texts else []
            for n, text, (ids, offsets) in zip(members, texts, coded, strict=True):
                rows[n] = self._row(prompts[n], text, np.asarray(ids, np.int64), offsets)
        done = [rows[n] for n in range(len(prompts))]
        for row in done:
            if max_length is not None and len(row) > max_length:
                raise PromptError(
                    f"prompt {row.prompt.id!r} has {len(row)} tokens, more than the model's context of "
                    f"{max_length}; shorten or drop it (nothing is truncated)"
                )
        return done

    def _chat(self, prompt: Prompt) -> str:
        try:
            return self.render(prompt.messages or ())
        except PromptError as error:
            raise type(error)(f"prompt {prompt.id!r}: {error}") from None

    def _row(self, prompt: Prompt, text: str, ids: np.ndarray, offsets: np.ndarray) -> Row:
        if len(ids) == 0:
            raise PromptError(
                f"prompt {prompt.id!r} is an empty prompt: no token is left of {text!r}; fill or drop the row"
            )
        known = self.known
        again = prompt.messages is not None
        try:
            bos = known.specials.bos_id
            if not again and bos is not None and (ids[1:] == bos).any():
                again = self._marks_turns
            n_bos = known.specials.leading(ids, again=again)
            if prompt.messages is None:
                return Row(prompt, text, ids, offsets, (), None, n_bos)
            contents, trimmed = self.contents(prompt.messages, text)
            answer = None
            if prompt.messages[-1]["role"] == "assistant":
                answer = token_at(offsets, contents[-1][0])
                self._refuse_shared(prompt.messages, offsets, contents)
        except PromptError as error:
            raise type(error)(f"prompt {prompt.id!r}: {error}") from None
        return Row(prompt, text, ids, offsets, contents, answer, n_bos, trimmed)

    @cached_property
    def _marks_turns(self) -> bool:
        """Whether the template writes BOS before later turns too; then a text rendered by hand has it."""
        turns = [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]
        try:
            return self.render(turns).count(self.tokenizer.bos_token) > 1
        except PromptError:  # a template without these roles: then its texts have one BOS, as all others
            return False

    def pieces(self, roles: tuple[str, ...], *, opened: bool) -> tuple[str, ...]:
        """What the template writes before each message's content, and behind the last one.

        Raises:
            TemplateError: a role whose content it drops, moves or rewrites.
        """
        known = self.known
        if (roles, opened) not in known.pieces:
            marks = [f"qzq{n}qzq" for n in range(len(roles))]
            rest = self._render(
                [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)],
                opened,
                known,
            )
            found = []
            for role, mark in zip(roles, marks, strict=True):
                piece, seen, rest = rest.partition(mark)
                if not seen:
                    raise TemplateError(
                        f"the chat template drops or moves the {role} message of roles {list(roles)}; leave "
                        "it out, or give its words another role"
                    )
                found.append(piece)
            known.pieces[roles, opened] = (*found, rest)
        return known.pieces[roles, opened]

    def contents(
        self, messages: Sequence[Message], text: str, *, opened: bool | None = None
    ) -> tuple[Spans, tuple[int, ...]]:
        """Characters of each message's content in the rendered text, and how many of its first ones the
        template took away: each content stands there as it is, or without white space around it.

        Raises:
            TemplateError: words that the template drops or changes.
        """
        roles = tuple(message["role"] for message in messages)
        pieces = self.pieces(roles, opened=roles[-1] != "assistant" if opened is None else opened)
        spans, trimmed = [], []
        at = 0
        for n, message in enumerate(messages):
            at += len(pieces[n])
            content = message["content"]
            for kept in (
                content,
                content.strip(),
                content.lstrip("\n"),  # Qwen 3 takes line feeds only
                content.strip("\n"),
                content.lstrip(),
                content.rstrip(),
            ):
                if text.startswith(kept + pieces[n + 1], at):
                    break
            else:
                raise TemplateError(
                    f"the chat template changes the words of message {n} ({message['role']}), so their "
                    "characters cannot be found; change the message, or render it yourself and give 'text'"
                )
            spans.append((at, at + len(kept)))
            trimmed.append(content.index(kept))
            at += len(kept)
        if not text.startswith(pieces[0]) or at + len(pieces[-1]) != len(text):
            raise TemplateError(
                "the chat template writes these messages otherwise than their roles say, so their characters "
                "cannot be found; render them yourself and give 'text'"
            )
        return tuple(spans), tuple(trimmed)

    def _refuse_shared(self, messages: Sequence[Message], offsets: np.ndarray, contents: Spans) -> None:
        """The prompt's end and the answer share no token: what predicts the answer is the prompt's own."""
        if len(messages) < 2:
            return
        roles = tuple(message["role"] for message in messages)
        before = self.pieces(roles, opened=False)[-2]
        try:
            opening = self.pieces(roles[:-1], opened=True)[-1]
        except TemplateError:  # no prompt of these roles alone: nothing to compare with
            return
        if before.startswith(opening):
            end = contents[-1][0] - len(before) + len(opening)
            if ((offsets[:, 0] < end) & (offsets[:, 1] > end)).any():
                raise shared_token(messages[-1]["content"])


def shared_token(answer: str) -> TemplateError:
    """What to say where an answer's beginning would change the prompt's own tokens."""
    return TemplateError(
        f"the end of the prompt and the answer {answer[:20]!r} share a token; take white space from the "
        "answer's beginning, or use a template whose generation prompt ends at a token's end"
    )


def token_at(offsets: np.ndarray, character: int, *, last: bool = False) -> int:
    """Index of the first (or last) token that covers a character; the next one where none does (a space that
    no token keeps). An emoji may be several tokens.

    Raises:
        PromptError: the character lies behind the last token.
    """
    real = offsets[:, 1] > offsets[:, 0]
    covering = np.flatnonzero((offsets[:, 1] > character) & real)
    if len(covering) == 0:
        raise PromptError(
            f"character {character} lies behind the last token, which ends at {offsets[-1, 1]}; check the "
            "span"
        )
    if last:
        inside = covering[offsets[covering, 0] <= character]
        if len(inside):
            return int(inside[-1])
    return int(covering[0])


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """SHA-256 of all that decides how text becomes ids (vocabulary, merges, normalizers, special tokens)."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state.pop("padding", None)
    state.pop("truncation", None)
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
