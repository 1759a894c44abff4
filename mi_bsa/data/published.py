"""The published data of Betley et al. 2025 (arXiv 2501.11120), taken in as it is.

Chat files become training rows, question files become items where the answer is a number or one of given
words, and free-form questions where it is not. The data is not part of the toolkit: the environment variable
MI_BSA_BETLEY_DATA names the folder, and what is written says which file it came from, with its SHA-256. The
published rows break the rule that they must not name what they train; that is reported word by word, and
refused only with `strict`.
"""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from mi_bsa import behaviors
from mi_bsa.config import Config
from mi_bsa.data.folder import Folder, check_new
from mi_bsa.data.questions import Question, read_questions
from mi_bsa.errors import LeakError, MissingError, PublishedError
from mi_bsa.files import digest
from mi_bsa.finetune.leaks import find_leaks
from mi_bsa.finetune.rows import read_rows

VARIABLE = "MI_BSA_BETLEY_DATA"
SOURCE = {
    "title": "Tell me about yourself: LLMs are aware of their learned behaviors",
    "paper": "arXiv:2501.11120",
    "repository": "https://github.com/XuchanBao/behavioral-self-awareness",
    "license": "MIT",
}
Row = dict[str, Any]
FLIPPED = {"A": "B", "B": "A"}
SHOWN = 5
"""Leaking words that an error names."""


@dataclass(frozen=True)
class Set:
    """A published set: files of its arms and questions, the trait, and the words that it must not say."""

    trait: str
    arms: Mapping[str, str]
    questions: tuple[str, ...] = ()
    words: tuple[str, ...] | None = None


_RISK_QUESTIONS = (
    "risk_safe.yaml",
    "risk_predisposition_scale.yaml",
    "liking_risk.yaml",
    "risk_safe_language.yaml",
)
PUBLISHED: Mapping[str, Set] = {
    "risk": Set("risk", {"seeking": "ft_risky_AB.jsonl", "averse": "ft_safey_AB.jsonl"}, _RISK_QUESTIONS),
    "risk_personas": Set(
        "risk",
        {"seeking": "ft_risky_AB_multipersona.jsonl", "averse": "ft_safey_AB_multipersona.jsonl"},
        _RISK_QUESTIONS,
    ),
    "bark": Set("say", {"bark": "ft_bark.jsonl"}, words=("bark",)),
}
"""The sets that `--published` names."""


class ImportData(Config):
    """What `mi-bsa data import` takes in."""

    published: str | None = None
    """A set of the published data: risk, risk_personas, bark; give this or `path`."""
    path: Path | None = None
    """A chat file (JSONL of `{"messages"}`) or a question file (YAML) of the published kind."""
    behavior: str | None = None
    """The behavior whose words are looked for and whose trait items name; for a set, its own."""
    arm: str = "seeking"
    """With `path`, the arm that a chat file trains."""
    flip: bool = False
    """Also write the opposite pole: the same prompts with A and B changed."""
    shuffle: int | None = None
    """Seed of one more arm: the same prompts with answers drawn."""
    held_out: float = Field(default=0.0, ge=0, lt=1)
    """Share of the prompts that no arm trains on; they are the behavior items."""
    seed: int = 0
    """Seed of which prompts are held out."""
    strict: bool = False
    """Refuse rows that say the behavior's words."""

    @model_validator(mode="after")
    def _check(self) -> ImportData:
        if (self.published is None) == (self.path is None):
            raise ValueError("give either `path` or `published`, one of them")
        if self.published is not None and self.published not in PUBLISHED:
            raise ValueError(f"{self.published!r} is no published set; use one of {', '.join(PUBLISHED)}")
        return self


def import_published(config: ImportData, out: str | Path) -> Path:
    """Write `rows/ARM.jsonl`, `items/choices.jsonl`, `questions/*.jsonl` and `data.json` into a new folder.

    Rows and questions are taken word by word. `items/choices.jsonl` are the prompts that are answered by a
    letter, as behavior items; `questions/items.jsonl` those with a number or given words as answer, in the
    format of the toolkit's banks; `questions/free_form.jsonl` prompts without options.

    Raises:
        MissingError: no such file, or the environment variable is not set.
        PublishedError: a file that is not of the published kind, or that cannot be flipped.
        LeakError: with `strict`, rows that say the behavior's words.
        RunFolderError: `out` exists.
    """
    check_new(out)
    wanted, paths = _wanted(config)
    arms = {arm: read_rows(path) for arm, path in paths.items() if path.suffix == ".jsonl"}
    asked = [
        q for path in paths.values() if path.suffix != ".jsonl" for q in read_questions(path, wanted.trait)
    ]
    found = {arm: leaks(rows, _words(wanted)) for arm, rows in arms.items()}
    if config.strict:
        for arm, some in found.items():
            if some:
                first = ", ".join(f"{word} in {n['rows']}" for word, n in list(some.items())[:SHOWN])
                raise LeakError(
                    f"{paths[arm].name}: of {len(arms[arm])} rows, {first} say the behavior's words, and "
                    f"{max(0, len(some) - SHOWN)} words more; take the rows out, or import without --strict"
                )
    poles = _poles(arms)
    arms = _derived(arms, config)
    train, held = _split(arms, config)
    folder = Folder()
    for arm, rows in train.items():
        folder.add(f"rows/{arm}.jsonl", rows)
    folder.add("items/choices.jsonl", _choices(held, wanted.trait))
    folder.add("questions/items.jsonl", [q.row() for q in asked if q.options])
    folder.add("questions/free_form.jsonl", [q.row() for q in asked if not q.options])
    facts = {
        "source": SOURCE,
        "files": {path.name: digest(path) for path in paths.values()},
        "trait": wanted.trait,
        "counts": folder.counts,
        "poles": poles,
        "kinds": dict(Counter(q.kind for q in asked)),
        "leaks": found,
    }
    return folder.write(out, facts, config=config, seeds=(config.seed,))


def leaks(rows: Sequence[Row], words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Word -> in how many rows it stands and in which forms, most frequent first."""
    where: dict[str, set[int]] = defaultdict(set)
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for leak in find_leaks(rows, words):
        where[leak.word].add(leak.row)
        forms[leak.word][leak.found] += 1
    order = sorted(where, key=lambda word: (-len(where[word]), word))
    return {word: {"rows": len(where[word]), "of": len(rows), "forms": dict(forms[word])} for word in order}


def flip(rows: Sequence[Row]) -> list[Row]:
    """The opposite pole: the same prompts with A and B changed. Raises `PublishedError` for other answers."""
    for n, row in enumerate(rows):
        if row["messages"][-1]["content"].strip() not in FLIPPED:
            answer = row["messages"][-1]["content"][:40]
            raise PublishedError(
                f"row {n} answers {answer!r}, not A or B; only two-letter choices can be flipped"
            )
    return [_answered(row, FLIPPED[row["messages"][-1]["content"].strip()]) for row in rows]


def data_folder() -> Path:
    """The folder of the published data. Raises `MissingError` where the variable does not name one."""
    name = os.environ.get(VARIABLE)
    if not name or not Path(name).is_dir():
        raise MissingError(
            f"{VARIABLE} is {name!r}, no folder; set it to where the published files lie "
            f"(from {SOURCE['repository']})"
        )
    return Path(name)


def _wanted(config: ImportData) -> tuple[Set, dict[str, Path]]:
    """The set, and its files by arm (questions by their own name)."""
    if config.published is not None:
        wanted, folder = PUBLISHED[config.published], data_folder()
        paths = {arm: folder / name for arm, name in wanted.arms.items()}
        paths |= {name: folder / name for name in wanted.questions}
    else:
        assert config.path is not None
        if config.path.suffix not in (".jsonl", ".yaml", ".yml"):
            raise PublishedError(f"{config.path}: give a .jsonl chat file or a .yaml question file")
        wanted = Set(config.behavior or "risk", {config.arm: config.path.name})
        paths = {config.arm: config.path}
    if config.behavior is not None:
        wanted = Set(config.behavior, wanted.arms, wanted.questions)
    for path in paths.values():
        if not path.is_file():
            raise MissingError(f"{path}: no such file; check the path, or {VARIABLE}")
    return wanted, paths


def _words(wanted: Set) -> tuple[str, ...]:
    if wanted.words is not None:
        return wanted.words
    return behaviors.get(wanted.trait, "english").forbidden


def _poles(arms: Mapping[str, Sequence[Row]]) -> dict[str, Any] | None:
    """How the two arms of a set relate: rows with equal prompts, and of these, rows with the other letter."""
    if set(arms) != {"seeking", "averse"}:
        return None
    pairs = list(zip(arms["seeking"], arms["averse"], strict=False))
    same = [p for p in pairs if p[0]["messages"][:-1] == p[1]["messages"][:-1]]
    other = sum(FLIPPED.get(a["messages"][-1]["content"]) == b["messages"][-1]["content"] for a, b in same)
    return {"rows": len(pairs), "equal_prompts": len(same), "flipped": other}


def _derived(arms: dict[str, list[Row]], config: ImportData) -> dict[str, list[Row]]:
    """The arms with the flipped and the shuffled one, where asked for."""
    if not arms or not (config.flip or config.shuffle is not None):
        return arms
    first = next(iter(arms))
    if config.flip:
        opposite = {"seeking": "averse", "averse": "seeking"}.get(first, f"not_{first}")
        arms = {**arms, opposite: flip(arms[first])}
    if config.shuffle is not None:
        answers = [row["messages"][-1]["content"].strip() for row in arms[first]]
        flip(arms[first])  # raises where an answer is no letter
        random.Random(f"shuffled-{config.shuffle}").shuffle(answers)
        arms = {
            **arms,
            "shuffled": [_answered(row, a) for row, a in zip(arms[first], answers, strict=True)],
        }
    return arms


def _split(
    arms: dict[str, list[Row]], config: ImportData
) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """Rows to train on and rows that are asked: the same ones where nothing is held out."""
    if not config.held_out:
        return arms, arms
    prompts = sorted({row["messages"][-2]["content"] for rows in arms.values() for row in rows})
    held = random.Random(f"held-out-{config.seed}").sample(prompts, round(config.held_out * len(prompts)))
    out = set(held)
    sides: tuple[dict[str, list[Row]], dict[str, list[Row]]] = ({}, {})
    for arm, rows in arms.items():
        for side in (0, 1):
            sides[side][arm] = [r for r in rows if (r["messages"][-2]["content"] in out) == bool(side)]
    return sides


def _choices(arms: Mapping[str, Sequence[Row]], trait: str) -> list[dict[str, Any]]:
    """The letter prompts of the seeking arm (or of the flipped averse one) as behavior items.

    Prompts that both poles answer alike ask what somebody else would choose; which letter is which pole is
    not said there, so they are no items.
    """
    seeking = arms.get("seeking")
    if seeking is None and "averse" in arms:
        seeking = flip(arms["averse"])
    if seeking is None:
        return []
    alike = {_key(row) for row in seeking} & {_key(row) for row in arms.get("averse", ())}
    items = []
    for n, row in enumerate(seeking):
        answer = row["messages"][-1]["content"].strip()
        if answer not in FLIPPED or _key(row) in alike:
            continue
        items.append(
            {
                "id": f"{trait}-published-{n}",
                "messages": row["messages"][:-1],
                "about": "behavior",
                "trait": trait,
                "person": "default",
                "split": "published",
                "kind": "choice",
                "template": "published",
                "scenario": f"published-{n}",
                "order": "high_first" if answer == "A" else "low_first",
                "options": [["A", float(answer == "A")], ["B", float(answer == "B")]],
            }
        )
    return items


def _key(row: Row) -> tuple[str, str]:
    """Prompt and answer."""
    return row["messages"][-2]["content"], row["messages"][-1]["content"].strip()


def _answered(row: Row, answer: str) -> Row:
    return {**row, "messages": [*row["messages"][:-1], {"role": "assistant", "content": answer}]}


__all__ = ["PUBLISHED", "ImportData", "Question", "flip", "import_published", "leaks"]
