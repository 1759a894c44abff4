"""The folder that data commands write: JSONL files, `data.json` with the facts, and the run's own record.

Law: all content is made before the first byte is written, and every file's SHA-256 is in the record.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mi_bsa.core import record
from mi_bsa.core.config import Config
from mi_bsa.core.errors import RunFolderError
from mi_bsa.core.files import write_atomic, write_json
from mi_bsa.core.plain_files import read_json_object

FACTS = "data.json"


def check_new(out: str | Path) -> None:
    """Refuse a folder that holds something; data is never added to or written over."""
    path = Path(out)
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise RunFolderError(f"{path}: exists already; give another --out, or take it away")


class Folder:
    """Files to be written together."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """A JSONL file under that name; nothing where there are no rows."""
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        if lines:
            self._files[name] = "".join(lines)
            self.counts[name] = len(lines)

    def add_text(self, name: str, text: str) -> None:
        """A file of plain text under that name; it counts no rows."""
        self._files[name] = text

    def write(
        self, out: str | Path, facts: Mapping[str, Any], *, config: Config, seeds: Sequence[int]
    ) -> Path:
        """Write all files, `data.json` and the record into a new folder; returns it.

        Raises `RunFolderError` where it exists.
        """
        sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in self._files.items()}
        with record.start(out, config=config, resume=False, seeds=seeds, revisions=sums) as run:
            for name, text in self._files.items():
                write_atomic(run.path / name, text)
            write_json(run.path / FACTS, {**facts, "sha256": sums})
            return run.path


def read_facts(folder: str | Path) -> dict[str, Any]:
    """What `data.json` says."""
    return read_json_object(Path(folder) / FACTS, remedy="build or import the data again")
