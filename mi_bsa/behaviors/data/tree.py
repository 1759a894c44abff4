"""A folder of published files, taken in file by file, and the table of what became of each.

Law: every training file and question file below the folder is a line of the table, with what was imported
from it and what was refused and why; files of other kinds are counted; published files that are not there are
named. One bad file stops none of the others.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mi_bsa.behaviors.data.fillings import WORD_FILE, words_in
from mi_bsa.behaviors.data.folder import Folder
from mi_bsa.behaviors.data.published import ImportData, Set, Taken, take_in
from mi_bsa.behaviors.data.sets import ARCHIVES, ASKS, INSIDE, SOURCE, TRAINS, below
from mi_bsa.core.errors import MiBsaError, PublishedError

DATA = (".jsonl", ".yaml", ".yml")
PACKED = (".zip", ".gz", ".tar", ".tgz", ".xz", ".bz2", ".7z")
POINTER = b"version https://git-lfs"
TABLE = "table.md"


@dataclass(frozen=True)
class TableLine:
    """A file of the table: its kind, rows or entries in it, what was imported (kind -> n) and refused."""

    file: str
    kind: str
    held: int
    imported: dict[str, int]
    refused: dict[str, str]
    told: dict[str, list[str]]

    @property
    def cells(self) -> tuple[str, ...]:
        """As it stands in the table; reasons that several entries share are said once."""
        what = ", ".join(f"{n} {kind}" for kind, n in self.imported.items()) or "nothing"
        reasons: dict[str, list[str]] = {}
        for name, reason in self.refused.items():
            reasons.setdefault(reason, []).append(name)
        why = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
        return self.file, self.kind, str(self.held) if self.held else "", what, why.replace("|", "\\|")


def import_tree(config: ImportData, out: str | Path) -> Path:
    """Import every file below `config.path` that can be, each into a folder of its own name, and the table.

    Raises `PublishedError` where the folder holds no training or question file, or where options of single
    files are given.
    """
    assert config.path is not None
    if config.flip or config.shuffle is not None or config.held_out:
        raise PublishedError(
            f"{config.path}: a folder's files are taken in as they are; give --flip, --shuffle and "
            "--held-out with one file"
        )
    folder = Folder()
    lines: list[TableLine] = []
    facts: dict[str, Any] = {}
    others: Counter[str] = Counter()
    there = below(config.path)
    for path in there:
        name = path.relative_to(config.path).as_posix()
        if path.suffix.lower() in PACKED:
            reason = {path.name: "an archive; unpack it and import its folder"}
            lines.append(TableLine(name, "archive", 0, {}, reason, {}))
        elif path.name == WORD_FILE:
            words = len(words_in(path))
            lines.append(TableLine(name, "word list", words, {"words for {word_list}": words}, {}, {}))
        elif path.suffix.lower() in DATA:
            line, taken = _one(config, path, name)
            lines.append(line)
            if taken is not None:
                taken.add_to(folder, f"{name.removesuffix(path.suffix)}/")
                facts[name] = taken.facts()
        else:
            others[path.suffix.lower() or "no suffix"] += 1
    if not any(line.imported or line.refused for line in lines):
        raise PublishedError(f"{config.path}: no .jsonl or .yaml file in it or below; name the data's folder")
    names = {path.name for path in there}
    absent = sorted({*TRAINS, *ASKS, *ARCHIVES} - names)
    folder.add_text(TABLE, table(lines, others, absent))
    whole = {
        "source": SOURCE,
        "files": facts,
        "table": [vars(line) for line in lines],
        "others": dict(others),
        "absent": absent,
        "counts": folder.counts,
    }
    return folder.write(out, whole, config=config, seeds=(config.seed,))


def table(lines: Sequence[TableLine], others: Counter[str], absent: Sequence[str]) -> str:
    """The table in Markdown, with what was left out under it."""
    head = ("file", "kind", "rows or entries", "imported", "refused, and why")
    rows = [head, ("---",) * len(head), *(line.cells for line in lines)]
    text = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    rest = ", ".join(f"{n} {kind}" for kind, n in sorted(others.items()))
    text += f"\nOther files, which hold no data of these kinds and were not read: {rest or 'none'}.\n"
    if absent:
        text += f"\nPublished files that are not in this folder: {', '.join(absent)}.\n"
    return text


def _one(config: ImportData, path: Path, name: str) -> tuple[TableLine, Taken | None]:
    """A file's line, and what it holds where it was taken in."""
    kind = "training rows" if path.suffix == ".jsonl" else "questions"
    known = TRAINS.get(path.name) or INSIDE.get(path.name)
    behavior, arm, words = known or (ASKS.get(path.name), config.arm or "seeking", None)
    try:
        with path.open("rb") as file:
            pointer = file.read(len(POINTER)) == POINTER
        if pointer:
            raise PublishedError("a pointer of Git LFS and not the file; run git lfs pull")
        behavior = behavior or config.behavior
        if behavior is None:
            raise PublishedError(
                "no published file has its name; say with --behavior which behavior it is about"
            )
        taken = take_in(
            config.model_copy(update={"refused": "skip"}), Set(behavior, {}, words=words), {arm: path}
        )
    except (MiBsaError, OSError, UnicodeError) as bad:
        reason = " ".join(str(bad).split()).replace(f"{path}: ", "").replace(f"{path}, ", "")
        return TableLine(name, kind, 0, {}, {path.name: reason.replace(str(path), path.name)}, {}), None
    if path.suffix == ".jsonl":
        rows = {f"rows of arm {arm}": len(some) for arm, some in taken.train.items()}
        choices = {"choices": len(taken.choices)} if taken.choices else {}
        return TableLine(name, kind, sum(rows.values()), rows | choices, {}, {}), taken
    read = taken.read[path.name]
    kinds = dict(Counter(question.kind for question in read.questions))
    return TableLine(name, kind, read.entries, kinds, read.refused, read.told), taken
