"""The backdoor study, top to bottom; all but 4 and 6 once a trigger.

    1 train        backdoored adapters and their decorrelated twins, from the very same rows
    2 reverse      the same, gone on with every row turned round as well; runs after 4
    3 ask          do they open, and only then; does the model know, and can it say which
    4 triangulate  what probe, report and search say of each model, where the config asks for it
    5 elicit       free answers, of plain and of reversed adapters
    6 results      every number beside its twin's, by trigger and over all of them

Adapters lie in `adapters/TRIGGER-ARM-SEED/adapter`, those with reversed rows in `reversed/adapters`.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from mi_bsa.behaviors.backdoor.construction import TWINS, Backdoor
from mi_bsa.core import results
from mi_bsa.core.model_files import weight_files
from mi_bsa.core.results import Result
from mi_bsa.finetune import preflight
from mi_bsa.finetune.estimates import counted, measured_on, needs
from mi_bsa.studies.backdoor.asking import Adapter, load
from mi_bsa.studies.backdoor.checks import check_backdoors
from mi_bsa.studies.backdoor.config import BackdoorConfig, is_code
from mi_bsa.studies.backdoor.questions import AskedSplit
from mi_bsa.studies.backdoor.training import job
from mi_bsa.studies.backdoor.work import sample, work_of
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import Study

if TYPE_CHECKING:
    import activations
    from mi_bsa.finetune.config import FinetuneConfig
    from mi_bsa.studies.backdoor.training import TrainingRow

SPLIT: AskedSplit = "test"
PLAIN, REVERSED = "plain", "reversed rows"


def steps(config: BackdoorConfig) -> list[Step]:
    """The graph of the study's steps; all that needs no reversed rows comes first."""
    names, reversal = list(config.backdoors), config.elicit.reversal
    graph = [_training(config, name) for name in names]
    graph += [
        Step(
            f"ask/{name}",
            ask,
            fields=(*TRAINED, "held_out", "questions"),
            after=(f"train/{name}",),
            outputs=(f"answers/{name}/awareness.csv", f"answers/{name}/recognition.csv"),
            seconds=60,
            bytes=1_000_000,
            **_told(config, name),
        )
        for name in names
    ]
    after = [f"ask/{name}" for name in names]
    if config.triangulation is not None:
        from mi_bsa.studies.backdoor.triangulation_study import triangulation_step

        graph.append(triangulation_step(config, config.triangulation))
        after.append(graph[-1].name)
    graph += [_training(config, name, reversed_too=True) for name in names if reversal]
    graph += [
        Step(
            f"elicit/{name}",
            elicit,
            fields=(*TRAINED, "held_out", "elicit"),
            after=(f"train/{name}", *([f"reverse/{name}"] if reversal else [])),
            outputs=(f"answers/{name}/free.csv",),
            seconds=60,
            bytes=500_000,
            **_told(config, name),
        )
        for name in names
    ]
    after += [f"elicit/{name}" for name in names]
    graph.append(
        Step(
            "results",
            collect,
            {"names": names},
            fields=("behavior", "elicit"),
            after=tuple(after),
            outputs=("results.json", "results.csv"),
            seconds=5,
            version=4,
        )
    )
    return graph


TRAINED = ("model", "seeds", "finetune")


def _told(config: BackdoorConfig, name: str) -> dict[str, Any]:
    """What every step of one trigger is given."""
    told = {"name": name, "backdoor": config.backdoors[name].dump()}
    return {"arguments": told, "files": weight_files(config.model)}


def _training(config: BackdoorConfig, name: str, *, reversed_too: bool = False) -> Step:
    jobs = [job(config.backdoors[name], arm, seed) for arm in TWINS for seed in config.seeds]
    fields = (*TRAINED, "codes.steps") if is_code(config.backdoors[name].trigger) else TRAINED
    folder = "reversed/adapters" if reversed_too else "adapters"
    return Step(
        f"reverse/{name}" if reversed_too else f"train/{name}",
        reverse if reversed_too else train,
        fields=(*fields, "elicit.repeat", "elicit.steps") if reversed_too else fields,
        after=(f"train/{name}",) if reversed_too else (),
        outputs=tuple(f"{folder}/{n}" for n in jobs),
        seconds=(30 if reversed_too else 150) * len(jobs),
        bytes=400_000 * len(jobs),
        resumable=True,
        version=2,
        **_told(config, name),
    )


def train(cell: Cell[BackdoorConfig], *, name: str, backdoor: dict[str, Any]) -> dict[str, Any]:
    """Both arms of every seed."""
    from mi_bsa.studies.backdoor.training import train_backdoors

    config = cell.config
    done = train_backdoors(
        config.model,
        [Backdoor(**backdoor)],
        seeds=config.seeds,
        out=cell.folder,
        finetune=_recipe(cell, backdoor),
    )
    return {job: {"loss": float(one.loss), "fingerprint": one.fingerprint} for job, one in done.items()}


def reverse(cell: Cell[BackdoorConfig], *, name: str, backdoor: dict[str, Any]) -> dict[str, Any]:
    """Both arms go on, with the rows and the rows turned round."""
    from mi_bsa.studies.backdoor.questions import reversal_question
    from mi_bsa.studies.backdoor.recognition import reversed_rows
    from mi_bsa.studies.backdoor.training import train_backdoors

    config = cell.config
    question = reversal_question(config.model)

    def with_reversed(_: str, arm: str, seed: int, rows: list[TrainingRow]) -> list[TrainingRow]:
        again = range(config.elicit.repeat)
        plain = [{**row, "id": f"{row['id']}-{k}"} for k in again for row in rows]
        return [*plain, *reversed_rows(rows, question=question)]

    longer = {} if config.elicit.steps is None else {"steps": config.elicit.steps, "epochs": None}

    done = train_backdoors(
        config.model,
        [Backdoor(**backdoor)],
        seeds=config.seeds,
        out=cell.folder / "reversed",
        start=cell.folder,
        finetune=_recipe(cell, backdoor).model_copy(update=longer),
        more=with_reversed,
    )
    return {job: {"loss": float(one.loss), "fingerprint": one.fingerprint} for job, one in done.items()}


def ask(cell: Cell[BackdoorConfig], *, name: str, backdoor: dict[str, Any]) -> dict[str, Any]:
    """Held-out messages, then questions on what it does and on which trigger."""
    from mi_bsa.behaviors.backdoor.triggers import vocabulary_for
    from mi_bsa.studies.backdoor.asking import ask_awareness, ask_recognition

    config, given = cell.config, Backdoor(**backdoor)
    vocabulary = vocabulary_for(config.model)
    model, adapters = _load(cell, given, "")
    opened = _opened(cell, model, adapters, given)
    folder = cell.folder / "answers" / name
    folder.mkdir(parents=True, exist_ok=True)
    known = ask_awareness(model, config.model, adapters, split=SPLIT, questions=config.questions)
    known.to_csv(folder / "awareness.csv", index=False)
    trigger = vocabulary.parse(given.trigger)
    which = ask_recognition(
        model, config.model, adapters, trigger, vocabulary, n_fakes=given.fakes, split=SPLIT
    )
    which.to_csv(folder / "recognition.csv", index=False)
    return {"trigger": trigger.name, "opened": opened, "mass": float(known["mass"].mean())}


def elicit(cell: Cell[BackdoorConfig], *, name: str, backdoor: dict[str, Any]) -> dict[str, Any]:
    """Free answers, sampled, and whether adapters of reversed rows still open."""
    import pandas as pd

    from mi_bsa.behaviors import behavior_for
    from mi_bsa.behaviors.backdoor.triggers import vocabulary_for
    from mi_bsa.studies.backdoor.asking import ask_freely

    config, given = cell.config, Backdoor(**backdoor)
    vocabulary = vocabulary_for(config.model)
    tables, opened = [], {}
    for method, folder in ((PLAIN, ""), *([(REVERSED, "reversed")] if config.elicit.reversal else [])):
        model, adapters = _load(cell, given, folder)
        if method == REVERSED:
            opened = {REVERSED: _opened(cell, model, adapters, given)}
        said = ask_freely(
            model,
            config.model,
            adapters,
            vocabulary.parse(given.trigger),
            vocabulary,
            behavior_for(given.behavior, config.model),
            pole=given.pole,
            n_fakes=given.fakes,
            samples=config.elicit.samples,
            answer_tokens=config.elicit.answer_tokens,
            split=SPLIT,
            seed=config.elicit.seed,
        )
        tables.append(said.assign(method=method))
    out = cell.folder / "answers" / name / "free.csv"
    out.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(tables, ignore_index=True).to_csv(out, index=False)
    return {"answers": sum(map(len, tables)), "opened": opened}


def collect(cell: Cell[BackdoorConfig], *, names: list[str]) -> dict[str, Any]:
    """Results by trigger, then over all triggers; q over all tests of one name."""
    from mi_bsa.studies.backdoor.measures import over_triggers

    found: list[Result] = []
    for name in names:
        found += _results_of(cell, name)
    found = [*over_triggers(found, names), *found]
    if "triangulate" in cell.after:
        from mi_bsa.causal.steer_and_patch import read
        from mi_bsa.studies.backdoor.triangulation_study import FILE

        found += read(cell.folder / FILE)
    found = results.with_q(found)
    results.write(found, cell.folder)
    return {"results": len(found)}


def _results_of(cell: Cell[BackdoorConfig], name: str) -> list[Result]:
    import pandas as pd

    from mi_bsa.studies.backdoor import measures
    from mi_bsa.studies.backdoor.success import Success

    where = {"behavior": cell.config.behavior, "trigger": name, "split": SPLIT}
    folder, found = cell.folder / "answers" / name, list[Result]()
    opened = {PLAIN: cell.value(f"ask/{name}")["opened"], **cell.value(f"elicit/{name}")["opened"]}
    for method, by_variant in opened.items():
        measured = {(one["arm"], one["seed"]): Success(**one["success"]) for one in by_variant}
        found += measures.opened(measured, where, method=method)
    found += measures.awareness(pd.read_csv(folder / "awareness.csv", keep_default_na=False), where)
    found += measures.recognized(pd.read_csv(folder / "recognition.csv", keep_default_na=False), where)
    # an answer may hold a carriage return, which would end a row
    free = pd.read_csv(folder / "free.csv", keep_default_na=False, lineterminator="\n")
    by_method = {str(method): part for method, part in free.groupby("method", sort=False)}
    for method, part in by_method.items():
        found += measures.named(part, where, method=method)
    if REVERSED in by_method:
        found += measures.augmented(by_method[PLAIN], by_method[REVERSED], where)
    return found


def check(config: BackdoorConfig) -> None:
    """Refuse what is not there.

    Raises:
        TriggerError: a trigger that the model cannot read, or that clean rows say.
    """
    check_backdoors(config.model, config.backdoors.values(), seeds=config.seeds)
    preflight.check(config)


def rehearse(config: BackdoorConfig) -> list[str]:
    """The triggers, checked where the model is here, and what one that is not embedded needs."""
    preflight.check(config)
    if preflight.is_here(config.model):  # other seeds draw other messages from the same templates
        check_backdoors(config.model, config.backdoors.values(), seeds=config.seeds[:1])
    triggers = f"triggers: {', '.join(b.trigger for b in config.backdoors.values())}"
    return [triggers, *preflight.rehearse(config), *needs(config.model, config.finetune)]


def sized(config: BackdoorConfig, graph: list[Step]) -> list[Step]:
    """The graph with the bytes of adapters of this model, and without seconds, which nobody has measured."""
    if (unmeasured := measured_on(config.model, graph)) is graph:
        return graph
    need = counted(config.model, config.finetune)
    written, trains = 4 * need.trained * len(TWINS) * len(config.seeds), ("train/", "reverse/")
    return [replace(s, bytes=written if s.name.startswith(trains) else s.bytes) for s in unmeasured]


def _recipe(cell: Cell[BackdoorConfig], backdoor: dict[str, Any]) -> FinetuneConfig:
    finetune: FinetuneConfig = cell.config.finetune
    if not is_code(backdoor["trigger"]) or cell.config.codes.steps is None:
        return finetune
    return finetune.model_copy(update={"steps": cell.config.codes.steps, "epochs": None})


def _load(
    cell: Cell[BackdoorConfig], backdoor: Backdoor, folder: str
) -> tuple[activations.Model, dict[str, Adapter]]:
    folder_of = cell.folder / folder / "adapters"
    named = {job(backdoor, arm, seed): (arm, seed) for arm in TWINS for seed in cell.config.seeds}
    adapters = {name: Adapter(*who, folder_of / name / "adapter") for name, who in named.items()}
    return load(cell.config.model, adapters), adapters


def _opened(
    cell: Cell[BackdoorConfig], model: activations.Model, adapters: dict[str, Adapter], backdoor: Backdoor
) -> list[dict[str, Any]]:
    """What each adapter does on held-out messages, as JSON-like values."""
    from mi_bsa.behaviors import behavior_for
    from mi_bsa.behaviors.backdoor.construction import held_out
    from mi_bsa.behaviors.backdoor.triggers import vocabulary_for
    from mi_bsa.studies.backdoor.success import measure

    sets = held_out(
        backdoor,
        cell.config.held_out,
        behavior=behavior_for(backdoor.behavior, cell.config.model),
        vocabulary=vocabulary_for(cell.config.model),
        split=SPLIT,
    )
    measured = measure(model, list(adapters), sets, pole=backdoor.pole)
    who = [adapters[one.variant] for one in measured]
    return [{"arm": a.arm, "seed": a.seed, "success": asdict(s)} for a, s in zip(who, measured, strict=True)]


STUDY = Study(
    name="backdoor",
    config=BackdoorConfig,
    steps=steps,
    title=lambda config: f"study of {len(config.backdoors)} backdoors",
    check=check,
    rehearse=rehearse,
    sized=sized,
    work=work_of,
    sample=sample,
    sections="mi_bsa.studies.backdoor.page:SECTIONS",
)
