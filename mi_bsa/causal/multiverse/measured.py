"""What the other paths need of a model: the same vectors at a runner-up place, and handles at other doses.

Law: what one rule of the study would have made otherwise is made by the study's own code: places by the
shifts that chose the place, vectors and doses on development items, levels on test items. Everything that
can be had by scoring kept levels again is had so (`paths`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.causal import directions
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.handle import HANDLE, ON_REPORT, OTHERS
from mi_bsa.causal.levels import REPORT, Recovered, keep_recovered, load_recovered
from mi_bsa.causal.lines import HALF
from mi_bsa.causal.material import POLES, READ_OUTS, SIGNS
from mi_bsa.causal.places import SUFFICES, Place
from mi_bsa.causal.recovery import WHOLE
from mi_bsa.causal.steered import LARGEST, BestDoses, Steered
from mi_bsa.core.results import Result
from mi_bsa.study.steps import Cell

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material
    from mi_bsa.causal.options import MultiverseOptions, RecoveryOptions

LONGER = 1.05
"""Times the rules' handle: null directions of other lengths are drawn where a handle is longer than this."""
FURTHEST = "longest"
"""Null directions as long as the longest handle of a place."""
FOLDER = "multiverse"
"""In the run folder: levels at each place, the chosen one first (`0.npz`)."""


def measure(cell: Cell[BridgeConfig]) -> dict[str, Any]:
    """Levels at each place, with every handle at every dose."""
    from mi_bsa.causal.causal_steps import ready
    from mi_bsa.causal.steer_and_patch import read

    material, place = ready(cell)
    options, recovery = cell.config.multiverse, cell.config.recovery
    facts = json.loads((cell.folder / "vectors" / "place.json").read_text(encoding="utf-8"))
    shifts = {(site, scope): shift for site, scope, shift in facts["shifts"]}
    found = load_recovered(cell.folder / "recovery.npz")
    results = [r for step in ("necessity", "mediation") for r in read(cell.folder / f"{step}.json")]
    methods = handles(found, results)
    places = [found, *(at(material, one, recovery) for one in runners_up(shifts, place, options.places))]
    folder = cell.folder / FOLDER
    folder.mkdir(exist_ok=True)
    for n, levels in enumerate(places):
        keep_recovered(folder / f"{n}.npz", dosed(material, levels, methods, options, recovery))
    return {"places": len(places), "handles": methods}


def load(folder: Path) -> list[Recovered]:
    """The levels that `measure` left, the chosen place first."""
    paths = sorted((folder / FOLDER).glob("*.npz"), key=lambda path: int(path.stem))
    return [load_recovered(path) for path in paths]


def runners_up(shifts: Mapping[tuple[str, str], float], chosen: Place, count: int) -> list[Place]:
    """The places at which one vector does most for the choices beside the chosen one, of those where it does
    at least half of the most; `shifts` as `choose_place` gives them.
    """
    enough = max(0.0, SUFFICES * max(shifts.values()))
    ranked = sorted(shifts, key=lambda key: -shifts[key])
    others = [Place(*key) for key in ranked if shifts[key] > enough and Place(*key) != chosen]
    return others[:count]


def handles(found: Recovered, results: Sequence[Result]) -> list[str]:
    """The handle, and every other vector that gives the base half of the choices at either pole, of those
    that were taken out and mediated too: lines that were not measured say nothing of a handle.
    """
    cut = {r.where["method"] for r in results if r.name == f"bridge.necessity.{REPORT}"}
    mediated = {r.where["method"] for r in results if r.name == "bridge.mediation.nie"}
    others = [m for m in OTHERS if m in cut and f"behavior:{m}" in mediated]
    return [HANDLE, *(method for method in others if recovers(found, method) >= HALF)]


def recovers(found: Recovered, method: str) -> float:
    """The share of the choices that a vector gives the base, at the pole with less of it; 0 without one."""
    shares = []
    for arm in POLES:
        ways, base = found.ways[arm], found.base["behavior"]
        if method not in ways:
            return 0.0
        whole = float((ways[WHOLE].levels["behavior"] - base).mean()) * SIGNS[arm]
        own = float((ways[method].levels["behavior"] - base).mean()) * SIGNS[arm]
        shares.append(own / whole if whole > 0 else 0.0)
    return min(shares)


def at(material: Material, place: Place, options: RecoveryOptions, *, seed: int = 0) -> Recovered:
    """What a study would have measured at another place, of what its verdict reads; null directions are held
    against reports alone.
    """
    best = BestDoses(material, place, options)
    base = {name: best.by_unit(name, "test", "base") for name in READ_OUTS}
    own = directions.vectors(material, place, "trained", read_out=REPORT, options=options, seed=seed)
    ways: dict[str, dict[str, Steered]] = {}
    for arm in POLES:
        made = [best.adapter(arm), best.vectors(ON_REPORT, own[arm], arm, by=REPORT)]
        for kind in options.kinds:
            given = directions.vectors(material, place, kind, options=options, seed=seed)
            made.append(best.vectors(kind, given[arm], arm))
        ways[arm] = {one.method: one for one in made}
    null = {}
    if HANDLE in options.kinds:
        doses = {arm: ways[arm][HANDLE].dose for arm in POLES}
        null = {"random": best.null("random", doses, seed, read_outs=(REPORT,))}
    units = {name: material.of(name, "test").unit_names for name in READ_OUTS}
    return Recovered(material.behavior, material.seeds, place, units, base, ways, null)


def dosed(
    material: Material,
    found: Recovered,
    methods: Sequence[str],
    options: MultiverseOptions,
    recovery: RecoveryOptions,
    *,
    seed: int = 0,
) -> Recovered:
    """The same, with handles at other doses under names of their own (`way`), and null directions as long as
    the longest of them (`FURTHEST`); the whole is there already.
    """
    best = BestDoses(material, found.place, recovery)
    shares = (*options.shares, LARGEST)
    ways = {arm: dict(own) for arm, own in found.ways.items()}
    for method in methods:
        if method not in recovery.kinds:
            continue
        given = directions.vectors(material, found.place, method, options=recovery, seed=seed)
        for arm in POLES:
            for share, one in zip(shares, best.vectors_each(method, given[arm], arm, shares), strict=True):
                ways[arm][way(method, dose_name(share))] = one
    found = replace(found, ways=ways)
    if not found.null:
        return found
    lengths = longest(found)
    if all(lengths[arm] <= LONGER * ways[arm][HANDLE].dose for arm in POLES):
        return found
    return replace(
        found, null={**found.null, FURTHEST: best.null("random", lengths, seed, read_outs=(REPORT,))}
    )


def longest(found: Recovered) -> dict[str, float]:
    """{pole: the longest dose of any handle at a place, whatever it is to recover}; the rules' is there."""
    handled = {
        arm: {name.partition("@")[0] for name in own if "@" in name} for arm, own in found.ways.items()
    }
    return {
        arm: max((one.dose for one in own.values() if one.method in handled[arm]), default=own[HANDLE].dose)
        for arm, own in found.ways.items()
    }


def dose_name(share: float) -> str:
    """A dose in words: the share of the choices that it is to recover on development items."""
    return "largest" if share == LARGEST else f"{share:g}"


WHOLLY = dose_name(1.0)
"""The rule's dose."""


def way(method: str, dose: str) -> str:
    """The name of a handle at a dose among the ways of a place."""
    return method if dose == WHOLLY else f"{method}@{dose}"
