"""Judging planted reports: one line a world and number, so that a killed run goes on where it was."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mi_bsa.causal.introspection.conditions import rests_on
from mi_bsa.causal.introspection.moved import moved
from mi_bsa.causal.introspection.options import IntrospectionOptions
from mi_bsa.causal.introspection.readers import privileged_access
from mi_bsa.causal.introspection.wordings import pool
from mi_bsa.core.progress import Progress
from mi_bsa.studies.planted.introspection.prompts import ACTS
from mi_bsa.studies.planted.introspection.worlds import WORLDS, instance

COLUMNS = (
    "world",
    "number",
    "told",
    "run",
    "state",
    "odd",
    "wording",
    "report",
    "reader",
    "privileged",
    "seconds",
)
Record = dict[str, str]
OPTIONS = IntrospectionOptions(items=32, choices=48, matched=8, random=50, acts=(1,))
TRAIN_STEPS = 30
"""Of the vectors trained on choices; so small a model needs few."""
READ = 5
"""Instances of each world whose privileged access is measured too: readers take most of the time."""


def judged(world: str, number: int, *, readers: bool) -> Record:
    """What the rule says of one instance, and the numbers it says it by; privileged access if `readers`."""
    from mi_bsa.causal import directions
    from mi_bsa.causal.material import POLES
    from mi_bsa.causal.options import RecoveryOptions
    from mi_bsa.causal.places import Place

    start = time.process_time()
    material = instance(world, number).material
    place = Place("resid_post.0", "slot")  # where adapters write
    how = RecoveryOptions(train_steps=TRAIN_STEPS)
    trained = directions.train(material, place, read_out="behavior", options=how, arms=POLES, seed=0)
    material.known[place, "trained", "behavior", POLES] = trained
    asked = [item for split in ("dev", "test") for item in material.sets[f"report-{split}"]]
    wordings = pool(material.model, asked, forbidden=ACTS)
    results = moved(material, place, wordings, OPTIONS)
    told = rests_on(results)
    assert told is not None
    by = {
        (str(r.where["method"]), str(r.where["kind"])): r for r in results if r.name == "introspection.moved"
    }
    record = {
        "world": world,
        "number": str(number),
        "told": str(told.where["kind"]),
        "run": f"{by['adapter', 'pole'].value:.4f}",
        "state": f"{by['state', 'pole'].value:.4f}",
        "odd": f"{by['random', 'alike'].value:.4f}",
        "wording": f"{by['wording', 'pole'].value:.4f}",
        "report": "",
        "reader": "",
        "privileged": "",
    }
    if readers:
        found = {r.name: r for r in privileged_access(material, OPTIONS) if r.name != "introspection.reader"}
        own = (found[f"introspection.{name}"].value for name in ("accuracy", "privileged"))
        accuracy, privileged = own
        record |= {
            "report": f"{accuracy:.4f}",
            "reader": f"{accuracy - privileged:.4f}",
            "privileged": f"{privileged:.4f}",
        }
    return record | {"seconds": f"{time.process_time() - start:.2f}"}


def run(table: Path, *, first: int, instances: int, worlds: Sequence[str] = WORLDS) -> None:
    """Judge `instances` of each world from number `first` on, those that the table does not hold."""
    import torch

    torch.set_num_threads(1)
    known = {(r["world"], r["number"]) for r in read(table)}
    todo = [(w, n) for n in range(first, first + instances) for w in worlds if (w, str(n)) not in known]
    table.parent.mkdir(parents=True, exist_ok=True)
    fresh = not table.exists()
    with (
        Progress("planted reports", len(todo)) as progress,
        table.open("a", encoding="utf-8", newline="") as out,
    ):
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        if fresh:
            writer.writeheader()
        for world, number in todo:
            progress.start(f"{world} {number}")
            record = judged(world, number, readers=number < first + READ)
            writer.writerow(record)
            out.flush()
            progress.advance(1, f"{world} {number}: {record['told']}")


def read(table: Path) -> list[Record]:
    """Every whole line of a table; none where there is no table."""
    return list(_lines(table)) if table.exists() else []


def _lines(table: Path) -> Iterator[Record]:
    with table.open(encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text):
            if row.get("seconds"):
                yield row
