"""Conversations as token ids, with the answer's own tokens found inside them.

The law: token ids are never computed for an answer on its own. A conversation is rendered through the chat
template with and without the answer, both are tokenized, and the difference is the answer; so ' A' against
'A' cannot go wrong (up to 11 % of accuracy hangs on it: arXiv 2509.15020). Where the text without the
answer is not an exact beginning of the text with it, in characters or in tokens, that is an error and not
an approximation.

Some templates print today's date; it is pinned here, so that the same conversation is the same tokens
tomorrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from activations.errors import PromptError
from activations.tokens import Specials
from mi_bsa.errors import TemplateError
from mi_bsa.items import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
else:
    PreTrainedTokenizerBase = Any

PINNED_DATE = "26 Jul 2024"
SENTINEL = "qzqAnswerqzq"


@dataclass(frozen=True)
class Tail:
    """An answer as it follows a prompt: the ids that the template puts first, the answer's own, and the
    closing ones.
    """

    lead: tuple[int, ...]
    answer: tuple[int, ...]
    closing: tuple[int, ...]


@dataclass(frozen=True)
class _Opening:
    """A prompt's text and ids, and what the template puts around its answer; `kept`: as it is given."""

    text: str
    ids: tuple[int, ...]
    segment: str
    lead: str
    closing: str
    kept: bool


@dataclass
class _Known:
    """What was rendered already; emptied when `MOST` of a kind are there."""

    openings: dict[tuple[tuple[str, str], ...], _Opening] = field(default_factory=dict)
    tails: dict[tuple[str, str, str, str], Tail] = field(default_factory=dict)


MOST = 20_000
_KNOWN: WeakKeyDictionary[Any, dict[tuple[str, int], _Known]] = WeakKeyDictionary()
"""By tokenizer, its template and its number of tokens: a study asks every variant the same items."""


@dataclass
class Chat:
    """A tokenizer's chat template as token ids. Keeps prompts and tails of answers beside the tokenizer."""

    tokenizer: PreTrainedTokenizerBase
    _known: _Known = field(init=False, repr=False)
    _special: Specials = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not getattr(self.tokenizer, "chat_template", None):
            raise TemplateError(
                "the tokenizer has no chat template; use an instruct model's tokenizer, or set "
                "tokenizer.chat_template"
            )
        if not getattr(self.tokenizer, "is_fast", False):
            raise TemplateError(
                "the tokenizer gives no character offsets; load the fast one (use_fast=True), which does"
            )
        self._special = Specials(self.tokenizer)
        state = (str(self.tokenizer.chat_template), len(self.tokenizer))
        self._known = _KNOWN.setdefault(self.tokenizer, {}).setdefault(state, _Known())

    def text(self, messages: Sequence[Message], *, prompt: bool) -> str:
        """The rendered conversation; `prompt`: with the opening of the assistant's turn that comes next."""
        try:
            self._special.refuse_in(messages)
        except PromptError as error:
            raise TemplateError(str(error)) from None
        text = self.tokenizer.apply_chat_template(
            [dict(m) for m in messages],
            tokenize=False,
            add_generation_prompt=prompt,
            date_string=PINNED_DATE,
        )
        assert isinstance(text, str)
        return text

    def ids(self, text: str) -> tuple[int, ...]:
        """Token ids of a text that was rendered already; refuses a second beginning-of-text token."""
        ids = self._tokens(text)[0]
        try:
            self._special.leading(ids, again=True)
        except PromptError as error:
            raise TemplateError(f"the rendered conversation {error}") from None
        return ids

    def prompt_ids(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Token ids of the conversation up to and with the opening of the assistant's turn."""
        return self.ids(self.text(messages, prompt=True))

    def tails(
        self, messages: Sequence[Message], answers: Sequence[str]
    ) -> tuple[tuple[int, ...], tuple[Tail, ...]]:
        """The prompt's ids, and for each answer the ids that follow them when the assistant gives that
        answer.
        """
        opening, tails = self._opening(messages), self._known.tails
        segment, lead, closing = opening.segment, opening.lead, opening.closing
        found = []
        for answer in answers:
            written = answer if opening.kept else answer.strip()
            key = (segment, lead, written, closing)
            if key not in tails:
                if self._after(messages, opening.text, answer) != lead + written + closing:
                    raise TemplateError(
                        f"the template does not write the answer {answer!r} as it is given; use one "
                        "that it keeps whole"
                    )
                if len(tails) >= MOST:
                    tails.clear()
                tails[key] = self._cut(segment, lead, written, closing)
            found.append(tails[key])
        return opening.ids, tuple(found)

    def trained(
        self, messages: Sequence[Message], *, turns: Literal["all", "last"] = "all"
    ) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """Token ids of a whole conversation, and which of them an assistant wrote (its closing token
        included).

        `turns`: every assistant turn, or only the last one. Raises `TemplateError` where no token is the
        assistant's.
        """
        spoken = [k for k, m in enumerate(messages) if m["role"] == "assistant"]
        if not spoken:
            raise TemplateError("the conversation has no assistant turn to train on; add one")
        whole = self.text(messages, prompt=False)
        ids, offsets = self._tokens(whole)
        mask = [False] * len(ids)
        for k in spoken if turns == "all" else spoken[-1:]:
            before = self.text(messages[:k], prompt=True)
            through = self.text(messages[: k + 1], prompt=False)
            if not whole.startswith(through) or not through.startswith(before):
                raise TemplateError(
                    f"turn {k}: the template renders earlier turns differently once later ones follow; "
                    "train on the "
                    "last turn only, or use a template that does not rewrite history"
                )
            start = len(self.ids(before))
            if ids[:start] != self.ids(before):
                raise TemplateError(
                    f"turn {k}: the end of the prompt and the answer {messages[k]['content'][:20]!r} "
                    "share a token; "
                    "use a template whose generation prompt ends at a token's end"
                )
            for n in range(start, len(ids)):
                mask[n] = mask[n] or offsets[n][0] < len(through)
        if not any(mask):
            raise TemplateError("no token of this conversation is the assistant's; give the answer some text")
        return ids, tuple(mask)

    def stop_ids(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Ids that end the assistant's turn: the template's own first closing token, and the tokenizer's
        end token.
        """
        closing = self.tails(messages, [SENTINEL])[1][0].closing[:1]
        end = self.tokenizer.eos_token_id
        return tuple(dict.fromkeys([*closing, *([end] if end is not None else [])]))

    def _opening(self, messages: Sequence[Message]) -> _Opening:
        openings = self._known.openings
        key = tuple((m["role"], m["content"]) for m in messages)
        if key not in openings:
            text = self.text(messages, prompt=True)
            frame = self._after(messages, text, "\t" + SENTINEL + "\t")
            kept = "\t" + SENTINEL + "\t" in frame
            lead, closing = frame.split("\t" + SENTINEL + "\t" if kept else SENTINEL)
            # Only what follows the last special token can change how the answer splits into tokens.
            segment = text[self._last_special(text) :]
            if len(openings) >= MOST:
                openings.clear()
            openings[key] = _Opening(text, self.ids(text), segment, lead, closing, kept)
        return openings[key]

    def _tokens(self, text: str) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
        coded = self.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
        )
        ids = tuple(coded["input_ids"])
        return ids, coded["offset_mapping"]

    def _last_special(self, text: str) -> int:
        special = [str(t) for t in self.tokenizer.added_tokens_decoder.values()]
        return max([text.rfind(t) for t in special if t] + [0])

    def _after(self, messages: Sequence[Message], prompt: str, answer: str) -> str:
        """The text that follows `prompt` once the assistant has answered `answer`."""
        full = self.text([*messages, {"role": "assistant", "content": answer}], prompt=False)
        if not full.startswith(prompt):
            raise TemplateError(
                f"the template writes the prompt's end {prompt[-40:]!r} differently once the answer "
                f"{answer!r} follows; "
                "use a template whose generation prompt is the beginning of the rendered answer turn"
            )
        return full[len(prompt) :]

    def _cut(self, segment: str, lead: str, written: str, closing: str) -> Tail:
        if not written:
            raise TemplateError("an answer without text cannot be scored; give every option some text")
        first = self._tokens(segment)[0]
        ids, offsets = self._tokens(segment + lead + written + closing)
        if ids[: len(first)] != first:
            raise TemplateError(
                f"the end of the prompt {segment[-20:]!r} and the answer {written!r} share a token; use "
                "a template whose "
                "generation prompt ends at a token's end"
            )
        start = len(segment) + len(lead)
        end = start + len(written)
        parts: tuple[list[int], list[int], list[int]] = ([], [], [])
        for token, (left, right) in list(zip(ids, offsets, strict=True))[len(first) :]:
            if left < end < right:
                raise TemplateError(
                    f"the answer {written!r} and what closes it share a token; use a template that ends "
                    "a turn with a "
                    "special token"
                )
            parts[0 if right <= start else 1 if left < end else 2].append(token)
        return Tail(*(tuple(p) for p in parts))
