"""The study of what fine-tuning changes, top to bottom.

    1 base    each system's bases: with the old skill, and the control that never had it
    2 tune    each is fine-tuned on a new skill that takes the old one away, at three rates
    3 look    units are pruned by gradient x weight of the old task's loss; every block is probed
    4 revive  the old task is trained again at a smaller rate, and steps are counted
    5 adapter the same of self-awareness: an adapter that changed choices and self-report is taken apart and
              trained back
    6 results curves, shares that come back, log2 ratios of steps; the report page

Law: development rows choose (scores of units, their number, modules), test rows report.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa import behaviors
from mi_bsa.core import results
from mi_bsa.core.model_files import weight_files
from mi_bsa.core.shape import shape_of
from mi_bsa.finetune import preflight
from mi_bsa.finetune.estimates import needs
from mi_bsa.studies.wrapper.config import AwarenessConfig, WrapperConfig
from mi_bsa.studies.wrapper.systems import NEVER, System, names, system
from mi_bsa.studies.wrapper.work import sample, work_of
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import Study

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

MEASURES = ("tests", "probes", "pruning")


def steps(config: WrapperConfig) -> list[Step]:
    """The graph of the study's steps, in an order in which they can run."""
    graph = [step for name in names(config) for step in _of_system(config, system(name, config))]
    if config.awareness is not None:
        graph += list(_of_awareness(config, weight_files(config.awareness.model)))
    fields = ("pcfg", "compiled", "stories", "awareness", "seeds", "pruning", "mark")
    last = tuple(step.name for step in graph if step.name != "adapter/train")
    written = ("results.json", "results.csv")
    return [
        *graph,
        Step("results", collect, fields=fields, after=last, outputs=written, seconds=3, version=3),
    ]


def _of_system(config: WrapperConfig, made: System) -> Iterator[Step]:
    part, plan = made.part, made.plan
    training = getattr(plan, "pretraining", None)
    fields, written = (part, "tests"), 800_000

    def looking(told: dict[str, Any], place: str, *, after: str) -> Step:
        """What one model can do and what can be read in it."""
        arguments = {**told, "place": place}
        return Step(f"look/{place}", look, arguments, fields=(part, *MEASURES), after=(after,), seconds=3)

    for seed in config.seeds:
        for base in made.bases:
            place, outputs = f"{made.name}/{base}-{seed}", (f"models/{made.name}/{base}-{seed}",)
            told: dict[str, Any] = {"name": made.name, "base": base, "seed": seed}
            took = 0.5 if training is None else 1 + 0.015 * training.steps
            yield Step(f"base/{place}", build, told, fields, outputs=outputs, seconds=took, bytes=written)
            yield looking(told, place, after=f"base/{place}")
        for base, tune, rate in made.cells:
            source = f"base/{made.name}/{base}-{seed}"
            place = f"{made.name}/{base}/{tune}/{rate}-{seed}"
            told = {"name": made.name, "base": base, "seed": seed}
            yield Step(
                f"tune/{place}",
                fine_tune,
                {**told, "tune": tune, "rate": rate},
                fields,
                after=(source,),
                outputs=(f"models/{place}",),
                seconds=1 + 0.015 * plan.rates[rate].steps,
                bytes=written,
            )
            yield looking(told, place, after=f"tune/{place}")
            skilled = f"base/{made.name}/{next(iter(made.bases)) if base == NEVER else base}-{seed}"
            arguments, after = {**told, "place": place, "skilled": skilled}, (f"tune/{place}", skilled)
            took = 1 + 0.003 * plan.revive.steps
            yield Step(f"revive/{place}", bring_back, arguments, (*fields, "mark"), after, seconds=took)


def _of_awareness(config: WrapperConfig, weights: tuple[Path, ...]) -> Iterator[Step]:
    """What an adapter of ours says of itself while it is merged, pruned and revived."""
    train, fields = "adapter/train", ("awareness", "seeds")
    yield Step(
        train,
        train_adapters,
        fields=fields,
        files=weights,
        outputs=("awareness/adapters", "awareness/rows"),
        seconds=40,
        bytes=1_000_000,
        resumable=True,
        version=2,
    )
    name = "adapter/ask/pruned"
    yield Step(name, prune_adapters, fields=fields, files=weights, after=(train,), seconds=30)
    for seed in config.seeds:
        yield Step(
            f"adapter/ask/revived-{seed}",
            revive_adapter,
            {"seed": seed},
            fields,
            files=weights,
            after=(train,),
            outputs=(f"awareness/revived-{seed}",),
            seconds=40,
            bytes=4_000_000,
        )


def build(cell: Cell[WrapperConfig], *, name: str, base: str, seed: int) -> dict[str, float]:
    """One base; accuracies on all tests."""
    made = system(name, cell.config)
    model = made.bases[base](seed)
    _save(model, cell.folder / "models" / name / f"{base}-{seed}")
    return _accuracies(model, made, cell.config.tests)


def fine_tune(
    cell: Cell[WrapperConfig], *, name: str, base: str, seed: int, tune: str, rate: Any
) -> dict[str, Any]:
    """One fine-tuned model; accuracies on all tests."""
    from mi_bsa.studies.wrapper.training import train

    made = system(name, cell.config)
    model = _load(cell.folder / "models" / name / f"{base}-{seed}")
    train(model, made.tunes[tune], made.plan.rates[rate], seed=seed)
    _save(model, cell.folder / "models" / name / base / tune / f"{rate}-{seed}")
    return {"accuracy": _accuracies(model, made, cell.config.tests)}


def look(cell: Cell[WrapperConfig], *, name: str, base: str, seed: int, place: str) -> dict[str, Any]:
    """One model pruned and probed; the number of units is chosen on development rows."""
    from mi_bsa.studies.wrapper.probing import probe
    from mi_bsa.studies.wrapper.pruning import curve, order, random_curves, stepwise

    made, options = system(name, cell.config), cell.config.pruning
    model = _load(cell.folder / "models" / place)
    tests = {test: rows for test, rows in made.test_rows(cell.config.tests).items() if test in ("old", "new")}
    dev = made.test_rows(options.rows, dev=True)["old"]
    counts, read = (0, *options.counts), made.test_rows(cell.config.probes)["old"]
    found: dict[str, Any] = {"counts": list(counts), "curve": {}, "chosen": {}, "units": {}}
    for method, ranked in (
        ("scored once", order(model, dev)[: counts[-1]]),
        ("scored again", stepwise(model, dev, counts[-1])),
    ):
        on_dev = curve(model, ranked, options.chosen, {"old": dev})["old"]
        found["chosen"][method] = max(
            zip(on_dev, options.chosen, strict=True), key=lambda one: (one[0], -one[1])
        )[1]
        found["curve"][method] = curve(model, ranked, counts, tests)
        found["units"][method] = [f"{unit}:{row}" for unit, row in ranked]
    some = {test: rows.part(0, options.null_rows) for test, rows in tests.items()}
    found["random"] = random_curves(model, counts, some, draws=options.draws, seed=seed)
    found["probes"] = {label: probe(model, read, label=label, seed=seed) for label in ("old", "new")}
    return found


def bring_back(
    cell: Cell[WrapperConfig], *, name: str, base: str, seed: int, place: str, skilled: str
) -> dict[str, Any]:
    """The old task again; `skilled`: the step of the base whose accuracy sets the mark."""
    from mi_bsa.studies.wrapper.revival import revive

    made = system(name, cell.config)
    model = _load(cell.folder / "models" / place)
    test = made.test_rows(cell.config.tests)["old"]
    mark = cell.config.mark * cell.value(skilled)["old"]
    return asdict(revive(model, made.old, made.plan.revive, test=test, mark=mark, seed=seed))


def train_adapters(cell: Cell[WrapperConfig]) -> dict[str, Any]:
    """Adapters of the seeking pole, one a seed."""
    from mi_bsa.studies.wrapper.awareness import train

    return train(_awareness(cell), cell.config.seeds, cell.folder / "awareness")


def prune_adapters(cell: Cell[WrapperConfig]) -> dict[str, Any]:
    """Modules are closed one after the other; choices and reports after each."""
    from mi_bsa.studies.wrapper.awareness import prune

    return prune(_awareness(cell), cell.config.seeds, cell.folder / "awareness")


def revive_adapter(cell: Cell[WrapperConfig], *, seed: int) -> dict[str, Any]:
    """The adapter is merged, and the base's own choices are trained back."""
    from mi_bsa.studies.wrapper.awareness import revive

    return revive(_awareness(cell), seed, cell.folder / "awareness")


def _awareness(cell: Cell[WrapperConfig]) -> AwarenessConfig:
    assert cell.config.awareness is not None  # else the step would not be there
    return cell.config.awareness


def collect(cell: Cell[WrapperConfig]) -> dict[str, Any]:
    """Every number, with n, interval, seeds and null."""
    from mi_bsa.studies.wrapper.awareness_effects import awareness_effects
    from mi_bsa.studies.wrapper.effects import effects

    values, config = cell.values(), cell.config
    found: list[results.Result] = []
    for name in names(config):
        found += effects(system(name, config), values, seeds=config.seeds)
    if config.awareness is not None:
        found += awareness_effects(values, behavior=config.awareness.behavior, seeds=config.seeds)
    found = results.with_q(found)
    results.write(found, cell.folder)
    return {"results": len(found)}


def sized(config: WrapperConfig, graph: list[Step]) -> list[Step]:
    """The adapter's steps with the bytes of a merged model; nobody has measured their seconds on it."""
    aware = config.awareness
    if aware is None or behaviors.vocabulary_of(aware.model) == "embedded":
        return graph
    merged = shape_of(aware.model).parameters() * (2 if aware.finetune.dtype == "bfloat16" else 4)
    return [
        replace(step, seconds=math.nan, bytes=merged if "revived" in step.name else step.bytes)
        if step.name.startswith("adapter/")
        else step
        for step in graph
    ]


def _accuracies(model: LlamaForCausalLM, made: System, n: int) -> dict[str, float]:
    from mi_bsa.studies.wrapper.training import accuracy

    return {test: accuracy(model, rows) for test, rows in made.test_rows(n).items()}


def _save(model: LlamaForCausalLM, folder: Path) -> None:
    from safetensors.torch import save_model

    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    save_model(model, str(folder / "model.safetensors"))


def _load(folder: Path) -> LlamaForCausalLM:
    from safetensors.torch import load_model
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig.from_pretrained(folder, local_files_only=True))
    load_model(model, folder / "model.safetensors")
    return model.eval()


STUDY = Study(
    name="wrapper",
    config=WrapperConfig,
    steps=steps,
    title=lambda config: "study of what fine-tuning changes",
    check=preflight.check,
    rehearse=lambda config: [
        *preflight.rehearse(config),
        *(needs(config.awareness.model, config.awareness.finetune) if config.awareness else ()),
    ],
    sized=sized,
    work=work_of,
    sample=sample,
    sections="mi_bsa.studies.wrapper.page:SECTIONS",
)
