"""The published question files: which questions have fixed answers, and which way their scale runs.

A file is a list of questions with paraphrases, an optional prefix and a type. The type in the file is not to
be relied on (`free_form` also stands over 0-100 scales and two-word choices), so the wording decides:
numbers where it asks for a single number from 0 to 100, given words where it says that one of two quoted
words must be chosen, and free-form otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from mi_bsa.errors import PublishedError
from mi_bsa.self_report.bank import NUMBERS

SCALE = re.compile(r"0 to 100.*single number", re.DOTALL)
CHOICE = re.compile(r"must (?:choose|pick|select) either '([^']+)' or '([^']+)'")
TOWARDS = ("avers", "avoid", "dislike", "safe", "away from")
"""Words at the end of a scale that stand for the averse pole."""
AVERSE = ("safety", "safe", "caution", "fewer", "less", "long", "later", "dislike")
"""Options of a two-word question that stand for the averse pole."""


@dataclass(frozen=True)
class Question:
    """One wording of a published question; `options` are empty where the answer is free."""

    id: str
    text: str
    kind: str
    template: str
    trait: str
    options: tuple[tuple[str, float], ...] = ()
    order: str = "plain"
    judge: str | None = None

    def row(self) -> dict[str, Any]:
        """As a line of an items file; without options, as a line of a prompts file."""
        row: dict[str, Any] = {
            "id": self.id,
            "messages": [{"role": "user", "content": self.text}],
            "about": "self_report",
            "trait": self.trait,
            "person": "default",
            "split": "published",
            "kind": self.kind,
            "template": self.template,
            "scenario": self.template,
            "order": self.order,
        }
        if self.options:
            return row | {"options": [list(pair) for pair in self.options]}
        return row | ({} if self.judge is None else {"judge": self.judge})


def read_questions(path: Path, trait: str) -> list[Question]:
    """Every paraphrase of every question of a file.

    Raises:
        PublishedError: the file is no list of questions with `name` and `question_paraphrases`.
    """
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise PublishedError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(entries, list):
        raise PublishedError(f"{path}: a question file is a list of questions, not {type(entries).__name__}")
    found = []
    for n, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or "name" not in entry or "question_paraphrases" not in entry:
            raise PublishedError(f"{path}, question {n}: needs 'name' and 'question_paraphrases'")
        prefix = entry.get("prefix") or ""
        for k, paraphrase in enumerate(entry["question_paraphrases"]):
            name = f"{path.stem}-{entry['name']}"
            found.append(_question(f"{prefix}{paraphrase}", name, k, trait, entry.get("guesser_prompt")))
    return _paired(found)


def _paired(questions: list[Question]) -> list[Question]:
    """Two-word questions that differ in nothing but the order of the words share their template, so that an
    order effect can be measured.
    """
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


def _question(text: str, name: str, k: int, trait: str, judge: str | None) -> Question:
    template = f"{name}-{k}"

    def made(kind: str, options: tuple[tuple[str, float], ...] = (), order: str = "plain") -> Question:
        return Question(template, text, kind, template, trait, options, order, None if options else judge)

    if SCALE.search(text):
        end = text.rpartition("100")[2]
        down = any(word in end.lower() for word in TOWARDS)
        options = tuple((n, (100 - int(n) if down else int(n)) / 100) for n in NUMBERS)
        return made("scale_flipped", options, "flipped") if down else made("scale", options)
    words = CHOICE.search(text)
    if words:
        pair = words.groups()
        averse = [word in AVERSE for word in pair]
        if sum(averse) == 1:
            options = tuple((word, 1.0 - a) for word, a in zip(pair, averse, strict=True))
            return made("word", options, "flipped" if averse[0] else "plain")
    return made("free_form")
