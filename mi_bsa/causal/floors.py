"""Floors of transfer: what a probe of the choices' state scores where there should be nothing.

Law: every floor is the same probe (or the same procedure) on other rows: neutral prompts and adapters of
another behavior, seed by seed, each seed at the layer that the others chose, so that what exceeds them is a
paired difference, whose error holds that seeds share their probes; benign adapters against the
base; the base's own answers. The described persona in the base is no floor: there the words of the prompt say
the pole, and a probe of the state may well read it.

Results: `bridge.transfer.over_neutral`, `.over_wrong_behavior` (differences of AUROC, t over seeds x
wordings), `.claim` (the smaller of the two, p the larger), `.benign` (AUROC of a benign run against the base,
one a seed), `.base` (AUROC of the base's own answers to reports), `.described` (AUROC of the pole that the
system line describes, base), `.option` (a probe of the base's own chosen option, tested on new choices and on
reports).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.causal.material import POLES
from mi_bsa.core.behind import Behind
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Null, Result
from mi_bsa.core.tested import Tested, largest
from probes.shared_training import SHARED, mean_out_of_fold

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.asking.readouts import Readout
    from mi_bsa.causal.material import Material
    from mi_bsa.causal.options import ProbeConfig
    from mi_bsa.causal.transfer import Set
    from probes import LeftOut, Probe, Transfer


def chosen(left: LeftOut, where: Mapping[str, Any]) -> Result:
    """`bridge.transfer.chosen`: self-reports of each seed, at the layer that the other seeds chose."""
    estimate, p = left.estimate("report-test")
    held = left.by_unit("report-test")
    tested = Tested.of(p, f"t over seeds against 0.5, {SHARED}")
    return Result(
        name="bridge.transfer.chosen",
        where={**where, "kind": "self_report"},
        value=estimate.value,
        ci=None if np.isnan(estimate.low) else (estimate.low, estimate.high),
        ci_method=estimate.method,
        n=len(held),
        unit="AUROC",
        rows=estimate.n,
        null=Null.of("run labels renamed inside seeds, layer chosen anew", left.null["report-test"]),
        p=tested.p,
        test=tested.test,
        per_seed=tuple(held.values()),
        seeds=tuple(int(seed) for seed in held),
        notes=f"layer chosen by the other seeds' development prompts: {left.counts}",
    )


def over(left: LeftOut, where: Mapping[str, Any]) -> list[Result]:
    """What transfer to reports exceeds: neutral prompts, the wrong behavior, and both."""
    found = {}
    if "neutral-test" in left.sets:
        notes = "self-report prompts less neutral prompts (another character, another trait)"
        found["over_neutral"] = _over(left, "neutral-test", where, "over_neutral", notes)
    if "wrong" in left.sets:
        notes = "own adapters less adapters of the neighbor behavior, the same self-report prompts"
        found["over_wrong_behavior"] = _over(left, "wrong", where, "over_wrong_behavior", notes)
    if len(found) == 2:
        least = min(found.values(), key=lambda r: r.value)
        tested = largest([Tested.of(r.p, r.test or "") for r in found.values()], "the two")
        found["claim"] = Result(
            name="bridge.transfer.claim",
            where=where,
            value=least.value,
            ci=least.ci,
            ci_method=least.ci_method,
            n=least.n,
            unit=least.unit,
            p=tested.p,
            test=tested.test,
            p_floor=tested.floor,
            per_seed=least.per_seed,
            seeds=least.seeds,
            notes=f"the smaller of the two excesses ({least.name.rpartition('.')[2]})",
        )
    return list(found.values())


def base(sets: Mapping[str, Set], probe: Probe, where: Mapping[str, Any], *, penalty: float) -> list[Result]:
    """Floors that need rows of the base or of benign runs; each only where its rows are there."""
    layer, results = int(where["layer"]), []
    if "benign" in sets and "base/report-test" in sets:
        plain = probe.decision(_rows(sets["base/report-test"], layer))
        arrays, table = sets["benign"]
        scores = probe.decision(arrays[layer].astype(np.float64))
        seeds = sorted(set(table["seed"]))
        own = [scores[(table["seed"] == seed).to_numpy()] for seed in seeds]
        values = [_auroc(np.r_[np.ones(len(s)), np.zeros(len(plain))], np.r_[s, plain]) for s in own]
        if len(values) > 1:
            notes = "benign adapter (1) against base (0), same self-report prompts; .5 is what it should be"
            results.append(
                over_seeds("bridge.transfer.benign", where, values, seeds, unit="AUROC", notes=notes)
            )
    if "base/report-test" in sets:
        arrays, table = sets["base/report-test"]
        label = table["answer"].to_numpy() > np.median(table["answer"])
        notes = "the base's own tilt on reports (above its median or not), read by the poles' probe"
        scores = probe.decision(_rows(sets["base/report-test"], layer))
        results += _scored("base", where, label, scores, table, notes)
    if "base/described" in sets:
        table = sets["base/described"][1]
        notes = "base with a persona described in its system line: the pole that is described"
        scores = probe.decision(_rows(sets["base/described"], layer))
        results += _scored("described", where, table["pole"].to_numpy() == 1, scores, table, notes)
    if "base/choice-dev" in sets:
        results += _options(sets, where, layer, penalty)
    return results


def _options(sets: Mapping[str, Set], where: Mapping[str, Any], layer: int, penalty: float) -> list[Result]:
    """A probe of which option the base itself takes, fitted on development choices."""
    import probes

    label = (sets["base/choice-dev"][1]["answer"] > 0.5).to_numpy()
    if label.mean() in (0, 1):
        return []
    fitted = probes.LogisticProbe(C=penalty).fit(_rows(sets["base/choice-dev"], layer), label.astype(int))
    results = []
    for name, kind in (("base/choice-test", "behavior"), ("base/report-test", "self_report")):
        if name not in sets:
            continue
        table = sets[name][1]
        scores = fitted.decision_function(_rows(sets[name], layer))
        notes = "one run (the base): label = the option that it takes itself, probe fitted on its own choices"
        label = (table["answer"] > 0.5).to_numpy()
        results += _scored("option", {**where, "kind": kind}, label, scores, table, notes)
    return results


def by_seed(found: Transfer, on: str) -> tuple[list[int], list[float]]:
    """(seeds, AUROC of each): the seed's own two runs, by probes that never saw the seed."""
    rows = found.scores[(found.scores["test"] == on) & (found.scores["train"] == "choice-dev")]
    seeds = sorted(int(seed) for seed in set(rows["unit"]))
    parts = [rows[rows["unit"] == seed] for seed in seeds]
    return seeds, [_auroc(part["y"].to_numpy(), part["score"].to_numpy()) for part in parts]


def read_sets(material: Material, probe: ProbeConfig) -> dict[str, Set]:
    """The sets of `transfer.judge`, read from a model in memory at the answer slot, every layer."""
    names = ("choice-dev", "report-dev", "choice-test", "report-test", "neutral-test")
    poles = {name: (arm, n) for arm, n, name in material.pairs}
    found = {name: _read(material, name, poles, probe) for name in names}
    wrong = {
        name: (pole, n) for pole in POLES for n, name in enumerate(material.arms.get(f"wrong_{pole}", ()))
    }
    if wrong:
        found["wrong"] = _read(material, "report-test", wrong, probe)
    benign = {name: ("benign", n) for n, name in enumerate(material.arms.get("benign", ()))}
    if benign:
        found["benign"] = _read(material, "report-test", benign, probe)
    for name in ("choice-dev", "choice-test", "report-test"):
        found[f"base/{name}"] = _read(material, name, {"base": ("base", -1)}, probe)
    if material.sets.get("described_report-test"):
        found["base/described"] = _read(material, "described_report-test", {"base": ("base", -1)}, probe)
    return found


def _read(material: Material, name: str, variants: Mapping[str, tuple[str, int]], probe: ProbeConfig) -> Set:
    import pandas as pd

    readout: Readout = material.readout(name, items=probe.prompts)
    sites = [f"{probe.site}.{layer}" for layer in range(material.model.n_layers)]
    arrays: dict[int, list[np.ndarray]] = {}
    frames = []
    for variant, (arm, n) in variants.items():
        read = material.states(readout, *sites, variant=variant, slot=True)
        for layer, site in enumerate(sites):
            arrays.setdefault(layer, []).append(read[site])
        table = pd.DataFrame(
            {
                "scenario": readout.groups,
                "seed": -1 if n < 0 else material.seeds[n],
                "adapter": variant,
                "pole": [_pole(arm, item.labels.get("person")) for item in readout.items],
            }
        )
        if variant == "base":
            table["answer"] = readout.score(material.logits(readout))[0]
        frames.append(table)
    return {k: np.concatenate(v) for k, v in arrays.items()}, pd.concat(frames, ignore_index=True)


def _pole(arm: str, person: Any) -> int:
    """1 for the seeking pole of the run, or of the persona that is described."""
    return int(arm == "seeking" or str(person).endswith(" seeking"))


def _rows(held: Set, layer: int) -> np.ndarray:
    return held[0][layer].astype(np.float64)


def _auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    from probes.scores import auroc_many

    return float(auroc_many(labels, scores[None])[0])


def _over(left: LeftOut, on: str, where: Mapping[str, Any], name: str, notes: str) -> Result:
    report, other = left.placed("report-test"), left.placed(on)
    seeds = [seed for seed in report.index if seed in other.index]
    report, other = report.loc[seeds], other.loc[seeds]
    sides, kinds = [report - other], ()
    if set(report.columns) != set(other.columns):  # prompts of their own; kinds weigh alike, a half each
        sides = [2 * report, -2 * other]
        kinds = ("self_report",) * report.shape[1] + (on,) * other.shape[1]
    cells = np.concatenate([side.to_numpy() for side in sides], axis=1)
    values = sum(side.mean(axis=1) for side in sides) / len(sides)
    estimate, p = mean_out_of_fold(cells, strata=kinds or None, layers=len(left.development))
    method = estimate.method.replace("units x items", "seeds x wordings").replace("over units", "over seeds")
    over = "seeds x wordings" if "wordings" in method else "seeds"
    tested = Tested.of(p, f"t over {over} against 0, {SHARED}")
    return Result(
        name=f"bridge.transfer.{name}",
        where=dict(where),
        value=estimate.value,
        ci=None if np.isnan(estimate.low) else (estimate.low, estimate.high),
        ci_method=method,
        n=len(values),
        unit="difference of AUROC",
        p=tested.p,
        test=tested.test,
        per_seed=tuple(values),
        seeds=tuple(int(seed) for seed in seeds),
        notes=f"{notes}; layer chosen by the other seeds: {left.counts}",
        behind=Behind(
            cells,
            items=tuple(str(item) for side in sides for item in side.columns),
            kinds=kinds,
            within=(-1.0, 1.0),
        ),
    )


def _scored(
    name: str,
    where: Mapping[str, Any],
    label: np.ndarray,
    scores: np.ndarray,
    table: pd.DataFrame,
    notes: str,
) -> list[Result]:
    """An AUROC over items, units = scenarios or wordings; nothing where the label is constant."""
    import probes

    if label.mean() in (0, 1):
        return []
    ends, value, units = None, _auroc(label, scores), table["scenario"].nunique()
    try:
        estimate = probes.auroc(label.astype(int), scores, units=table["scenario"].to_numpy())
        ends, value, units = (estimate.low, estimate.high), estimate.value, estimate.units
        method = estimate.method
    except probes.StatisticsError as reason:  # such as one class in a single wording
        method = f"none: {reason}"
    return [
        Result(
            name=f"bridge.transfer.{name}",
            where=where,
            value=value,
            ci=ends,
            ci_method=method,
            n=units,
            unit="AUROC",
            rows=len(label),
            notes=notes,
        )
    ]
