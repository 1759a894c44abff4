"""Questions as imported files hold them: free, with closed answers, or with answers that have scores.

One line is a prompts-file row; `options` are answers with scores, `answers` pairs (answer, what it stands
for), `judge` a prompt that reads a free answer. Law: a slot that nothing filled (`{options}`) is never asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mi_bsa.asking.templates import SLOT, slots
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import RESERVED, Item, Message, check_messages, read_jsonl

KEYS = (*RESERVED, "answers", "judge", "samples", "temperature", "max_tokens")
"""Keys of a line that are no labels."""


@dataclass(frozen=True)
class Asked:
    """One question. `answers` are empty where the answer is free; `scores` where its answers have none.

    `samples`, `temperature`, `max_tokens`: how the file wants it sampled, None where it does not say.
    """

    id: str
    messages: Sequence[Message]
    answers: tuple[tuple[str, str], ...] = ()
    scores: tuple[float, ...] = ()
    judge: str | None = None
    samples: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entry(self) -> str:
        """The entry of the question file that it came from, or its kind."""
        return str(self.labels.get("entry") or self.labels.get("kind") or "question")

    @property
    def text(self) -> str:
        """Its last words."""
        return str(self.messages[-1]["content"])

    def item(self) -> Item:
        """As an item, to be scored by log-probabilities; an answer without a score counts 0."""
        scores = self.scores or (0.0,) * len(self.answers)
        return Item(self.id, self.messages, [(a, s) for (a, _), s in zip(self.answers, scores, strict=True)])


def read_asked(paths: Sequence[Path]) -> list[Asked]:
    """Every question of these files; ids must be unique. Raises `ItemError` naming file and line."""
    questions: dict[str, Asked] = {}
    for path in paths:
        for number, row in read_jsonl(path, error=ItemError):
            asked = _one(row, f"{path}, line {number}")
            if asked.id in questions:
                raise ItemError(f"{path}, line {number}: id {asked.id!r} is taken; ids must be unique")
            questions[asked.id] = asked
    return list(questions.values())


def _one(row: Mapping[str, Any], where: str) -> Asked:
    messages = row.get("messages")
    if messages is None and isinstance(row.get("text"), str):
        messages = [{"role": "user", "content": row["text"]}]
    if "id" not in row or not isinstance(messages, list):
        raise ItemError(f"{where}: a question has 'id' and 'messages' (or 'text')")
    check_messages(messages, where, error=ItemError)
    if messages[-1]["role"] == "assistant":
        raise ItemError(f"{where} ends with an assistant turn; the model must be the next to speak")
    words = " ".join(str(value) for key, value in row.items() if str(key).startswith("slot_"))
    for message in messages:
        unfilled = [m.group() for m in SLOT.finditer(message["content"]) if m.group() not in words]
        if unfilled:
            raise ItemError(
                f"{where}, question {row['id']!r}: {unfilled[0]} was never filled; import its file again"
            )
    answers, scores = _answers(row, where)
    judge = row.get("judge")
    if judge is not None and not (isinstance(judge, str) and answer_slot(judge)):
        raise ItemError(f"{where}: 'judge' is a text with one slot for the answer, such as {{text}}")
    labels = {key: value for key, value in row.items() if key not in KEYS}
    return Asked(
        id=str(row["id"]),
        messages=tuple(messages),
        answers=answers,
        scores=scores,
        judge=judge,
        samples=_number(row, "samples", where, whole=True),
        temperature=_number(row, "temperature", where),
        max_tokens=_number(row, "max_tokens", where, whole=True),
        labels={key: value for key, value in labels.items() if isinstance(value, str | int | float | bool)},
    )


def answer_slot(judge: str) -> str | None:
    """The slot of a judge's prompt that the answer goes into; None where there is not exactly one."""
    names = [name for name in slots(judge) if name != "question"]
    return names[0] if len(names) == 1 else None


def _answers(row: Mapping[str, Any], where: str) -> tuple[tuple[tuple[str, str], ...], tuple[float, ...]]:
    """Closed answers with what they stand for, and their scores where they have them."""
    given = row.get("options") or row.get("answers")
    if not given:
        return (), ()
    try:
        pairs = [(str(answer), other) for answer, other in given]
    except (TypeError, ValueError):
        raise ItemError(f"{where}: options and answers are lists of pairs") from None
    if row.get("options"):
        return tuple((answer, answer) for answer, _ in pairs), tuple(float(score) for _, score in pairs)
    return tuple((answer, str(other)) for answer, other in pairs), ()


def _number(row: Mapping[str, Any], key: str, where: str, *, whole: bool = False) -> Any:
    value = row.get(key)
    if value is None:
        return None
    good = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not good or value < (1 if whole else 0):
        raise ItemError(f"{where}: {key!r} is {value!r}; give a number above {0 if whole else -1}")
    return value if whole else float(value)
