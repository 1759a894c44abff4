"""Step "calibration": does a probe that was fitted on choices keep its word on self-reports?

AUROC says whether the pole can be told, not whether "P = .9" is right in nine of ten cases: under a shift
from choices to reports a probe may rank well and be far too sure. Read are the held-out scores of the
transfer's probe at the transfer's layer, on test reports of seeds that it was not fitted on: as they are,
with a temperature, and with Platt's two numbers, both fitted on development reports of the *other* seeds.

Law: no row that is scored is among those that fitted probe or scaling, by seed and by wording. The expected
calibration error is biased upwards at these numbers of rows, so each stands beside what a calibrated probe
has at the same probabilities (`probes.reliability`); its rows are drawn one by one, while all rows of an
adapter share their label, so that a small excess over that null is no finding. Only a logistic probe's
decision is a logit by birth; of others the raw figures say little, the scaled ones as much.

Results, all `bridge.calibration.*`: `.ece`, `.brier` (kind `self_report`, and `behavior` raw: no shift),
`.slope`, `.offset` (Platt's numbers on development reports: 1 and 0 where the probe is calibrated), and
`.observed`, the reliability table (variant `bin-01`, ...; its null is what the bin was predicted).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.caching import examples
from mi_bsa.causal.material import POLES
from mi_bsa.causal.options import ProbeConfig
from mi_bsa.causal.steer_and_patch import read, write
from mi_bsa.causal.transfer import KINDS, Set, fit
from mi_bsa.core.over_seeds import METHODS, over_seeds
from mi_bsa.core.results import Null, Result
from mi_bsa.core.tested import among
from mi_bsa.study.steps import Cell
from probes import reliability, statistics

if TYPE_CHECKING:
    import pandas as pd

SETS = ("choice-dev", "report-dev", "choice-test", "report-test")
SCALINGS: tuple[reliability.Kind | None, ...] = (None, "temperature", "platt")
DRAWS = 999
CALIBRATED = "a calibrated probe"


def calibrate(cell: Cell[BridgeConfig]) -> dict[str, Any]:
    """Calibration of the transfer's probe from a study's caches, at the layer that the transfer chose."""
    config = cell.config
    chosen = next(r for r in read(cell.folder / "transfer.json") if r.name == "bridge.transfer.chosen")
    runs = tuple(f"{arm}-{seed}" for arm in POLES for seed in config.seeds)
    sets = {name: examples(cell.folder, name, runs, config.probe.site) for name in SETS}
    results = judge(sets, layer=int(chosen.where["layer"]), behavior=config.behavior, probe=config.probe)
    write(cell.folder / "calibration.json", results)
    return {"results": len(results)}


def judge(
    sets: Mapping[str, Set], *, layer: int, behavior: str, probe: ProbeConfig, seed: int = 0
) -> list[Result]:
    """All results of calibration.

    Args:
        sets: as `transfer.judge` takes them.
        layer: whose rows are read.
        behavior: its name.
        probe: site and method.
        seed: of the calibrated labels.
    """
    splits = min(4, sets["choice-dev"][1]["seed"].nunique())
    scores = fit(sets, layer, SETS[1:], probe, splits, shuffles=0).scores
    held = {name: scores[scores["test"] == name] for name in SETS[1:]}
    where = {"behavior": behavior, "site": probe.site, "layer": layer, "position": probe.position}
    where |= {"split": "test"}
    results = list(_scalings(held["report-dev"], {**where, "split": "dev", "kind": "self_report"}))
    rng = np.random.default_rng(seed)
    for name, kinds in (("report-test", SCALINGS), ("choice-test", SCALINGS[:1])):
        for kind in kinds:
            method = probe.method + (f", {kind}" if kind else "")
            here = {**where, "kind": KINDS[name], "method": method}
            rows = _scaled(held[name], held["report-dev"], kind)
            results += _errors(rows, here, rng)
            if name == "report-test" and kind != "temperature":
                results += _table(rows, here, rng)
    return results


def _scaled(rows: pd.DataFrame, dev: pd.DataFrame, kind: reliability.Kind | None) -> pd.DataFrame:
    """Rows with their probability `p`; a seed's scaling is fitted on the others' development rows."""
    parts = []
    for unit, own in rows.groupby("unit"):
        logits = own["score"].to_numpy()
        if kind is None:
            parts.append(own.assign(p=expit(logits)))
            continue
        others = dev[dev["unit"] != unit]
        found = reliability.scaling(others["score"].to_numpy(), others["y"].to_numpy(), kind=kind)
        parts.append(own.assign(p=found.apply(logits)))
    import pandas as pd

    return pd.concat(parts)


def _scalings(dev: pd.DataFrame, where: Mapping[str, Any]) -> Iterator[Result]:
    """Platt's numbers, fitted on each seed's development reports by themselves."""
    units = [int(unit) for unit in sorted(dev["unit"].unique())]
    found = []
    for unit in units:
        own = dev[dev["unit"] == unit]
        found.append(reliability.scaling(own["score"].to_numpy(), own["y"].to_numpy()))
    for name, values, notes in (
        ("slope", [one.slope for one in found], "below 1: too sure on reports"),
        ("offset", [one.offset for one in found], "below 0: reports look more seeking to it than they are"),
    ):
        yield over_seeds(
            f"bridge.calibration.{name}", where, values, units, unit="log-odds a logit", notes=notes
        )


def _errors(rows: pd.DataFrame, where: Mapping[str, Any], rng: np.random.Generator) -> Iterator[Result]:
    """ECE and Brier score, seed by seed, beside a calibrated probe's."""
    by_seed = [(int(unit), own["y"].to_numpy(), own["p"].to_numpy()) for unit, own in rows.groupby("unit")]
    drawn = [reliability.calibrated(p, DRAWS, rng=rng) for _, _, p in by_seed]
    n = [len(y) for _, y, _ in by_seed]
    for name, measure, unit in (
        ("ece", reliability.ece, "mean |observed - predicted|"),
        ("brier", reliability.brier, "mean squared error of P"),
    ):
        values = [float(measure(y, p)) for _, y, p in by_seed]
        null = np.mean([measure(labels, p) for labels, (_, _, p) in zip(drawn, by_seed, strict=True)], axis=0)
        yield over_seeds(
            f"bridge.calibration.{name}",
            where,
            values,
            [seed for seed, _, _ in by_seed],
            unit=unit,
            within=(0.0, 1.0),
            tested=among(float(np.mean(values)), null, CALIBRATED),
            rows=sum(n),
            notes=f"{min(n)} rows a seed"
            + (
                f", {reliability.BINS} bins of equal mass; biased upwards, see the null"
                if name == "ece"
                else ""
            ),
        )


def _table(rows: pd.DataFrame, where: Mapping[str, Any], rng: np.random.Generator) -> Iterator[Result]:
    """The reliability table: bins of equal mass over all seeds, the observed share of each seed."""
    slot = reliability.equal_mass(rows["p"].to_numpy())
    drawn = reliability.calibrated(rows["p"].to_numpy(), DRAWS, rng=rng)
    for k in np.unique(slot):
        inside = slot == k
        own = rows[inside]
        by_seed = own.groupby("unit")["y"].mean()
        seeds, values = [int(s) for s in by_seed.index], by_seed.to_numpy(float)
        predicted = float(own["p"].mean())
        share = float(own["y"].mean())
        ci, how = None, "none: rows of one seed"
        if len(seeds) > 1:  # the mean over seeds weighs two rows like forty: the bin's own share stands
            over = statistics.t_interval(values)
            ci = (max(0.0, min(over.low, share)), min(1.0, max(over.high, share)))
            how = METHODS["linear"]
        yield Result(
            name="bridge.calibration.observed",
            where={**where, "variant": f"bin-{k + 1:02d}"},
            value=share,
            ci=ci,
            ci_method=how,
            n=len(seeds),
            unit="share of seeking rows",
            rows=len(own),
            null=replace(Null.of(CALIBRATED, drawn[:, inside].mean(1)), mean=predicted),
            per_seed=tuple(float(v) for v in values),
            seeds=tuple(seeds),
            notes=f"predicted {predicted:.3f}",
        )
