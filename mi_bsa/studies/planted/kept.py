"""The judged instances as a table that is kept with the code, a line each: a page can be checked, and a grid
that takes hours goes on elsewhere.

Law: the table holds what the page is made of, by the rules of one day; instances that were judged by other
rules are not in it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mi_bsa.core.errors import ConfigError
from mi_bsa.core.files import write_atomic
from mi_bsa.studies.planted.runs import of_today

FIRST = ("the handle is one", "the handle moves the report")
"""Lines behind which nothing more is measured: where they are missing, they stopped it."""
COLUMNS = ("cell", "number", "rules", "answer", "stopped", "error", "share", "carried", "effect", "seconds")


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a table, those that were judged by the rules of today; none where there is no table.

    Raises:
        ConfigError: a file that is no such table.
    """
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise ConfigError(f"{path}: no table of judged instances; its columns are {', '.join(COLUMNS)}")
        try:
            return [_record(row) for row in rows if of_today(row)]
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path}: a line that is no judged instance ({error}); take it out") from error


def write(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write the records of today's rules, by cell and number."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    kept = [r for r in records if of_today(r)]
    for r in sorted(kept, key=lambda r: (r["cell"], r["number"])):
        truth = r["truth"] or {}
        numbers = [truth.get("share"), truth.get("carried"), r["effect"]]
        said = r["reason"] if r["error"] else ""
        told = ["" if x is None else f"{x:.4f}" for x in numbers]
        line = [r["cell"], r["number"], r["rules"], r["answer"], stopped(r), said, *told, r["seconds"]]
        writer.writerow(line)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, out.getvalue())


def together(*found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records of several places, each instance once: one by the rules of today before one by others, and of
    two alike that of the later place.
    """
    once: dict[tuple[str, int], dict[str, Any]] = {}
    for record in (r for records in found for r in records):
        key = record["cell"], record["number"]
        if of_today(record) or not of_today(once.get(key, record)):
            once[key] = record
    return [once[key] for key in sorted(once)]


def stopped(record: Mapping[str, Any]) -> str:
    """The first line that did not hold, of an instance that was not supported; else nothing."""
    if record["answer"] == "supported":
        return ""
    lines = record["lines"]
    short = [name for name, state in lines.items() if state in ("open", "fails")]
    missing = [name for name, state in lines.items() if state == "missing"]
    short += sorted(missing, key=lambda name: name not in FIRST)
    return next(iter(short), "p, adjusted over conjectures")


def _record(row: dict[str, str]) -> dict[str, Any]:
    share, carried, effect = (float(row[k]) if row[k] else None for k in ("share", "carried", "effect"))
    return {
        "cell": row["cell"],
        "number": int(row["number"]),
        "rules": row["rules"],
        "answer": row["answer"],
        "reason": row["error"] or row["stopped"],
        "error": bool(row["error"]),
        "lines": {row["stopped"]: "open"} if row["stopped"] else {},
        "truth": None if share is None else {"share": share, "carried": carried},
        "effect": effect,
        "seconds": float(row["seconds"]) if row["seconds"] else None,
    }
