"""Levels behind shares, by wording: what the steps that run a model leave, so that any part of it can be
scored again without one (`multiverse`).

Law: what is loaded is what was kept, to the last digit, so scoring the whole again gives the study's own
results.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mi_bsa.causal.places import Place
from mi_bsa.causal.steered import Steered
from mi_bsa.core.errors import BrokenFileError
from mi_bsa.core.files import write_atomic

REPORT = "self_report"
BROKEN = (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What numpy raises of a file that is cut short, empty, changed inside, or no .npz."""
AGAIN = "run the study again with --resume"
Ways = Mapping[str, Mapping[str, Steered]]
"""{pole: {method: levels}}."""
Nulls = Mapping[str, Mapping[str, Mapping[str, Float[np.ndarray, "_ _"]]]]
"""{kind of null direction: {pole: {read-out: level, (draw, unit)}}}."""


@dataclass(frozen=True, eq=False)
class Recovered:
    """What lies behind the shares at one place, by wording (of choices: scenario).

    Attributes:
        behavior: its name, for results.
        seeds: of the adapters.
        place: where vectors were added.
        units: {read-out: names of its wordings or scenarios}.
        base: {read-out: level of each unit}; read-outs have different numbers of them.
        ways: {pole: {method: levels}}.
        null: {kind of null direction: {pole: {read-out: level}}}; empty without a handle.
    """

    behavior: str
    seeds: tuple[int, ...]
    place: Place
    units: Mapping[str, tuple[str, ...]]
    base: Mapping[str, Float[np.ndarray, " _"]]
    ways: Ways
    null: Nulls

    def without(self, wording: str) -> Recovered:
        """The same of all other wordings of the report; itself where that one was not asked here."""
        names = self.units[REPORT]
        if wording not in names:
            return self
        kept = np.array([name != wording for name in names])

        def cut(levels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {**levels, REPORT: levels[REPORT][..., kept]}

        return replace(
            self,
            units={**self.units, REPORT: tuple(name for name in names if name != wording)},
            base=cut(self.base),
            ways={
                arm: {method: replace(one, levels=cut(one.levels)) for method, one in ways.items()}
                for arm, ways in self.ways.items()
            },
            null={
                kind: {arm: cut(levels) for arm, levels in draws.items()} for kind, draws in self.null.items()
            },
        )


@dataclass(frozen=True, eq=False)
class RivalShift:
    """What a rival and the handle move beside each other.

    Attributes:
        behavior: its name, for results.
        place: where vectors were added.
        method: which rival.
        seeds: of its vectors.
        units: names of the report's wordings.
        own: {read-out: half of what its two poles' vectors move apart, either way, (seed, unit)}.
        handle: {read-out: the same of the handle, signed}.
        notes: how it was dosed.
    """

    behavior: str
    place: Place
    method: str
    seeds: tuple[int, ...]
    units: tuple[str, ...]
    own: Mapping[str, Float[np.ndarray, "_ _"]]
    handle: Mapping[str, Float[np.ndarray, "_ _"]]
    notes: str


def keep_recovered(path: Path, found: Recovered) -> None:
    """Write levels of recovery, as a .npz with its facts beside the arrays."""
    arrays = {f"base/{name}": values for name, values in found.base.items()}
    told = {}
    for arm, ways in found.ways.items():
        for method, one in ways.items():
            told[f"{arm}/{method}"] = {"method": one.method, "notes": one.notes, "dose": one.dose}
            arrays |= {f"ways/{arm}/{method}/{name}": values for name, values in one.levels.items()}
    for kind, draws in found.null.items():
        for arm, levels in draws.items():
            arrays |= {f"null/{kind}/{arm}/{name}": values for name, values in levels.items()}
    _write(path, {**_facts(found), "units": dict(found.units), "ways": told}, arrays)


def load_recovered(path: Path) -> Recovered:
    """What `keep_recovered` wrote. Raises `BrokenFileError` for anything else."""
    facts, arrays = _read(path)
    ways: dict[str, dict[str, Steered]] = {}
    for key, told in facts["ways"].items():
        arm, method = key.split("/")
        levels = _under(arrays, f"ways/{key}/")
        one = Steered(told["method"], levels, told["notes"], told["dose"])
        ways.setdefault(arm, {})[method] = one
    null: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for key in _under(arrays, "null/"):
        kind, arm, _ = key.split("/")
        null.setdefault(kind, {})[arm] = _under(arrays, f"null/{kind}/{arm}/")
    units = {name: tuple(names) for name, names in facts["units"].items()}
    base = _under(arrays, "base/")
    return Recovered(facts["behavior"], tuple(facts["seeds"]), _place(facts), units, base, ways, null)


def keep_rivals(path: Path, found: Iterable[RivalShift]) -> None:
    """Write what rivals move, as a .npz with its facts beside the arrays."""
    arrays: dict[str, np.ndarray] = {}
    facts: dict[str, Any] = {}
    for one in found:
        facts[one.method] = {**_facts(one), "units": list(one.units), "notes": one.notes}
        for part in ("own", "handle"):
            arrays |= {f"{one.method}/{part}/{name}": v for name, v in getattr(one, part).items()}
    _write(path, facts, arrays)


def load_rivals(path: Path) -> list[RivalShift]:
    """What `keep_rivals` wrote. Raises `BrokenFileError` for anything else."""
    facts, arrays = _read(path)
    return [
        RivalShift(
            told["behavior"],
            _place(told),
            method,
            tuple(told["seeds"]),
            tuple(told["units"]),
            _under(arrays, f"{method}/own/"),
            _under(arrays, f"{method}/handle/"),
            told["notes"],
        )
        for method, told in facts.items()
    ]


def _facts(found: Recovered | RivalShift) -> dict[str, Any]:
    where = {"site": found.place.site, "scope": found.place.scope}
    return {"behavior": found.behavior, "seeds": list(found.seeds), **where}


def _place(facts: Mapping[str, Any]) -> Place:
    return Place(facts["site"], facts["scope"])


def _under(arrays: Mapping[str, np.ndarray], stem: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(stem): values for key, values in arrays.items() if key.startswith(stem)}


def _write(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    data = io.BytesIO()
    held: dict[str, Any] = {"facts": np.array(json.dumps(facts)), **arrays}
    np.savez_compressed(data, **held)
    write_atomic(path, data.getvalue())


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with path.open("rb") as file, np.load(file) as found:
            arrays = {key: found[key] for key in found.files}
        facts = json.loads(str(arrays.pop("facts")))
    except (*BROKEN, KeyError) as error:
        raise BrokenFileError(f"{path}: no levels that a step kept ({error}); {AGAIN}") from None
    return facts, arrays
