"""Question files of the published kind: every entry becomes questions that can be asked, or is refused by
name.

A file is a list of entries with wordings (`question_paraphrases`, or one `question`), put between `prefix`
and `suffix` and behind a `system` turn. Slots are filled as the published code fills them: `{options}` with
the options as lettered lines, once in every order (and a line that asks for the letter, in our words), any
other from the entry's own key of that name or its plural, from a value given by hand, or, in the published
files, from what their code holds. The type in a file is not to be relied on (`free_form` also stands over
0-100 scales and two-word choices), so the wording decides what counts as an answer.

Law: nothing is dropped in silence. What cannot be asked as it stands is refused with the entry's name and the
reason; a key that is not used is told, and kept as a label.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mi_bsa import behaviors
from mi_bsa.behaviors.data import strict_yaml
from mi_bsa.behaviors.data.entry import Entry, RefusedError, Settings
from mi_bsa.behaviors.data.poles import poles_of
from mi_bsa.behaviors.data.question import Question
from mi_bsa.core.errors import PublishedError


@dataclass(frozen=True)
class Read:
    """What a file holds: its questions, the entries that were refused (name -> reason), and what was told."""

    questions: list[Question]
    refused: dict[str, str]
    told: dict[str, list[str]]
    entries: int = 0


def read_questions(path: Path, trait: str, settings: Settings | None = None) -> list[Question]:
    """Every question of every entry of a file.

    Raises:
        PublishedError: the file is no list of questions, or entries of it cannot be asked as they are.
    """
    read = read_file(path, behaviors.get(trait, "english"), settings or Settings())
    if read.refused:
        raise PublishedError(f"{path}: {said(read.refused)}")
    return read.questions


def said(refused: Mapping[str, str], most: int = 5) -> str:
    """Refused entries in one line."""
    some = "; ".join(f"entry {name!r}: {reason}" for name, reason in list(refused.items())[:most])
    return some + (f"; and {len(refused) - most} more" if len(refused) > most else "")


def read_file(path: Path, behavior: Any, settings: Settings) -> Read:
    """A file's questions and what was refused. Raises `PublishedError` where it is no question file."""
    entries = strict_yaml.read(path)
    if not isinstance(entries, list) or not entries:
        kind = type(entries).__name__ if entries else "nothing"
        raise PublishedError(f"{path}: a question file is a list of questions, not {kind}")
    poles = poles_of(behavior)
    questions: list[Question] = []
    refused: dict[str, str] = {}
    told: dict[str, list[str]] = {}
    names: set[str] = set()
    taken: set[str] = set()
    for n, entry in enumerate(entries):
        name = str(entry["name"]) if isinstance(entry, Mapping) and "name" in entry else f"number {n}"
        try:
            if name in names:
                name = f"{name} (number {n})"
                raise RefusedError("its name is given twice; names must be unique")
            names.add(name)
            parsed = Entry(entry, name, path, behavior.trait, poles, settings)
            more = parsed.questions()
            clash = next((q.id for q in more if q.id in taken), None)
            if clash is not None:
                raise RefusedError(f"its question {clash!r} has the id of another entry's; rename the entry")
            taken.update(q.id for q in more)
            questions += more
            if parsed.told:
                told[name] = parsed.told
        except RefusedError as why:
            refused[name] = str(why)
    return Read(_paired(questions), refused, told, len(entries))


def _paired(questions: list[Question]) -> list[Question]:
    """Two-word questions that differ in the words' order alone share a template: so order can be measured."""
    first: dict[str, str] = {}
    paired = []
    for question in questions:
        if question.kind == "word":
            (x, _), (y, _) = question.options
            shape = re.sub(rf"\b{re.escape(x)}\b", "{x}", question.text)
            shape = re.sub(rf"\b{re.escape(y)}\b", "{y}", shape)
            question = replace(question, template=first.setdefault(shape, question.template))
        paired.append(question)
    return paired
