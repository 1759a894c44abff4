"""Conversations: what an assistant says after a prompt, as the very tokens that follow the prompt's own.

The law: token ids are never computed for an answer on its own. A conversation is rendered through the chat
template with and without the answer, both are tokenized, and the difference is the answer; so ' A' against
'A' cannot go wrong (up to 11 % of accuracy hangs on it: arXiv 2509.15020). Where the text without the answer
is not an exact beginning of the text with it, in characters or in tokens, that is an error and not an
approximation. Words that the template puts before an answer (Qwen 3's empty think block) are nobody's, nor is
what follows the token that ends a turn; white space before an answer is said with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from activations.errors import PromptError, TemplateError
from activations.prompts import Message
from activations.tokens import KnownTokens, Template, shared_token

SENTINEL = "qzqAnswerqzq"
MARKED = f"\t{SENTINEL}\t"
MOST = 20_000
"""Prompts, and tails of answers, that are kept beside a tokenizer; then they are forgotten."""


@dataclass(frozen=True)
class Tail:
    """An answer as it follows a prompt: the ids that the template puts first, the answer's own, and the
    closing ones."""

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


def template_of(model: Any) -> Template:
    """A model's own template, with the arguments that it was loaded with; else its tokenizer's."""
    own = getattr(model, "template", None)
    return Template(model.tokenizer, arguments=own.arguments if isinstance(own, Template) else None)


def prompt_ids(template: Template, messages: Sequence[Message]) -> tuple[int, ...]:
    """Token ids of the conversation up to and with the opening of the assistant's turn.

    Raises:
        PromptError: as `Template.encode`.
    """
    return _opening(template, messages, template.known).ids


def tails(
    template: Template, messages: Sequence[Message], answers: Sequence[str]
) -> tuple[tuple[int, ...], tuple[Tail, ...]]:
    """The prompt's ids, and for each answer the ids that follow them when the assistant gives that answer.

    Raises:
        TemplateError: an answer that the template does not write as it is given, or that shares a token with
            the prompt's end or with what closes it.
        PromptError: as `Template.encode`.
    """
    known = template.known
    opening, memory = _opening(template, messages, known), known.tails
    segment, lead, closing = opening.segment, opening.lead, opening.closing
    found = []
    for answer in answers:
        written = answer if opening.kept else answer.strip()
        key = (segment, lead, written, closing)
        if key not in memory:
            if _after(template, messages, opening.text, answer) != lead + written + closing:
                raise TemplateError(
                    f"the template does not write the answer {answer!r} as it is given; use one that it "
                    "keeps whole"
                )
            if len(memory) >= MOST:
                memory.clear()
            memory[key] = _cut(template, segment, lead, written, closing)
        found.append(memory[key])
    return opening.ids, tuple(found)


def trained(
    template: Template, messages: Sequence[Message], *, turns: Literal["all", "last"] = "all"
) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Token ids of a whole conversation, and which of them an assistant wrote: its words and the token that
    ends its turn.

    `turns`: every assistant turn, or only the last one.

    Raises:
        TemplateError: no token is the assistant's, or the template rewrites a turn once others follow.
        PromptError: as `Template.encode`.
    """
    spoken = [k for k, m in enumerate(messages) if m["role"] == "assistant"]
    if not spoken:
        raise TemplateError("the conversation has no assistant turn to train on; add one")
    whole = template.render(messages, opened=False)
    chosen = spoken if turns == "all" else spoken[-1:]
    befores = [template.render(messages[:k], opened=True) if k else "" for k in chosen]
    (ids, offsets), *starts = template.coded([whole, *befores])
    mask = np.zeros(len(ids), bool)
    for k, before, (start, _) in zip(chosen, befores, starts, strict=True):
        through = whole if k == len(messages) - 1 else template.render(messages[: k + 1], opened=False)
        if not whole.startswith(through) or not through.startswith(before):
            raise TemplateError(
                f"turn {k}: the template renders earlier turns differently once later ones follow; train on "
                "the last turn only (turns: last), or give a row for each answer"
                if whole.startswith(before) and not whole.startswith(through)
                else f"turn {k}: the template writes the prompt's end {before[-40:]!r} otherwise once the "
                "answer follows; train on the last turn only (turns: last), give a row for each answer, or "
                "use a template whose generation prompt is the beginning of the answer's turn"
            )
        if ids[: len(start)] != start:
            raise shared_token(messages[k]["content"])
        first, last = _words_in(template, messages[: k + 1], before, through)
        own = (offsets[:, 1] > first) & (offsets[:, 0] < len(through))
        own[: len(start)] = False
        words = own & (offsets[:, 0] < last)
        closing = np.flatnonzero(own & ~words)
        mask |= words
        mask[closing[: ending(template, [ids[n] for n in closing])]] = True
    if not mask.any():
        raise TemplateError("no token of this conversation is the assistant's; give the answer some text")
    _one_bos(template, ids)
    return tuple(ids), tuple(mask.tolist())


def ending(template: Template, closing: Sequence[int]) -> int:
    """How many of the tokens behind an answer end its turn: those up to the first special one, else all."""
    special = template.known.specials.ids
    return next((n + 1 for n, token in enumerate(closing) if token in special), len(closing))


def stop_ids(template: Template, messages: Sequence[Message] | None = None) -> tuple[int, ...]:
    """Ids that end the assistant's turn: the template's own closing token, and the tokenizer's end token.

    Raises:
        TemplateError: as `tails`.
    """
    asked = messages if messages is not None else ({"role": "user", "content": "x"},)
    closing = tails(template, asked, [SENTINEL])[1][0].closing
    end = template.tokenizer.eos_token_id
    last = closing[: ending(template, closing)][-1:]
    return tuple(dict.fromkeys([*last, *([end] if end is not None else [])]))


def _words_in(template: Template, messages: Sequence[Message], before: str, through: str) -> tuple[int, int]:
    """Characters [start, end) of what the assistant says last, in the text through its turn: white space
    before its words is said with them, other words that the template puts there are not."""
    answer = messages[-1]["content"].strip()
    frame = _after(template, messages[:-1], before, SENTINEL)
    lead, _, closing = frame.partition(SENTINEL)
    first, last = len(before), len(through) - len(closing)
    if lead.strip() and not through.startswith(answer, first):  # else it brings its own think block
        first += len(lead)
    if not through.endswith(closing) or through[first:last].strip() != answer:
        raise TemplateError(
            f"the template does not write the answer {answer[:20]!r} as it is given; use one that it keeps "
            "whole"
        )
    return first, last


def _opening(template: Template, messages: Sequence[Message], known: KnownTokens) -> _Opening:
    openings = known.openings
    key = tuple((m["role"], m["content"]) for m in messages)
    if key not in openings:
        text = template.render(messages, opened=True)
        frame = _after(template, messages, text, MARKED)
        kept = MARKED in frame
        lead, closing = frame.split(MARKED if kept else SENTINEL)
        # Only what follows the last special token can change how the answer splits into tokens.
        segment = text[known.specials.last(text) :]
        ids = template.ids(text)
        _one_bos(template, ids)
        if len(openings) >= MOST:
            openings.clear()
        openings[key] = _Opening(text, tuple(ids), segment, lead, closing, kept)
    return openings[key]


def _one_bos(template: Template, ids: Sequence[int]) -> None:
    try:
        template.known.specials.leading(ids, again=True)
    except PromptError as error:
        raise TemplateError(f"the rendered conversation {error}") from None


def _after(template: Template, messages: Sequence[Message], prompt: str, answer: str) -> str:
    """The text that follows `prompt` once the assistant has answered `answer`."""
    full = template.render([*messages, {"role": "assistant", "content": answer}], opened=False)
    if not full.startswith(prompt):
        raise TemplateError(
            f"the template writes the prompt's end {prompt[-40:]!r} differently once the answer {answer!r} "
            "follows; use a template whose generation prompt is the beginning of the rendered answer turn"
        )
    return full[len(prompt) :]


def _cut(template: Template, segment: str, lead: str, written: str, closing: str) -> Tail:
    if not written:
        raise TemplateError("an answer without text cannot be scored; give every option some text")
    (first, _), (ids, offsets) = template.coded([segment, segment + lead + written + closing])
    if ids[: len(first)] != first:
        raise shared_token(written)
    start = len(segment) + len(lead)
    end = start + len(written)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for token, (left, right) in list(zip(ids, offsets.tolist(), strict=True))[len(first) :]:
        if left < end < right:
            raise TemplateError(
                f"the answer {written!r} and what closes it share a token; use a template that ends a turn "
                "with a special token"
            )
        parts[0 if right <= start else 1 if left < end else 2].append(token)
    return Tail(*(tuple(p) for p in parts))
