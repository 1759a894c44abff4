"""The published data of Betley et al. 2025 (arXiv 2501.11120), taken in as it is.

Chat files become training rows, question files become items where the answer is closed and its poles are
known, closed questions where they are not, and free-form questions where it is free. The data is not part of
the toolkit: the environment variable MI_BSA_BETLEY_DATA names the folder, and what is written says which file
it came from, with its SHA-256. The published rows break the rule that they must not name what they train;
that is reported word by word, and refused only with `strict`.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from mi_bsa import behaviors
from mi_bsa.behaviors.data.entry import INSTRUCTION, ORDERS, Settings
from mi_bsa.behaviors.data.folder import Folder, check_new
from mi_bsa.behaviors.data.question import PUBLISHED_SPLIT, Question
from mi_bsa.behaviors.data.questions import Read, read_file, said
from mi_bsa.behaviors.data.sets import PUBLISHED, SOURCE, TRAINS, VARIABLE, Set, data_folder, find
from mi_bsa.core.config import Config
from mi_bsa.core.errors import LeakError, MissingError, PublishedError
from mi_bsa.core.files import digest
from mi_bsa.core.items import item_labels
from mi_bsa.core.leaks import find_leaks
from mi_bsa.core.rows import TrainingRow, read_rows

FLIPPED = {"A": "B", "B": "A"}
SHOWN = 5
"""Leaking words that an error names."""


class ImportData(Config):
    """What `mi-bsa data import` takes in."""

    published: str | None = None
    """A set of the published data: risk, risk_personas, myopia, apples, bark, ring, spring; or give `path`.
    """
    path: Path | None = None
    """A chat file (JSONL of `{"messages"}`), a question file (YAML) of the published kind, or a folder of
    both.
    """
    behavior: str | None = None
    """The behavior whose words are looked for and whose trait items name; for a set, its own. A file needs
    it.
    """
    arm: str | None = None
    """With `path`, the arm that a chat file trains; a published file's own by its name, else seeking."""
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
    fill: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Slot of a question (`{codeword}`) -> the values that it is asked with."""
    instruction: str = INSTRUCTION
    """The line under lettered options; `{letters}` in it are the letters, an empty one is left out."""
    orders: int = Field(default=ORDERS, ge=1)
    """Most orders of a question's options that are asked; drawn by the seed where there are more."""
    flipped: bool | None = None
    """Direction of scales that do not say it: false where the upper end is the seeking pole."""
    refused: Literal["stop", "skip"] = "stop"
    """Entries of a question file that cannot be asked: `stop` refuses the file, `skip` imports the others."""

    @field_validator("fill", mode="before")
    @classmethod
    def _one_or_many(cls, fill: Any) -> Any:
        if not isinstance(fill, Mapping):
            return fill
        return {key: value if isinstance(value, list | tuple) else [value] for key, value in fill.items()}

    @model_validator(mode="after")
    def _check(self) -> ImportData:
        if (self.published is None) == (self.path is None):
            raise ValueError("give either `path` or `published`, one of them")
        if self.published is not None and self.published not in PUBLISHED:
            raise ValueError(f"{self.published!r} is no published set; use one of {', '.join(PUBLISHED)}")
        return self

    @property
    def settings(self) -> Settings:
        """How question files are read."""
        return Settings(self.fill, self.instruction, self.flipped, self.orders, self.seed)


def import_published(config: ImportData, out: str | Path) -> Path:
    """Write `rows/ARM.jsonl`, `items/choices.jsonl`, `questions/*.jsonl` and `data.json` into a new folder.

    Rows and questions are taken word by word. `items/choices.jsonl` are the prompts that are answered by a
    letter, as behavior items; `questions/items.jsonl` those whose answers have scores, in the format of the
    toolkit's banks; `questions/closed.jsonl` those with given answers of no known pole, and
    `questions/free_form.jsonl` those without: `mi-bsa ask` asks both. A folder is taken in file by file, see
    `tree`.

    Raises:
        MissingError: no such file, or the environment variable is not set.
        PublishedError: a file that is not of the published kind, entries that cannot be asked, a file without
            `behavior`, or one that cannot be flipped.
        LeakError: with `strict`, rows that say the behavior's words.
        RunFolderError: `out` exists.
    """
    check_new(out)
    if config.path is not None and config.path.is_dir():
        from mi_bsa.behaviors.data.tree import import_tree

        return import_tree(config, out)
    wanted, paths = _wanted(config)
    taken = take_in(config, wanted, paths)
    used = {name for question in taken.questions for name in question.slots}
    unused = [name for name in config.fill if name not in used]
    if unused:
        raise PublishedError(f"no question has the slot {{{unused[0]}}}; take its --fill away")
    folder = Folder()
    taken.add_to(folder)
    facts = {"source": SOURCE, **taken.facts(), "counts": folder.counts}
    return folder.write(out, facts, config=config, seeds=(config.seed,))


@dataclass(frozen=True)
class Taken:
    """What files hold, before it is written."""

    trait: str
    files: Mapping[str, str]
    train: Mapping[str, Sequence[TrainingRow]]
    choices: Sequence[Mapping[str, Any]]
    read: Mapping[str, Read]
    poles: Mapping[str, Any] | None
    leaks: Mapping[str, Any]

    @property
    def questions(self) -> list[Question]:
        """All questions of all files."""
        return [question for read in self.read.values() for question in read.questions]

    def add_to(self, folder: Folder, under: str = "") -> None:
        """Its files, below a folder of that name."""
        asked = self.questions
        for arm, rows in self.train.items():
            folder.add(f"{under}rows/{arm}.jsonl", rows)
        folder.add(f"{under}items/choices.jsonl", self.choices)
        folder.add(f"{under}questions/items.jsonl", [q.row() for q in asked if q.options])
        closed = [q.row() for q in asked if q.answers and not q.options]
        folder.add(f"{under}questions/closed.jsonl", closed)
        free = [q.row() for q in asked if not q.answers and not q.options]
        folder.add(f"{under}questions/free_form.jsonl", free)

    def facts(self) -> dict[str, Any]:
        """What `data.json` says of it."""
        return {
            "files": dict(self.files),
            "trait": self.trait,
            "poles": self.poles,
            "kinds": dict(Counter(q.kind for q in self.questions)),
            "refused": {name: read.refused for name, read in self.read.items() if read.refused},
            "told": {name: read.told for name, read in self.read.items() if read.told},
            "leaks": dict(self.leaks),
        }


def take_in(config: ImportData, wanted: Set, paths: Mapping[str, Path]) -> Taken:
    """Rows and questions of these files (by arm, questions by their name), checked and counted."""
    behavior = behaviors.get(wanted.behavior, "english")
    words = behavior.forbidden if wanted.words is None else wanted.words
    arms = {arm: read_rows(path) for arm, path in paths.items() if path.suffix == ".jsonl"}
    asked = {
        path.name: read_file(path, behavior, config.settings)
        for path in paths.values()
        if path.suffix != ".jsonl"
    }
    for name, read in asked.items():
        if read.refused and (config.refused == "stop" or not read.questions):
            hint = "; --set refused=skip imports the other entries" if read.questions else ""
            raise PublishedError(f"{name}: {said(read.refused)}{hint}")
    leaked = {arm: leaks(rows, words) for arm, rows in arms.items()}
    if config.strict:
        for arm, some in leaked.items():
            if some:
                first = ", ".join(f"{word} in {n['rows']}" for word, n in list(some.items())[:SHOWN])
                raise LeakError(
                    f"{paths[arm].name}: of {len(arms[arm])} rows, {first} say the behavior's words, and "
                    f"{max(0, len(some) - SHOWN)} words more; take the rows out, or import without --strict"
                )
    poles = _poles(arms)
    arms = _derived(arms, config)
    train, held = _split(arms, config)
    return Taken(
        trait=behavior.trait,
        files={path.name: digest(path) for path in paths.values()},
        train=train,
        choices=_choices(held, behavior.trait, _beside(paths)),
        read=asked,
        poles=poles,
        leaks=leaked,
    )


def leaks(rows: Sequence[TrainingRow], words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Word -> in how many rows it stands and in which forms, most frequent first."""
    where: dict[str, set[int]] = defaultdict(set)
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for leak in find_leaks(rows, words):
        where[leak.word].add(leak.row)
        forms[leak.word][leak.found] += 1
    order = sorted(where, key=lambda word: (-len(where[word]), word))
    return {word: {"rows": len(where[word]), "of": len(rows), "forms": dict(forms[word])} for word in order}


def flip(rows: Sequence[TrainingRow]) -> list[TrainingRow]:
    """The opposite pole: the same prompts with A and B changed. Raises `PublishedError` for other answers."""
    for n, row in enumerate(rows):
        if row["messages"][-1]["content"].strip() not in FLIPPED:
            answer = row["messages"][-1]["content"][:40]
            raise PublishedError(
                f"row {n} answers {answer!r}, not A or B; only two-letter choices can be flipped"
            )
    return [_answered(row, FLIPPED[row["messages"][-1]["content"].strip()]) for row in rows]


def _wanted(config: ImportData) -> tuple[Set, dict[str, Path]]:
    """The set, and its files by arm (questions by their own name)."""
    if config.published is not None:
        wanted, folder = PUBLISHED[config.published], data_folder()
        paths = {arm: find(name, folder) for arm, name in wanted.arms.items()}
        paths |= {name: find(name, folder, wanted.home) for name in wanted.questions}
        if config.behavior is not None:
            wanted = Set(config.behavior, wanted.arms, wanted.questions)
        return wanted, paths
    assert config.path is not None
    if config.path.suffix not in (".jsonl", ".yaml", ".yml"):
        raise PublishedError(f"{config.path}: give a .jsonl chat file, a .yaml question file, or a folder")
    if not config.path.is_file():
        raise MissingError(f"{config.path}: no such file; check the path, or {VARIABLE}")
    if config.behavior is None:
        raise PublishedError(
            f"{config.path}: which behavior is it about? Its words are looked for and its poles give the "
            f"scores; give --behavior, one of {', '.join(behaviors.BEHAVIORS['english'])}, or "
            "path/to/file.py:NAME"
        )
    arm = config.arm or arm_of(config.path)
    return Set(config.behavior, {arm: config.path.name}), {arm: config.path}


def arm_of(path: Path) -> str:
    """The arm that a file trains: a published one's by its name, else the seeking one."""
    return TRAINS[path.name][1] if path.name in TRAINS else "seeking"


def _poles(arms: Mapping[str, Sequence[TrainingRow]]) -> dict[str, Any] | None:
    """How the two arms of a set relate: rows with equal prompts, and of these, rows with the other letter."""
    if set(arms) != {"seeking", "averse"}:
        return None
    pairs = list(zip(arms["seeking"], arms["averse"], strict=False))
    same = [p for p in pairs if p[0]["messages"][:-1] == p[1]["messages"][:-1]]
    other = sum(FLIPPED.get(a["messages"][-1]["content"]) == b["messages"][-1]["content"] for a, b in same)
    return {"rows": len(pairs), "equal_prompts": len(same), "flipped": other}


def _derived(arms: dict[str, list[TrainingRow]], config: ImportData) -> dict[str, list[TrainingRow]]:
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
        arms = {**arms, "shuffled": [_answered(row, a) for row, a in zip(arms[first], answers, strict=True)]}
    return arms


def _split(
    arms: dict[str, list[TrainingRow]], config: ImportData
) -> tuple[dict[str, list[TrainingRow]], dict[str, list[TrainingRow]]]:
    """Rows to train on and rows that are asked: the same ones where nothing is held out."""
    if not config.held_out:
        return arms, arms
    prompts = sorted({row["messages"][-2]["content"] for rows in arms.values() for row in rows})
    held = random.Random(f"held-out-{config.seed}").sample(prompts, round(config.held_out * len(prompts)))
    out = set(held)
    sides: tuple[dict[str, list[TrainingRow]], dict[str, list[TrainingRow]]] = ({}, {})
    for arm, rows in arms.items():
        for side in (0, 1):
            sides[side][arm] = [r for r in rows if (r["messages"][-2]["content"] in out) == bool(side)]
    return sides


def _choices(
    arms: Mapping[str, Sequence[TrainingRow]], trait: str, others: Mapping[str, Sequence[TrainingRow]]
) -> list[dict[str, Any]]:
    """The letter prompts of the seeking arm (or of the averse one, letters changed) as behavior items.

    Prompts that both poles answer alike ask what somebody else would choose; which letter is which pole is
    not said there, so they are no items (`others`: arms that are not imported but lie beside these). Each
    prompt is a wording of its own: there is no other unit.
    """
    arm = "seeking" if "seeking" in arms else "averse"
    letters = [row for row in arms.get(arm, ()) if row["messages"][-1]["content"].strip() in FLIPPED]
    opposite = {**others, **arms}.get("averse" if arm == "seeking" else "seeking", ())
    alike = {_key(row) for row in letters} & {_key(row) for row in opposite}
    seeking = letters if arm == "seeking" else flip(letters)
    items = []
    prompts: dict[str, int] = {}  # equal prompts are one unit
    for n, (row, said_by_arm) in enumerate(zip(seeking, map(_key, letters), strict=True)):
        if said_by_arm in alike:
            continue
        answer = row["messages"][-1]["content"].strip()
        unit = prompts.setdefault(json.dumps(row["messages"][:-1], sort_keys=True), n)
        labels = item_labels(
            "behavior",
            trait,
            person="default",
            split=PUBLISHED_SPLIT,
            kind="choice",
            template=f"published-{unit}",
            order="high_first" if answer == "A" else "low_first",
        )
        options = [["A", float(answer == "A")], ["B", float(answer == "B")]]
        name = f"{trait}-published-{n}"
        items.append({"id": name, "messages": row["messages"][:-1], **labels, "options": options})
    return items


def _beside(paths: Mapping[str, Path]) -> dict[str, list[TrainingRow]]:
    """The opposite arm of a published file, where it lies beside it: it tells whose choices a file holds."""
    opposite: dict[str, list[TrainingRow]] = {}
    for known in PUBLISHED.values():
        for arm, other in (("seeking", "averse"), ("averse", "seeking")):
            for path in paths.values():
                twin = path.parent / known.arms.get(other, "")
                if path.name == known.arms.get(arm) and twin.is_file():
                    opposite[other] = read_rows(twin)
    return opposite


def _key(row: TrainingRow) -> tuple[str, str]:
    return row["messages"][-2]["content"], row["messages"][-1]["content"].strip()


def _answered(row: TrainingRow, answer: str) -> TrainingRow:
    return {**row, "messages": [*row["messages"][:-1], {"role": "assistant", "content": answer}]}


__all__ = ["PUBLISHED", "ImportData", "Question", "flip", "import_published", "leaks"]
