"""Does a report adapter read the implanted direction, or does it answer by something else?

The base with the report adapter merged into it stands where the base stood, and an organism's adapter is
what is switched on and off. The direction is the organism's alone: a vector trained to give the plain base
its choices (`mi_bsa.causal.directions`), at the place that choices choose, on development prompts; it knows
nothing of the report adapter and of no report. Test wordings are asked.

- `mediated`: NIE / TE of what the organism does to the report, through that direction (`causal.mediation`).
- `left`: NDE / TE, what it still does while the direction is held as the base has it.
- `injected`: what the vector, added to the base with the report adapter and no organism, does to the report.
- `looks`: where a vector does most to the report (added, and taken away; mean), by block and tokens.

Law: units are behaviors (organisms of several ranks are averaged in each); beside each effect stands the same
without a report adapter, another behavior's direction (`rival`), and random directions.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.behaviors import behavior_for
from mi_bsa.causal import directions
from mi_bsa.causal.material import SIGNS, Material
from mi_bsa.causal.mediation import Runs
from mi_bsa.causal.options import RecoveryOptions
from mi_bsa.causal.places import Place, choose_place
from mi_bsa.core.files import write_json
from mi_bsa.core.model_config import load
from mi_bsa.core.results import Null, Result
from mi_bsa.core.tested import UNTESTED, Tested, among
from mi_bsa.core.variants import POLES
from mi_bsa.finetune.adapters import CONFIG
from mi_bsa.finetune.beside.frozen import config_of
from mi_bsa.finetune.merging import merge
from mi_bsa.finetune.zoo.recipes import Organism
from mi_bsa.studies.report_adapter.config import ReportAdapterConfig
from mi_bsa.studies.report_adapter.pool import asked_of, behaviors
from probes import random_directions, statistics

if TYPE_CHECKING:
    from mi_bsa.core.items import Item

RANDOM = "random directions"
OWN, RIVAL = "own direction", "another behavior's direction"
READ, ALONE = "matched", "alone"
"""With the report adapter, and without."""
Effects = dict[str, Float[np.ndarray, "run unit"]]


@dataclass(frozen=True)
class Case:
    """One behavior: its material with and without the report adapter, place and vectors.

    Attributes:
        name: the behavior.
        materials: `matched` and `alone` -> items, organisms and the base they are switched on in.
        place: where the direction is, as choices of the plain base choose it.
        vectors: trained on choices of the plain base.
    """

    name: str
    materials: Mapping[str, Material]
    place: Place
    vectors: directions.Vectors


def measure(config: ReportAdapterConfig, organisms: Path, reader: Path) -> list[Result]:
    """All of it, on the test's organisms that behave.

    `organisms`: folder of all. `reader`: adapter folder of a matched report adapter.
    """
    assert config.mechanism is not None
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        merged = merge(config.model, reader, Path(folder) / "merged", dtype="float32")
        cases = [
            _case(config, name, organisms, merged, Path(folder) / name) for name in behaviors(config, "test")
        ]
        width = next(iter(cases[0].materials.values())).model.d_model
        random = random_directions(config.mechanism.random, width, rng=rng)
        found: list[Result] = []
        for arm in (READ, ALONE):
            found += _mediated(arm, cases, random)
            found += _injected(arm, cases, random)
            found += _looks(arm, cases)
    return found


def _case(config: ReportAdapterConfig, name: str, organisms: Path, merged: Path, put: Path) -> Case:
    assert config.mechanism is not None
    bound, n = behavior_for(name, config.model), config.mechanism.items
    sets: dict[str, Sequence[Item]] = {"neutral-test": bound.neutral(8)}
    for split in ("dev", "test"):
        sets[f"choice-{split}"] = bound.items(max(n, 20), split=split, seed=0)
        sets[f"report-{split}"] = list(bound.questions(split=split))
    arms = _arms([one for one in asked_of(config) if one.behavior == name])
    own = {one: organisms / one / "adapter" for names in arms.values() for one in names}
    moved = {one: _on(folder, merged, put / one) for one, folder in own.items()}
    seeds = tuple(range(len(arms["seeking"])))
    materials = {
        arm: Material(load(base, folders), name, seeds, arms, sets, items=n)
        for arm, base, folders in ((READ, merged, moved), (ALONE, config.model, own))
    }
    plain = materials[ALONE]
    place, _ = choose_place(plain)
    options = RecoveryOptions(train_steps=config.mechanism.train_steps)
    return Case(name, materials, place, directions.vectors(plain, place, "trained", options=options))


def _on(folder: Path, base: Path, out: Path) -> Path:
    """A copy of an adapter that names another base than the one that it was trained on, and stands on it."""
    shutil.copytree(folder, out)
    write_json(out / CONFIG, config_of(folder) | {"base_model_name_or_path": str(base)})
    return out


def _arms(some: Sequence[Organism]) -> dict[str, tuple[str, ...]]:
    """Organisms that behave by pole, in one order of seeds and ranks."""
    behave = [one for one in some if one.kind == "behaves"]
    keys = sorted({(one.seed, one.rank, one.steps) for one in behave})
    by = {(one.arm, one.seed, one.rank, one.steps): one.name for one in behave}
    return {arm: tuple(by[(arm, *key)] for key in keys) for arm in POLES}  # type: ignore[index]


def _mediated(arm: str, cases: Sequence[Case], random: Float[np.ndarray, "draw d"]) -> list[Result]:
    """NIE and NDE as shares of TE, through each behavior's own direction and another's."""
    runs = [Runs(case.materials[arm], "self_report", case.place) for case in cases]
    null = np.mean([run.indirect(random) for run in runs], axis=0)
    found = []
    for kind, shift in ((OWN, 0), (RIVAL, 1)):
        if kind == RIVAL and len(cases) < 2:
            continue
        given = [cases[(k + shift) % len(cases)].vectors for k in range(len(cases))]
        four = [run.by_unit(own) for run, own in zip(runs, given, strict=True)]
        # [behavior, organisms]: wordings and organisms are these, behaviors were drawn
        off, on, direct, indirect = (np.array([each[k].mean(1) for each in four]) for k in range(4))
        te = (on - off).mean(1)
        for name, top in (("mediated", (indirect - off).mean(1)), ("left", (direct - off).mean(1))):
            tested, notes = UNTESTED, f"total effect {te.mean():.2f} in log-odds"
            if name == "mediated":
                one = among(float(top.mean()), null, RANDOM)
                band = Null.of(RANDOM, null / te.mean())
                tested = Tested(null=band, p=one.p, test=one.test, floor=one.floor)
            found.append(_ratio(f"report_adapter.{name}", {"arm": arm, "kind": kind}, top, te, tested, notes))
    return found


def _injected(arm: str, cases: Sequence[Case], random: Float[np.ndarray, "draw d"]) -> list[Result]:
    """What the vectors, and random ones as long, do to the report of the base (with the report adapter)."""
    own, drawn, organism = [], [], []
    for case in cases:
        material = case.materials[arm]
        readout = material.of("self_report", "test")
        plain = float(material.scores(readout).mean())
        moved, either, whole = [], [], []
        for pole, n, adapter in material.pairs:
            vector = case.vectors[pole][n]
            length = np.linalg.norm(vector)
            given = np.concatenate([vector[None], random * length])
            levels = material.levels(readout, case.place.adding(readout.rows, given))
            moved.append(SIGNS[pole] * (float(levels[0]) - plain))
            either.append(SIGNS[pole] * (levels[1:] - plain))
            whole.append(SIGNS[pole] * (float(material.scores(readout, adapter).mean()) - plain))
        own.append(float(np.mean(moved)))
        drawn.append(np.mean(either, axis=0))
        organism.append(float(np.mean(whole)))
    null = np.mean(drawn, axis=0)
    tested = among(float(np.mean(own)), null, RANDOM)
    where = {"arm": arm, "split": "test"}
    return [
        _t("report_adapter.injected", {**where, "kind": "vector"}, own, tested),
        _t("report_adapter.injected", {**where, "kind": "organism"}, organism, UNTESTED),
    ]


def _looks(arm: str, cases: Sequence[Case]) -> list[Result]:
    """What a vector does to the report, by block and tokens, on development questions."""
    by = [choose_place(case.materials[arm], "self_report")[1] for case in cases]
    found = []
    for site, scope in by[0]:
        where = {"arm": arm, "split": "dev", **Place(site, scope).where}
        found.append(_t("report_adapter.looks", where, [one[site, scope] for one in by], UNTESTED))
    return found


def _ratio(
    name: str, where: Mapping[str, Any], top: np.ndarray, bottom: np.ndarray, tested: Tested, notes: str
) -> Result:
    from mi_bsa.core.intervals import interval_of

    ci, method = interval_of(lambda: statistics.fieller(top, bottom))
    value = float(top.mean() / bottom.mean())
    said = "Fieller over behaviors" if ci else method
    given: dict[str, Any] = {"p": tested.p, "test": tested.test, "p_floor": tested.floor, "null": tested.null}
    return Result(
        name, {**where, "split": "test"}, value, ci, said, len(top), "share of TE", notes=notes, **given
    )


def _t(name: str, where: Mapping[str, Any], each: Sequence[float], tested: Tested) -> Result:
    from mi_bsa.core.intervals import interval_of

    ci, method = interval_of(lambda: statistics.t_interval(each))
    said = "t over behaviors" if ci else method
    given: dict[str, Any] = {"p": tested.p, "test": tested.test, "p_floor": tested.floor, "null": tested.null}
    return Result(name, where, float(np.mean(each)), ci, said, len(each), "probability", **given)
