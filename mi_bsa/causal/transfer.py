"""Step "transfer": does a probe of the state behind choices read the self-report's state?

Law: the label is the pole of the run, an example is prompt x adapter, a test fold shares neither scenario nor
adapter seed with what its probe was fitted on, and the layer at which a seed is tested is chosen by the other
seeds' development prompts alone (`probes.leave_one_out`; docs/decisions/0025). A probe that only knows that
some adapter is on scores on neutral prompts too, and one that reads any finetuned preference scores on
adapters of another behavior: a claim is what exceeds both (`bridge.transfer.claim`), with the same probe, so
the same layer, on both sides of each seed's difference.

Results, where site, layer, position and method say what was read: `bridge.transfer.auroc` (every layer; kind
= `self_report`, `behavior`, `neutral`, `wrong_behavior`; method = the probe's, or `mean_difference`),
`.chosen` (each seed at the layer that the others chose; `layer` is the most frequent of them, the notes have
the counts), `.max_layer` (best layer, p over all layers by the maximum statistic), `.over_neutral`,
`.over_wrong_behavior`, `.claim`, and the floors of `bridge.floors`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.causal import floors
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.caching import base_examples, examples
from mi_bsa.causal.material import POLES
from mi_bsa.causal.options import ProbeConfig
from mi_bsa.causal.steer_and_patch import write
from mi_bsa.core.results import Null, Result
from mi_bsa.core.variants import Variant
from mi_bsa.study.steps import Cell

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.causal.material import Material
    from probes import Direction, Transfer

RUN_SETS = ("choice-dev", "report-dev", "choice-test", "report-test", "neutral-test")
GROUPS = ["scenario", "seed"]
KINDS = {
    "report-test": "self_report",
    "choice-test": "behavior",
    "neutral-test": "neutral",
    "wrong": "wrong_behavior",
}
Set = tuple[dict[int, np.ndarray], "pd.DataFrame"]
"""Arrays by layer, (prompt x adapter, d_model), and their row table: columns `pole` (the pole of the run:
seeking 1, averse 0), `seed`, `adapter`, `scenario`; for the base also `answer` (its own score of the item).
"""


def transfer_results(material: Material, probe: ProbeConfig | None = None) -> list[Result]:
    """Transfer of a model in memory: reads the answer slot at every layer, then as `judge`."""
    probe = probe or ProbeConfig()
    return judge(
        floors.read_sets(material, probe), behavior=material.behavior, seeds=material.seeds, probe=probe
    )[0]


def fit_and_test(cell: Cell[BridgeConfig]) -> dict[str, Any]:
    """Transfer from a study's caches; saves the probe, and a mean difference for every layer.

    Reads every cached variant of `report-test` for the floors: `wrong_seeking-0`, `benign-0`, `base`.
    """
    config = cell.config
    site = config.probe.site
    runs = tuple(f"{arm}-{seed}" for arm in POLES for seed in config.seeds)
    sets: dict[str, Set] = {name: examples(cell.folder, name, runs, site) for name in RUN_SETS}
    others = sorted(path.stem for path in (cell.folder / "caches" / "report-test").glob("*.h5"))
    who = {other: Variant.parse(other) for other in others}
    for name in ("wrong", "benign"):
        own = tuple(other for other, one in who.items() if name in (one.apart, one.arm))
        if own:
            sets[name] = examples(cell.folder, "report-test", own, site)
    for name in ("choice-dev", "choice-test", "report-test", "described_report-test"):
        if (cell.folder / "caches" / name / "base.h5").is_file():
            held = base_examples(cell.folder, name, site)
            short = name.partition("_")[0]
            if short == "described" or "answer" in held[1]:
                sets[f"base/{short}"] = held
    results, facts = judge(sets, behavior=config.behavior, seeds=config.seeds, probe=config.probe)
    directions = cell.folder / "directions"
    directions.mkdir(exist_ok=True)
    lengths = {}
    for layer in sets["choice-dev"][0]:
        direction = behavior_direction(sets["choice-dev"], layer, site)
        direction.save(directions / f"{site}.{layer}")
        lengths[layer] = direction.length
    facts["final"].probes["choice-dev"].save(directions / "probe")
    write(cell.folder / "transfer.json", results)
    return {
        "layer": facts["layer"],
        "layers": {str(k): v for k, v in facts["layers"].items()},
        "dev_auroc": {str(k): v for k, v in facts["dev_auroc"].items()},
        "lengths": lengths,
    }


def judge(
    sets: Mapping[str, Set], *, behavior: str, seeds: Sequence[int], probe: ProbeConfig
) -> tuple[list[Result], dict[str, Any]]:
    """All results of transfer, and {layer, layers, dev_auroc, final}: the layer that most seeds were tested
    at, that of each seed, each layer's development AUROC, and the `Transfer` at the first.

    Args:
        sets: `choice-dev`, `report-dev`, `choice-test`, `report-test` and `neutral-test` of both poles' runs;
            `wrong` (report prompts, the wrong behavior's runs), `benign` (report prompts, benign runs), and
            of the base `base/choice-dev`, `base/choice-test`, `base/report-test`, `base/described` where
            they are there.
        behavior: its name.
        seeds: adapter seeds of the poles.
        probe: site, method and shuffles.
    """
    import probes

    layers = sorted(sets["choice-dev"][0])
    splits = min(4, len(seeds))
    where = {"behavior": behavior, "site": probe.site, "position": probe.position, "split": "test"}
    results: list[Result] = []
    tested: dict[int, Transfer] = {}
    tests = [name for name in ("report-test", "choice-test", "neutral-test") if name in sets]
    for layer in layers:
        tested[layer] = fit(sets, layer, tests, probe, splits, shuffles=probe.test_shuffles)
        mean = fit(sets, layer, tests, probe, splits, shuffles=20, method="mean_difference")
        for found, method in ((tested[layer], probe.method), (mean, "mean_difference")):
            here = {**where, "layer": layer, "method": method}
            results += [
                _result(found, on, here, "auroc") for on in (tests if method == probe.method else tests[:1])
            ]
        if "wrong" in sets:
            aside = fit(sets, layer, ["wrong"], probe, splits, shuffles=20)
            here = {**where, "layer": layer, "method": probe.method}
            results.append(_result(aside, "wrong", here, "auroc"))
    left = probes.leave_one_out(
        sets["choice-dev"],
        sets["report-dev"],
        {name: sets[name] for name in ("report-test", "neutral-test", "wrong") if name in sets},
        label="pole",
        unit="seed",
        apart=("scenario",),
        items="scenario",
        method=probe.method,
        penalty=probe.penalty,
        n_shuffles=probe.shuffles,
    )
    here = {**where, "layer": left.layer, "method": probe.method}
    final = tested[left.layer]
    results.append(floors.chosen(left, here))
    results.append(_best_layer(tested, here))
    results += floors.over(left, here)
    results += floors.base(sets, final.probes["choice-dev"], here, penalty=probe.penalty)
    facts = {"layer": left.layer, "layers": left.layers, "dev_auroc": left.development, "final": final}
    return results, facts


def behavior_direction(held: Set, layer: int, site: str) -> Direction:
    """Mean difference of the poles' runs at a layer: raw length kept, scale = typical norm of the site."""
    import probes

    arrays, table = held
    x, pole = arrays[layer].astype(np.float64), table["pole"].to_numpy()
    difference = x[pole == 1].mean(0) - x[pole == 0].mean(0)
    return probes.Direction(
        difference,
        f"{site}.{layer}",
        sign="positive is the seeking pole's runs",
        scale=float(np.median(np.linalg.norm(x, axis=1))),
        provenance={"method": "mean difference of runs", "prompts": "choice-dev", "n": len(pole)},
    )


def fit(
    sets: Mapping[str, Set],
    layer: int,
    tests: Sequence[str],
    probe: ProbeConfig,
    splits: int,
    *,
    shuffles: int,
    method: str | None = None,
) -> Transfer:
    import probes

    def at(name: str) -> tuple[np.ndarray, pd.DataFrame]:
        arrays, table = sets[name]
        return arrays[layer], table

    return probes.transfer(
        {"choice-dev": at("choice-dev")},
        {name: at(name) for name in tests},
        site=f"{probe.site}.{layer}",
        label="pole",
        groups=GROUPS,
        units="seed",
        shuffle_unit="adapter",
        method=method or probe.method,
        penalty=probe.penalty,
        n_splits=splits,
        n_shuffles=shuffles,
    )


def _result(found: Transfer, on: str, where: Mapping[str, Any], name: str) -> Result:
    row = found.cell("choice-dev", on)
    seeds, values = floors.by_seed(found, on)
    return Result(
        name=f"bridge.transfer.{name}",
        where={**where, "kind": KINDS[on]},
        value=float(row["auroc"]),
        ci=(float(row["low"]), float(row["high"])),
        ci_method=str(row["ci_method"]),
        n=len(seeds),
        unit="AUROC",
        rows=int(row["n"]),
        null=Null(
            "shuffled run labels",
            int(row["n_shuffles"]),
            float(row["floor_mean"]),
            float(row["floor_low"]),
            float(row["floor_high"]),
        ),
        per_seed=tuple(values),
        seeds=tuple(seeds),
        notes=f"ceiling within the test set {float(row['ceiling']):.3f}; label shuffles give "
        f"p {float(row['p']):.3g}, with this many runs at best {float(row['p_floor']):.3g}",
    )


def _best_layer(tested: Mapping[int, Transfer], where: Mapping[str, Any]) -> Result:
    """The best layer on test prompts, with p against the best layer of each shuffle (Westfall-Young)."""
    from probes import statistics

    pair = ("choice-dev", "report-test")
    layers = list(tested)
    observed = np.array([float(found.cell(*pair)["pooled"]) for found in tested.values()])
    drawn = np.stack([found.null[pair] for found in tested.values()], axis=1)
    corrected = statistics.max_statistic(observed, drawn)
    best = int(observed.argmax())
    top = drawn.max(axis=1)
    result = _result(tested[layers[best]], "report-test", {**where, "layer": layers[best]}, "max_layer")
    null = Null.of("best layer of shuffled run labels", top)
    least = max(corrected.smallest_p, float(tested[layers[best]].cell(*pair)["p_floor"]))
    return replace(
        result,
        where=dict(result.where),
        p=max(float(corrected.p[best]), least),
        test=f"maximum statistic over {len(layers)} layers: {null.kind}, {null.n} draws, one-sided",
        p_floor=least,
        null=null,
        notes=f"best of {len(layers)} layers on test prompts",
    )
