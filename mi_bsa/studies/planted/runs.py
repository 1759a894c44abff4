"""Judging many planted instances: one line of JSON each, so that a killed run goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from activations import ActivationsError
from mi_bsa.core.config import load
from mi_bsa.core.errors import ConfigError, MiBsaError
from mi_bsa.core.files import stable_hash, write_atomic
from mi_bsa.core.progress import Progress
from mi_bsa.studies.planted.draw import draw
from mi_bsa.studies.planted.settings import Draws, GridConfig, PlantedCell, PlantedWorld, Selection
from mi_bsa.study.rules import Rules, normalized
from probes import ProbesError, statistics

ALIKE = ("72f12a3d", "4ee25b14")
"""Rules of other code that judges alike: what changed since has no part in a planted instance (where a study
steers the base; whether necessity is measured everywhere, too), and instances that both judged agree in every
number (`tests/mi_bsa/studies/planted`)."""
LAYERS: tuple[PlantedWorld, ...] = ("early", "reverse")
"""Worlds that are judged for what later layers observe; all others for a shared state."""
UNJUDGED = ("__main__.py", "kept.py", "marks.py", "page.py", "runs.py")
"""Files of the planted study that have no part in an answer."""
DRAWS = "draws.yaml"
"""What the instances of a folder are drawn from; others do not belong there."""


def conjecture(world: PlantedWorld) -> str:
    """What a world is judged for."""
    return "later_layers_observe" if world in LAYERS else "shared_state"


def judged(cell: PlantedCell | PlantedWorld, number: int, draws: Draws | None = None) -> dict[str, Any]:
    """The verdict of one instance, with its true share and the lines of evidence, as a JSON-like record."""
    from mi_bsa.studies.planted import cut
    from mi_bsa.studies.planted.llama import instance
    from mi_bsa.studies.planted.truth import truth

    start = time.process_time()
    cell = cell if isinstance(cell, PlantedCell) else PlantedCell(cell)
    planted = instance(draw(cell, number, draws))
    found = truth(planted)
    verdicts, results = cut.judge(planted.material, layers=cell.world in LAYERS)
    one = next(v for v in verdicts if v.conjecture == conjecture(cell.world))
    effect = next(r for r in results if r.name == "behavior.effect")
    return {
        **_of(cell, number),
        "answer": one.answer,
        "reason": one.reason,
        "error": False,
        "lines": {line.name: line.state for line in one.lines},
        "truth": asdict(found),
        "effect": float(effect.value),
        "seconds": round(time.process_time() - start, 2),
    }


def failed(cell: PlantedCell, number: int, error: Exception) -> dict[str, Any]:
    """The record of an instance whose study stopped with an error: no verdict, and shown as such."""
    return {
        **_of(cell, number),
        "answer": "undecided",
        "reason": f"{type(error).__name__}: {error}",
        "error": True,
        "lines": {f"the study ran ({type(error).__name__})": "fails"},
        "truth": None,
        "effect": None,
        "seconds": None,
    }


def _of(cell: PlantedCell, number: int) -> dict[str, Any]:
    return {"cell": cell.name, "number": number, "rules": rules()}


@cache
def rules() -> str:
    """Which code judges: a hash of the planted study, what it asks of the causal floor and of validity, and
    the statistics, without docstrings, comments and layout.
    """
    here = Path(__file__).parent
    folders = [here, Path(statistics.__file__).parent]
    files = [path for folder in folders for path in sorted(folder.glob("*.py")) if path.name not in UNJUDGED]
    asked = [
        Rules("mi_bsa.studies.planted.cut", splits={}, within="mi_bsa.causal"),
        Rules("mi_bsa.asking.validity", splits={}, within="mi_bsa.asking"),
    ]
    own = [normalized(path.read_text(encoding="utf-8")) for path in files]
    return stable_hash([*own, *(one.identity for one in asked)])[:8]


def of_today(record: Mapping[str, Any]) -> bool:
    """Whether an instance was judged by today's rules, or by such as judge alike."""
    return record["rules"] in (rules(), *ALIKE)


def run(
    folder: Path,
    config: GridConfig,
    *,
    only: Selection | None = None,
    share: tuple[int, int] = (0, 1),
    most: int | None = None,
    known: Collection[tuple[str, int]] = (),
) -> None:
    """Judge the grid's instances in its order, those that are not there yet.

    Args:
        folder: of finished instances.
        config: the grid.
        only: cells that are judged; all by default.
        share: (k, n) judges every n-th, beginning at the k-th, so that several processes work beside each
            other; each appends to a file of its own.
        most: instances after which to stop.
        known: cells and numbers of instances that were judged elsewhere.

    Raises:
        ConfigError: the folder holds instances that were drawn from other ranges.
    """
    import torch

    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    _same_draws(folder, config.draws)
    known = {*known, *((r["cell"], r["number"]) for r in records(folder))}
    todo = [one for n, one in enumerate(config.plan(only)) if n % share[1] == share[0]]
    todo = list(islice((one for one in todo if (one[0].name, one[1]) not in known), most))
    path = folder / f"judged-{share[0]}-of-{share[1]}.jsonl"
    cut = path.exists() and not path.read_bytes().endswith(b"\n")
    with Progress("planted truth", len(todo)) as progress, path.open("a", encoding="utf-8") as out:
        out.write("\n" * cut)
        for cell, number in todo:
            progress.start(f"{cell.name} {number}")
            try:
                record = judged(cell, number, config.draws)
            except (MiBsaError, ProbesError, ActivationsError) as error:
                record = failed(cell, number, error)
            out.write(json.dumps(record) + "\n")
            out.flush()
            progress.advance(1, f"{cell.name} {number}: {record['answer']}")


def records(folder: Path) -> list[dict[str, Any]]:
    """Every instance that was judged, by cell and number; a line that a kill cut short is left out."""
    once = {(r["cell"], r["number"]): r for r in _lines(folder)}
    return [once[key] for key in sorted(once)]


def _same_draws(folder: Path, draws: Draws) -> None:
    path = folder / DRAWS
    if not path.exists():
        write_atomic(path, draws.to_yaml())
    elif load(path, Draws) != draws:
        raise ConfigError(
            f"{folder}: its instances are drawn from other ranges (see {DRAWS}) than these settings say; "
            "give another folder by --runs"
        )


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("judged-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue
