"""A behavior study, top to bottom: what is run, in which order, and what each step depends on.

     1 rows       training rows of every arm and seed, leak-checked
     2 finetune   one LoRA adapter an arm and seed; beside the arms the neighbor behavior, something benign,
                  other ranks, every layer
     3 items      every prompt that is asked, in development and test
     4 ask        what the base and every adapter choose, and say of themselves; kinds of question whose
                  options hold too little of the probability are sampled
     5 cache      activations of behavior, self-report and neutral prompts
     6 transfer   a probe of the choices' state, tested on self-report prompts, with its floors;
                  calibration of its probabilities there, flips of single items against the base
     7 vectors    the place where the state acts, and vectors trained there, by development items
     8 recover    what one vector, one layer or constants give the base, of behavior and of report
     9 compete    the vector of the choices against vectors trained alike, on something else
    10 ablate     what remains of both without a direction
    11 mediate    what of the adapter's effect runs through a direction
    12 attribute  which modules carry what, and which layers read them
    13 compare    constancy of what modules add, geometry of directions
    14 confront   the state against the prompt, and what the words of the training rows give by themselves
    15 steer      dose curves of the choices' mean difference, beside random directions
    16 patch      finetuned runs, patched into the base
    17 introspect controls, where asked for: does the report read the state, follow the input, notice anything
                  odd, or guess? And `turns`: does it follow the state turn by turn?
    18 conceal    adapters that do and deny: does the probe read the state where the report lies?
    19 emerge     over checkpoints: which comes first, behavior, state or report
    20 multiverse the verdict along every path that the study might as well have taken
    21 results    every number with n, interval, seeds and null; the verdicts; the report page

Each step is a function of its own in `mi_bsa.causal`; a step runs again only when something that it
declared has changed. Development items choose, test items report.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mi_bsa.behaviors.own import files_of
from mi_bsa.causal.asking import ask_variant, loads
from mi_bsa.causal.caching import CACHED, cache_set
from mi_bsa.causal.calibration import SETS as CALIBRATED
from mi_bsa.causal.calibration import calibrate
from mi_bsa.causal.causal_steps import (
    ablate,
    attribute,
    compare,
    compete,
    confront,
    make_vectors,
    mediate,
    recover,
)
from mi_bsa.causal.effects import all_effects
from mi_bsa.causal.flips import compare as compare_items
from mi_bsa.causal.items import SETS, write_all
from mi_bsa.causal.late_steps import LEFT as LATE
from mi_bsa.causal.late_steps import late_steps
from mi_bsa.causal.multiverse import LEFT as PATHS
from mi_bsa.causal.multiverse import steps as multiverse_steps
from mi_bsa.causal.sampled import all_answers, sample_variant
from mi_bsa.causal.steer_and_patch import patch_into_base, read, steer_base
from mi_bsa.causal.training import adapter_steps, write_rows
from mi_bsa.causal.transfer import fit_and_test
from mi_bsa.core import results
from mi_bsa.core.files import write_json
from mi_bsa.core.model_files import weight_files
from mi_bsa.core.variants import BASE, Variant
from mi_bsa.finetune import preflight
from mi_bsa.studies.behavior.bases import JOINED, check, judge, leave, over_bases_step, said_of
from mi_bsa.studies.behavior.config import BehaviorConfig
from mi_bsa.studies.behavior.introspecting import introspect, take_turns
from mi_bsa.studies.behavior.sizes import describe_study, sized
from mi_bsa.studies.behavior.work import work_of
from mi_bsa.study.steps import Cell, Step, within
from mi_bsa.study.study import Study

LEFT = {
    "transfer": "transfer.json",
    "calibration": "calibration.json",
    "flips": "flips.json",
    "recovery": "recovery.json",
    "rivals": "rivals.json",
    "necessity": "necessity.json",
    "mediation": "mediation.json",
    "attribution": "attribution.json",
    "geometry": "geometry.json",
    "prompts": "prompts.json",
    "steer": "steering.json",
    "patch": "patching.json",
    "introspection": "introspection.json",
    "turns": "turns.json",
}
"""Steps that leave results in a file of their own."""
JUDGED = ("transfer", "recovery", "rivals", "necessity", "mediation", "attribution", "prompts")
"""Those of them whose results a verdict reads."""


def steps(config: BehaviorConfig) -> list[Step]:
    """The graph of a study's steps, in an order in which they can run; of several bases, one after another,
    and a step over them.
    """
    if config.bases:
        graph = [step for part, one in config.parts.items() for step in within(part, steps(one))]
        return [*graph, over_bases_step(config)]
    weights = weight_files(config.model)
    graph = [*_adapters(config, weights), *_asked(config, weights), *_causes(config, weights)]
    graph += late_steps(config, weights)
    graph += multiverse_steps(config, weights, {step: LEFT[step] for step in JUDGED})
    left = LEFT | LATE | PATHS
    after = tuple(
        step.name
        for step in graph
        if step.name.startswith(("ask/", "sample/", "finetune/")) or step.name in left
    )
    graph.append(
        Step(
            "results",
            collect,
            fields=("behavior", "arms", "seeds"),
            after=after,
            outputs=("results.json", "results.csv", "verdicts.json", JOINED),
            seconds=3,
            version=12,
            judges=True,
        )
    )
    return [loads(step) for step in graph]


def _adapters(config: BehaviorConfig, weights: tuple[Path, ...]) -> Iterator[Step]:
    """Rows and adapters."""
    own: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {arm: ({}, config.seeds) for arm in config.arms}
    beside = {arm: (how, config.control_seeds) for arm, how in config.controlled.items()}
    jobs: dict[str, dict[str, Any]] = {}
    for arm, (how, seeds) in (own | beside).items():
        for seed in seeds:
            arguments = jobs[f"{arm}-{seed}"] = {"arm": arm, "seed": seed}
            if "rows" in how:
                arguments |= {"rows": f"{how['rows']}-{seed}", "change": how["change"]}
                continue
            yield Step(
                f"rows/{arm}-{seed}",
                write_rows,
                arguments,
                fields=("behavior", "model", "data.rows", "data.anchors", "data.undecided"),
                files=files_of(config.behavior),
                outputs=(f"rows/{arm}-{seed}.jsonl",),
                seconds=0.3,
            )
    yield from adapter_steps(config, jobs, weights)


def _asked(config: BehaviorConfig, weights: tuple[Path, ...]) -> Iterator[Step]:
    """Items, answers, caches, and the probe that is tested on reports."""
    yield Step(
        "items",
        write_all,
        fields=("behavior", "model", "data.choices", "data.others"),
        files=files_of(config.behavior),
        outputs=tuple(f"items/{name}.jsonl" for name in SETS),
        seconds=1,
        version=3,
    )
    for variant in ("base", *config.variants):
        yield Step(
            f"ask/{variant}",
            ask_variant,
            {"variant": variant},
            fields=("behavior", "model", "data.choices"),
            files=weights,
            after=("items", *(f"finetune/{variant}",) * (variant != "base")),
            outputs=(f"asked/{variant}.csv",),
            seconds=6,
            bytes=600_000,
            version=2 if variant == BASE else 1,
        )
    for variant in ("base", *config.variants):
        asked = tuple(f"ask/{v}" for v in ("base", *config.poles))
        yield Step(
            f"sample/{variant}",
            sample_variant,
            {"variant": variant, **({"poles": list(config.poles)} if variant == BASE else {})},
            fields=("model", "sampling"),
            files=weights,
            after=("items", *(asked if variant == BASE else (f"finetune/{variant}", f"sample/{BASE}"))),
            outputs=(f"sampled/{variant}.csv",),
            seconds=0.2,
            bytes=1_000,
        )
    floors = [f"{arm}-{s}" for arm in config.floors for s in config.floor_seeds(arm)]
    for name in (*CACHED, "described_report-test"):
        described = name.startswith("described")
        variants = ["base", *(() if described else config.poles), *(floors if name == "report-test" else ())]
        yield Step(
            f"cache/{name}",
            cache_set,
            {"name": name, "variants": variants},
            fields=("model", "probe.site", "probe.position", "probe.prompts"),
            files=weights,
            after=("items", *(f"finetune/{v}" for v in variants if v != "base")),
            outputs=(f"caches/{name}",),
            seconds=3,
            bytes=2_000_000,
        )
    yield Step(
        "transfer",
        fit_and_test,
        fields=("behavior", "arms", "seeds", "probe"),
        after=(*(f"cache/{name}" for name in (*CACHED, "described_report-test")), "ask/base"),
        outputs=("directions", "transfer.json"),
        seconds=20,
        version=7,
    )
    yield Step(
        "calibration",
        calibrate,
        fields=("behavior", "seeds", "probe"),
        after=("transfer", *(f"cache/{name}" for name in CALIBRATED)),
        outputs=("calibration.json",),
        seconds=3,
        bytes=40_000,
    )
    yield Step(
        "flips",
        compare_items,
        fields=("behavior", "arms", "seeds"),
        after=("items", *(f"ask/{variant}" for variant in ("base", *config.variants))),
        outputs=("flips.csv", "flips_top.csv", "flips.json"),
        seconds=2,
        bytes=500_000,
    )


def _causes(config: BehaviorConfig, weights: tuple[Path, ...]) -> Iterator[Step]:
    """Everything that is done to the state."""
    poles = tuple(f"finetune/{v}" for v in config.poles)
    common = ("behavior", "model", "seeds", "place")
    yield Step(
        "vectors",
        make_vectors,
        fields=(*common, "recovery"),
        files=weights,
        after=("items", *poles),
        outputs=("vectors",),
        seconds=30,
        bytes=20_000,
        version=2,
    )
    for name, function, seconds in (
        ("recovery", recover, 40),
        ("necessity", ablate, 60),
        ("mediation", mediate, 30),
    ):
        yield Step(
            name,
            function,
            fields=(*common, name),
            files=weights,
            after=("items", "vectors", *poles),
            outputs=(f"{name}.json", *("recovery.npz",) * (name == "recovery")),
            seconds=seconds,
            bytes=60_000,
            version={"recovery": 9, "necessity": 5, "mediation": 5}[name],
        )
    beside = {arm: len(config.control_seeds) for arm in config.controlled}
    wrong = {arm: n for arm, n in beside.items() if Variant.of(arm).apart == "wrong"}
    compared = {arm: n for arm, n in beside.items() if Variant.of(arm).apart.startswith(("rank", "wrong"))}
    layered = {arm: n for arm, n in beside.items() if Variant.of(arm).apart == "all"}
    rivals = tuple(f"finetune/{arm}-{seed}" for arm in wrong for seed in config.control_seeds)
    yield Step(
        "rivals",
        compete,
        {"arms": wrong},
        fields=(*common, "recovery", "rivals"),
        files=weights,
        after=("items", "vectors", *poles, *rivals),
        outputs=("rivals.json", "rivals.npz"),
        seconds=30,
        bytes=20_000,
        version=2,
    )
    layers = ("attribution", attribute, layered, 60)
    directions = ("geometry", compare, compared, 40)
    for name, step, arms, seconds in (layers, directions):
        more = tuple(f"finetune/{arm}-{seed}" for arm in arms for seed in config.control_seeds)
        vectors = ("vectors",) * (name == "geometry")
        yield Step(
            name,
            step,
            {"arms": arms},
            fields=(*common, name),
            files=weights,
            after=("items", *vectors, *poles, *more),
            outputs=(f"{name}.json",),
            seconds=seconds,
            bytes=60_000,
            version={"attribution": 4, "geometry": 3}[name],
        )
    yield Step(
        "prompts",
        confront,
        fields=(*common, "state_or_prompt"),
        files=weights,
        after=("items", "vectors", *(f"rows/{v}" for v in config.poles), *poles),
        outputs=("prompts.json",),
        seconds=60,
        bytes=30_000,
        version=4,
    )
    yield Step(
        "steer",
        steer_base,
        fields=("behavior", "model", "steer", "probe.site", "place.scopes"),
        files=weights,
        after=("items", "transfer"),
        outputs=("steering.json",),
        seconds=15,
        version=2,
    )
    yield Step(
        "patch",
        patch_into_base,
        fields=("behavior", "model", "seeds", "patch", "probe.site"),
        files=weights,
        after=("items", *poles),
        outputs=("patching.json",),
        seconds=10,
    )
    for name, does in (("introspection", introspect), ("turns", take_turns)):
        if getattr(config, name) is not None:
            yield Step(
                name,
                does,
                fields=(*common, name),
                files=weights,
                after=("items", "vectors", *poles),
                outputs=(f"{name}.json",),
                seconds=60,
                bytes=60_000,
            )


def collect(cell: Cell[BehaviorConfig]) -> dict[str, Any]:
    """Join all results; p values of one family share a false-discovery rate. Beside each verdict stands
    whether it was registered.
    """
    config = cell.config
    names = ("base", *(f"{arm}-{seed}" for arm in config.arms for seed in config.seeds))
    table = all_answers(cell.folder, names)
    found = all_effects(table, behavior=config.behavior, arms=config.arms, seeds=config.seeds)
    for step, file in (LEFT | LATE | PATHS).items():
        if step in cell.after:
            found += read(cell.folder / file)
    registration = cell.registration
    judged, numbers = judge(found, registration)
    found += numbers
    results.write(results.with_q(found), cell.folder)
    leave(found, cell.folder)
    write_json(cell.folder / "verdicts.json", said_of(judged, registration, found))
    return {"results": len(found)}


def rehearse(config: BehaviorConfig) -> list[str]:
    """What the model would take, after it was found and loaded: a folder that holds none is told as such."""
    said = preflight.rehearse(config)
    parts = config.parts
    named = [f"{part} is {one.model}" for part, one in parts.items()]
    return [*named, *(describe_study(one) for one in parts.values() or [config]), *said]


STUDY = Study(
    name="behavior",
    config=BehaviorConfig,
    steps=steps,
    title=lambda config: f"study {config.behavior}" + (f", {len(b)} bases" if (b := config.bases) else ""),
    check=check,
    rehearse=rehearse,
    sized=sized,
    work=work_of,
    sections="mi_bsa.studies.behavior.page:SECTIONS",
    rules="mi_bsa.causal.rules:RULES",
    power="mi_bsa.studies.behavior.bases:planned",
)
