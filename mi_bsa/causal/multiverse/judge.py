"""Steps "multiverse": how many of the paths that the study might as well have taken give its verdict?

Law: every answer is by the rules' own code, on the path's own evidence; a path whose evidence is missing is
undecided and counts as such. Paths are no draws of anything, so their share has no interval and no p: it
says how much hangs on choices of the analyst, not how likely a verdict is (Steegen et al. 2016, "Increasing
transparency through a multiverse analysis"; the figure is that of Simonsohn, Simmons and Nelson 2020).

Results: `bridge.multiverse.<conjecture>`, the share of paths that give the verdict's answer, over the axes
along which that conjecture's evidence can change; for a shared state also by value of each axis (kind =
`handle mean_difference`, ...). `multiverse.csv` has every path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.handle import HANDLE
from mi_bsa.causal.levels import load_rivals
from mi_bsa.causal.lines import QUARTER
from mi_bsa.causal.material import POLES
from mi_bsa.causal.multiverse.gates import gates, own_gate
from mi_bsa.causal.multiverse.measured import FOLDER, WHOLLY, dose_name, load, measure
from mi_bsa.causal.multiverse.paths import AXES, MOVES, Multiverse, Walked
from mi_bsa.causal.steered import LARGEST
from mi_bsa.causal.verdict import Verdict, verdicts
from mi_bsa.core.results import Result
from mi_bsa.study.steps import Cell, Step

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.causal.options import MultiverseOptions

FILE = "multiverse.csv"
"""In the run folder: every path."""
LEFT = {"multiverse/paths": "multiverse.json"}
"""The step that leaves results, and its file."""


def steps(config: BridgeConfig, weights: tuple[Path, ...], before: Mapping[str, str]) -> Iterator[Step]:
    """What other paths need of a model, and the walk along all of them.

    Args:
        config: of the study.
        weights: files of its model.
        before: steps whose results its verdicts read, and their files.
    """
    if not config.multiverse.enabled:
        return
    poles = tuple(f"finetune/{name}" for name in config.poles)
    yield Step(
        "multiverse/levels",
        measure,
        fields=("behavior", "model", "seeds", "place", "recovery", "multiverse"),
        files=weights,
        after=("items", "vectors", "recovery", "necessity", "mediation", *poles),
        outputs=(FOLDER,),
        seconds=25,
        bytes=1_000_000,
        version=2,
    )
    asked = tuple(f"{step}/{name}" for step in ("ask", "sample") for name in ("base", *config.poles))
    yield Step(
        "multiverse/paths",
        walk,
        {"files": dict(before)},
        fields=("behavior", "seeds", "multiverse"),
        after=("multiverse/levels", *before, *asked),
        outputs=(FILE, *LEFT.values()),
        seconds=10,
        bytes=400_000,
        version=4,
    )


def walk(cell: Cell[BridgeConfig], *, files: Mapping[str, str]) -> dict[str, Any]:
    """Walk every path, and count those that give the study's answers."""
    from mi_bsa.causal.sampled import all_answers
    from mi_bsa.causal.steer_and_patch import read, write

    config = cell.config
    runs = (f"{pole}-{seed}" for pole in POLES for seed in config.seeds)
    table = _plain(all_answers(cell.folder, ("base", *runs)))
    found = own_gate(table, behavior=config.behavior, seeds=config.seeds)
    for file in files.values():
        found += read(cell.folder / file)
    walked = walks(multiverse(cell.folder, found, table, config.multiverse))
    frame(walked).to_csv(cell.folder / FILE, index=False)
    results = [result for verdict in verdicts(found) for result in agreeing(verdict, walked)]
    write(cell.folder / LEFT[cell.step], results)
    return {"paths": len(walked)}


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """The same with words as Python's own: the gate without each wording walks over all answers many times,
    and pandas makes a word of Arrow's anew each time (a fifth of the step).
    """
    words = table.select_dtypes("string").columns
    return table.astype(dict.fromkeys(words, object))


def multiverse(
    folder: Path, results: Sequence[Result], table: pd.DataFrame, options: MultiverseOptions
) -> Multiverse:
    """All that paths are made of, from what steps left in a run folder."""
    places = load(folder)
    dosed = (name.partition("@") for name in places[0].ways["seeking"])
    return Multiverse(
        places=places,
        rivals=load_rivals(folder / "rivals.npz"),
        results=results,
        gates=gates(table, results),
        handles=list(dict.fromkeys(method for method, at, _ in dosed if at)) or [HANDLE],
        doses=list(dict.fromkeys([WHOLLY, *map(dose_name, (*options.shares, LARGEST))])),
        bars=list(dict.fromkeys((QUARTER, *options.bars))),
    )


def walks(universe: Multiverse) -> list[Walked]:
    """Every path, the study's own first."""
    return [universe.walk(path) for path in universe.paths()]


def frame(walked: Sequence[Walked]) -> pd.DataFrame:
    """One row a path: its place on the axes, what the handle moves of the report (both poles, as a share of
    the finetune's) with its interval, the answers, what the lines of the handle say by themselves, and the
    lines of a shared state that do not hold.
    """
    import pandas as pd

    rows = []
    for one in walked:
        effect, path = one.effect, one.path
        low, high = (None, None) if effect is None or effect.ci is None else effect.ci
        share = effect if effect is not None and effect.unit == "share" else None
        rows.append(
            {axis: getattr(path, axis) for axis in AXES}
            | {"own": all(path.own.values())}
            | ({"share": share.value, "low": low, "high": high} if share is not None else {})
            | dict(one.answers)
            | {"handle_alone": one.alone, "short": "; ".join(one.short["shared_state"])}
        )
    columns = [*AXES, "own", "share", "low", "high", *MOVES, "handle_alone", "short"]
    return pd.DataFrame(rows, columns=columns).round({"share": 4, "low": 4, "high": 4})


def agreeing(verdict: Verdict, walked: Sequence[Walked]) -> Iterator[Result]:
    """The share of paths that give a verdict's answer; of a shared state also by value of each axis."""
    name, axes = verdict.conjecture, MOVES[verdict.conjecture]
    paths = [one for one in walked if one.path.along(axes)]
    by: dict[tuple[str, str], list[Walked]] = {}
    for axis in axes if len(axes) > 2 else ():
        for one in paths:
            value = getattr(one.path, axis)
            by.setdefault((axis, f"{value:g}" if axis == "bar" else str(value)), []).append(one)
    whole = _share(verdict, paths)
    least = min(by, key=lambda key: (_agree(verdict, by[key]), key), default=None)
    beside = ""
    if least is not None and _agree(verdict, by[least]) < 1:
        beside = f"; fewest agree along {least[0]} {least[1]}: {_agree(verdict, by[least]):.2f}"
    fooled = Counter(one.path.handle for one in paths if one.alone == "supported" != one.answers[name])
    if len(axes) > 2 and fooled:
        by_handle = ", ".join(f"{count:,} of {handle}" for handle, count in fooled.items())
        beside += f"; the lines of the handle alone would have said supported in {by_handle}"
    always = [line for line in paths[0].short[name] if all(line in one.short[name] for one in paths)]
    if always:
        beside += f"; in no path holds: {', '.join(always)}"
    yield replace(whole, notes=f"{whole.notes}{beside}")
    for (axis, value), some in by.items():
        if axis == "without":
            continue
        part = _share(verdict, some)
        yield replace(part, where={**part.where, "kind": f"{axis} {value}"})


def _agree(verdict: Verdict, paths: Sequence[Walked]) -> float:
    return sum(one.answers[verdict.conjecture] == verdict.answer for one in paths) / len(paths)


def _share(verdict: Verdict, paths: Sequence[Walked]) -> Result:
    counts = Counter(one.answers[verdict.conjecture] for one in paths)
    said = ", ".join(f"{counts[a]:,} {a}" for a in ("supported", "undecided", "not supported") if counts[a])
    return Result(
        name=f"bridge.multiverse.{verdict.conjecture}",
        where={"behavior": verdict.behavior},
        value=_agree(verdict, paths),
        ci=None,
        ci_method="none: paths are choices, not draws",
        n=len(paths),
        unit="share of paths that agree",
        notes=said,
    )


def told(results: Sequence[Result], conjecture: str) -> str:
    """The share of agreeing paths in one line, to stand beside the verdict; empty where none was walked."""
    name = f"bridge.multiverse.{conjecture}"
    found = next((r for r in results if r.name == name and "kind" not in r.where), None)
    return "" if found is None else f"{found.value:.2f} of {found.n:,} paths agree: {found.notes}"
