"""Positions: which tokens of a row are read, resolved for each row from its own tokens and characters.

The law: a position is an index into the row's real tokens (BOS is 0), found before there is any padding, so
that padding can never shift it. The means leave BOS out: its activations are large and say nothing.

    last  last:K        the last token; the last K tokens
    all                 every token
    answer  slot        the first token of the assistant's closing answer; the token before it, where the
            answer is predicted
    response  response:I  every token of the closing answer's words, without what ends its turn; token I of
            them (0 is `answer`, negative counts from the end)
    option:A            the letter A where the last user message lists it ("A)", "(A)", "A:", "A."): a line
            that begins with it, else the one place
    span:NAME           the tokens of a named span of the row (`spans`): [start, end] in a text, [message,
            start, end] in a message as it was given, or words that occur once
    last_user           the last token of the last user message
    message:I           the last token of message I (negative counts from the end)
    mean:<any above>    one row: the mean over those tokens
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activations.errors import PositionError, PromptError
from activations.options import listed
from activations.tokens import Row, token_at

_FORMS = re.compile(
    r"(mean:)?(last|all|answer|slot|last_user|response|last:[1-9]\d*|option:\w|span:.+"
    r"|(?:message|response):-?\d+)"
)


@dataclass(frozen=True)
class Positions:
    """A rule that names tokens. `Positions.parse("last:4")`."""

    text: str

    @classmethod
    def parse(cls, text: Any) -> "Positions":
        """Read a rule, or take one as it is; the forms are in the module's docstring.

        Raises:
            PositionError: no such form.
        """
        if isinstance(text, Positions):
            return text
        spelled = "mean:all" if text == "mean" else text
        if not isinstance(spelled, str) or not _FORMS.fullmatch(spelled):
            raise PositionError(
                f"unknown position {text!r}: use last, last:K, all, answer, slot, response, "
                "response:I, option:A, span:NAME, last_user, message:I, or mean:<one of these>"
            )
        return cls(spelled)

    @property
    def is_mean(self) -> bool:
        """Whether the tokens are averaged into one row."""
        return self.text.startswith("mean:")

    def resolve(self, row: Row) -> np.ndarray:
        """The chosen token indices of one row, ascending, int64; for a mean, those averaged.

        Raises:
            PositionError: the row does not have the position.
        """
        chosen = _indices(self.text.removeprefix("mean:"), row)
        if self.is_mean:
            chosen = chosen[chosen >= row.n_bos]
        if len(chosen) == 0:
            raise _refused(row, f" has no token at {self.text!r}; choose another position or drop the row")
        return chosen


def _refused(row: Row, why: str) -> PositionError:
    return PositionError(f"prompt {row.prompt.id!r}{why}")


def _indices(rule: str, row: Row) -> np.ndarray:
    name, _, argument = rule.partition(":")
    length = len(row)
    if name == "last":
        count = int(argument or 1)
        if count > length:
            raise _refused(row, f" has {length} tokens, fewer than the last {count}; ask for fewer")
        return np.arange(length - count, length)
    if name == "all":
        return np.arange(length)
    if name == "slot":
        return np.array([length - 1 if row.answer is None else row.answer - 1])
    if name in ("answer", "response"):
        if row.answer is None:
            raise _refused(
                row, f" has no closing assistant message: {rule!r} needs one; use 'slot' or 'last'"
            )
        if name == "answer":
            return np.array([row.answer])
        own = row.within(*row.contents[-1])
        if not argument:
            return own
        if not -len(own) <= int(argument) < len(own):
            raise _refused(row, f" has a response of {len(own)} tokens, none at {argument}; ask for another")
        return own[int(argument)].reshape(1)
    if name == "option":
        start, end = _last_user(row)
        found = listed(row.text[start:end]).get(argument, [])
        if len(found) != 1:
            how = f"option {argument!r} at {len(found)} places" if found else f"no option {argument!r}"
            raise _refused(row, f" lists {how} (as 'A)', '(A)', 'A:' or 'A.'); mark it in 'spans' instead")
        return np.array([_token(row, start + found[0])])
    if name == "span":
        return row.within(*_span(row, argument))
    if name == "last_user":
        return np.array([_token(row, _last_user(row)[1] - 1, last=True)])
    return np.array([_token(row, _message(row, int(argument))[1] - 1, last=True)])


def _token(row: Row, character: int, *, last: bool = False) -> int:
    try:
        return token_at(row.offsets, character, last=last)
    except PromptError as error:
        raise _refused(row, f": {error}") from None


def _message(row: Row, index: int) -> tuple[int, int]:
    if not -len(row.contents) <= index < len(row.contents):
        raise _refused(row, f" has {len(row.contents)} messages, none at {index}; use 'span:NAME' or 'last'")
    return row.contents[index]


def _last_user(row: Row) -> tuple[int, int]:
    roles = [message["role"] for message in row.prompt.messages or ()]
    if "user" not in roles:
        raise _refused(row, " has no user message; use 'span:NAME' or 'last'")
    return row.contents[len(roles) - 1 - roles[::-1].index("user")]


def _span(row: Row, name: str) -> tuple[int, int]:
    """Characters of a named span: `[start, end]` in the text, `[message, start, end]`, or words that occur
    once."""
    spans: dict[str, Any] = row.prompt.spans
    if name not in spans:
        raise _refused(row, f" names no span {name!r} (it has {sorted(spans)}); add it under 'spans'")
    span = spans[name]
    if isinstance(span, str):
        return _words(row, name, span)
    if not isinstance(span, Sequence) or len(span) not in (2, 3) or not all(type(n) is int for n in span):
        raise _refused(
            row, f": span {name!r} = {span!r}: write [start, end], [message, start, end], or words"
        )
    if len(span) == 2 and row.prompt.messages is not None:
        raise _refused(row, f": span {name!r} of a chat needs its message; write [message, start, end]")
    start, end = span[-2:]
    low, high, taken, given = 0, len(row.text), 0, len(row.text)
    if len(span) == 3:  # characters of the message as it was given, of which the template may trim some
        low, high = _message(row, span[0])
        messages = row.prompt.messages or ()
        given, taken = len(messages[span[0]]["content"]), row.trimmed[span[0]]
    if not 0 <= start < end <= given:
        raise _refused(
            row, f": span {name!r} = {list(span)} is empty or leaves its {given} characters; mend it"
        )
    kept = max(low, low + start - taken), min(high, low + end - taken)
    if kept[0] >= kept[1]:
        raise _refused(
            row,
            f": span {name!r} = {list(span)} is white space that the chat template "
            "takes away; mark other characters",
        )
    return kept


def _words(row: Row, name: str, words: str) -> tuple[int, int]:
    """Where words occur once: in what the messages say, or else in what the template writes around it."""
    inside = [at for start, end in row.contents for at in _starts(row.text, words, start, end)]
    found = inside or _starts(row.text, words, 0, len(row.text))
    if len(found) != 1:
        raise _refused(
            row, f": span {name!r} = {words!r} occurs {len(found)} times, not once; give characters"
        )
    return found[0], found[0] + len(words)


def _starts(text: str, words: str, start: int, end: int) -> list[int]:
    """Every place at which words begin, also where they overlap."""
    ahead = re.compile(f"(?={re.escape(words)})")
    return [hit.start() for hit in ahead.finditer(text, start, end)] if words else []
