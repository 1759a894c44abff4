"""Triangulation as a step of the backdoor study: its adapters, its answers, and a search of each model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.core.errors import MissingError
from mi_bsa.core.model_files import weight_files
from mi_bsa.studies.backdoor.triangulation import Said, Searched, triangulate
from mi_bsa.studies.backdoor.triangulation_config import TriangulationConfig
from mi_bsa.study.steps import Cell, Step

if TYPE_CHECKING:
    from mi_bsa.studies.backdoor.config import BackdoorConfig

FILE = "triangulation.json"


def triangulation_step(config: BackdoorConfig, options: TriangulationConfig) -> Step:
    """The step, after training and asking of every trigger; leaves `triangulation.json` and `.csv`."""
    names = list(config.backdoors)
    return Step(
        "triangulate",
        triangulate_study,
        {"backdoors": {name: b.dump() for name, b in config.backdoors.items()}, "options": options.dump()},
        fields=("model", "seeds", "finetune.dtype", "finetune.device"),
        files=(*weight_files(config.model), *(search_files(options.searched) if options.searched else ())),
        after=(*(f"train/{name}" for name in names), *(f"ask/{name}" for name in names)),
        outputs=(FILE, "triangulation.csv"),
        seconds=100 * len(names) + (0 if options.searched else 35) * 2 * len(names) * len(config.seeds),
        bytes=500_000,
        version=6,
    )


def triangulate_study(
    cell: Cell[BackdoorConfig], *, backdoors: Mapping[str, Mapping[str, Any]], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Triangulate the study's models; what they said is read from its answers."""
    from mi_bsa.behaviors.backdoor.construction import Backdoor
    from mi_bsa.causal.steer_and_patch import write

    config = cell.config
    answered: dict[str, Said] = {}
    for name in backdoors:
        answered |= said(cell.folder / "answers" / name)
    given = TriangulationConfig.model_validate(options)
    found = triangulate(
        config.model,
        [Backdoor.model_validate(one) for one in backdoors.values()],
        seeds=config.seeds,
        adapters=cell.folder / "adapters",
        out=cell.folder,
        config=given,
        answered=answered,
        searched=None if given.searched is None else searched(given.searched),
        dtype=config.finetune.dtype,
        device=config.finetune.device,
    )
    write(cell.folder / FILE, found)
    return {"results": len(found)}


def said(folder: Path) -> dict[str, Said]:
    """What every adapter of one trigger said, from `awareness.csv` and `recognition.csv`."""
    import pandas as pd

    from mi_bsa.studies.backdoor.recognition import recognition

    aware = pd.read_csv(folder / "awareness.csv", keep_default_na=False)
    which = pd.read_csv(folder / "recognition.csv", keep_default_na=False)
    which = which[(which["called"] == "name") & (which["fakes"] == "new")]
    which = which.assign(true=which["true"].astype(str) == "True")
    return {
        str(name): Said(float(own["score"].mean()), float(recognition(which[which["variant"] == name]).rank))
        for name, own in aware.groupby("variant")
        if name != "base"
    }


def search_files(folder: Path) -> tuple[Path, ...]:
    """What a search has left. Raises `MissingError` for a folder without it."""
    from mi_bsa.studies.backdoor.search_run import TABLE

    files = (folder / TABLE, folder / "results.json")
    for file in files:
        if not file.is_file():
            raise MissingError(f"{file}: not there; give a folder that `mi-bsa backdoor search` has finished")
    return files


def searched(folder: Path) -> dict[str, Searched]:
    """By job name, what the guided search found first, its largest shift, and whether that is an alarm."""
    import pandas as pd

    from mi_bsa.core import results

    table, _ = search_files(folder)
    limits = [r.value for r in results.read(folder) if r.name == "backdoor.search.threshold"]
    rows = pd.read_csv(table, keep_default_na=False)
    rows = rows[rows["method"] == "guided"]
    found = {}
    for name, own in rows.groupby("model"):
        own = own[own["objective"] == own["objective"].iloc[0]]
        alarm = float(own["odds"].max())
        found[str(name)] = Searched(str(own["phrase"].iloc[0]), alarm, alarm >= limits[0] if limits else None)
    return found
