"""Report adapters: does one that was trained over finetunes of known truth make others say what they learned?

1. organisms       a zoo, split by behavior; each trained and measured, a manifest of their truth
2. readers/NAME    one LoRA each over the organisms of training, each row's organism on and frozen
3. asked/NAME      what organisms of development and test say with it; asked/alone: without one
4. mechanism       does a matched one read the implanted direction?
5. results         right and false claims on behaviors that none saw, the learning curve; results.json
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from mi_bsa.behaviors import behavior_for
from mi_bsa.behaviors.common import check_short
from mi_bsa.core import results
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.model_files import weight_files
from mi_bsa.finetune import preflight
from mi_bsa.finetune.estimates import counted, measured_on, needs
from mi_bsa.finetune.preferring import check_trl
from mi_bsa.finetune.zoo.recipes import organisms
from mi_bsa.studies.report_adapter.config import ReportAdapterConfig
from mi_bsa.studies.report_adapter.pool import (
    ALONE,
    Reader,
    asked_of,
    behaviors,
    readers,
    taught_over,
)
from mi_bsa.studies.report_adapter.teaching import beside, rows_of
from mi_bsa.studies.report_adapter.work import sample_of, work_of
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import Study

ZOO = ("model", "groups", "parts", "data", "finetune", "backdoor", "denial")
TAUGHT = ("model", "groups", "parts", "taught", "reader")
ASKED = ("model", "groups", "parts", "asked")
FOLDER = "organisms"
"""Of the organisms, in the run folder."""


def check(config: ReportAdapterConfig) -> None:
    """Refuse what cannot be trained, before a folder is made.

    Raises:
        ConfigError: no behavior for development, or none for the test.
        BankError: a behavior of training whose bank has no training wordings.
        BehaviorError: one of the test whose choices are texts, where the mechanism is measured.
        MissingError: preferences are to be trained and TRL is not installed. What `preflight.check` raises.
    """
    from mi_bsa.worlds.siblings import ensure

    held_out(config)
    can_be_read(config)
    if any(one.by == "preferences" for one in organisms(config)):
        check_trl()
    ensure(config.model)
    preflight.check(config)


def held_out(config: ReportAdapterConfig) -> None:
    """Refuse a study that holds no behavior out."""
    for part in ("development", "test"):
        if not behaviors(config, part):
            raise ConfigError(
                f"parts.{part} names no behavior, so nothing is held out; name one of the groups'"
            )


def can_be_read(config: ReportAdapterConfig) -> None:
    """Refuse behaviors that cannot be taught, or whose choices the mechanism cannot read."""
    for name in behaviors(config, "training"):
        list(behavior_for(name, config.model).questions(split="pretrain"))
    for name in behaviors(config, "test") if config.mechanism is not None else ():
        check_short(behavior_for(name, config.model))


def rehearse(config: ReportAdapterConfig) -> list[str]:
    """What a dry run says."""
    held_out(config)
    can_be_read(config)
    every = organisms(config)
    parts = Counter(one.part for one in every)
    first = next(iter(readers(config)))
    rows, _ = rows_of(config, first)
    return [
        *preflight.rehearse(config),
        *needs(config.model, config.reader),
        f"would train {len(every)} organisms ({', '.join(f'{n} for {part}' for part, n in parts.items())}) "
        f"and {len(readers(config))} report adapters over at most {len(taught_over(config, first))} of them "
        f"({len(rows)} answers, {config.reader.total_steps(len(rows))} steps)",
    ]


def steps(config: ReportAdapterConfig) -> list[Step]:
    """Organisms; report adapters; what is asked; results."""
    weights = weight_files(config.model)
    n = len(organisms(config))
    graph = [
        Step(
            "organisms",
            build,
            fields=ZOO,
            outputs=(FOLDER,),
            files=weights,
            seconds=3 * n,
            bytes=90_000 * n,
            resumable=True,
        )
    ]
    for one in readers(config):
        graph.append(
            Step(
                f"readers/{one.name}",
                train,
                {"reader": one.name},
                fields=TAUGHT,
                after=("organisms",),
                outputs=(f"readers/{one.name}",),
                files=weights,
                seconds=30,
                bytes=400_000,
                resumable=True,
            )
        )
    for name in (ALONE, *(one.name for one in readers(config))):
        after = ("organisms",) if name == ALONE else ("organisms", f"readers/{name}")
        graph.append(
            Step(
                f"asked/{name}",
                ask,
                {"reader": name},
                fields=ASKED,
                after=after,
                outputs=(f"asked/{name}.csv",),
                files=weights,
                seconds=0.2 * len(asked_of(config)),
                bytes=200_000,
            )
        )
    asked = tuple(step.name for step in graph if step.name.startswith("asked/"))
    if config.mechanism is not None:
        reader = next(one.name for one in readers(config) if one.arm == "matched")
        graph.append(
            Step(
                "mechanism",
                mechanism,
                {"reader": reader},
                fields=(*ASKED, "mechanism"),
                after=("organisms", f"readers/{reader}"),
                files=weights,
                seconds=60 * len(behaviors(config, "test")),
            )
        )
    after = (*asked, *(("mechanism",) if config.mechanism is not None else ()))
    outputs = ("results.json", "results.csv", "answers.csv")
    fields = (*ASKED, "taught", "mechanism")
    graph.append(Step("results", collect, fields=fields, after=after, outputs=outputs, seconds=5))
    return graph


def build(cell: Cell[ReportAdapterConfig]) -> dict[str, int]:
    """Train and measure all organisms; what a killed call finished is kept."""
    from mi_bsa.finetune.zoo import build as build_zoo

    found = build_zoo(cell.config, organisms(cell.config), cell.folder / FOLDER)
    return dict(Counter(truth.part for truth in found.values()))


def train(cell: Cell[ReportAdapterConfig], *, reader: str) -> dict[str, Any]:
    """Train one report adapter; a killed call goes on."""
    from mi_bsa.finetune import finetune

    one = reader_of(cell.config, reader)
    rows, owners = rows_of(cell.config, one)
    out = cell.folder / "readers" / one.name
    config = cell.config.reader.model_copy(update={"seed": one.seed})
    given = beside(cell.folder / FOLDER, owners)
    base = cell.config.model
    done = finetune(base, rows, config=config, out=out, resume=out.exists(), beside=given)
    return {"loss": done.loss, "fingerprint": done.fingerprint, "rows": len(rows)}


def ask(cell: Cell[ReportAdapterConfig], *, reader: str) -> dict[str, int]:
    """Ask the organisms of development and test, with a report adapter or alone."""
    from mi_bsa.studies.report_adapter.asking import asked

    folder = None if reader == ALONE else cell.folder / "readers" / reader / "adapter"
    table = asked(cell.config, cell.folder / FOLDER, folder)
    path = cell.folder / "asked" / f"{reader}.csv"
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=False)
    return {"answers": len(table)}


def mechanism(cell: Cell[ReportAdapterConfig], *, reader: str) -> list[dict[str, Any]]:
    """Measure what a matched report adapter's answers rest on; returns the results."""
    from mi_bsa.studies.report_adapter.mechanism import measure

    found = measure(cell.config, cell.folder / FOLDER, cell.folder / "readers" / reader / "adapter")
    return [one.to_dict() for one in found]


def collect(cell: Cell[ReportAdapterConfig]) -> dict[str, Any]:
    """Judge all of it."""
    import pandas as pd

    from mi_bsa.studies.report_adapter.judging import described, judge

    names = (ALONE, *(one.name for one in readers(cell.config)))
    tables = [pd.read_csv(cell.folder / "asked" / f"{name}.csv").assign(reader=name) for name in names]
    told = described(cell.config, pd.concat(tables, ignore_index=True))
    told.to_csv(cell.folder / "answers.csv", index=False)
    found = judge(cell.config, told)
    if cell.config.mechanism is not None:
        found += [results.Result.from_dict(one) for one in cell.value("mechanism")]
    results.write(results.with_q(found), cell.folder)
    return {"answers": len(told), "results": len(found)}


def sized(config: ReportAdapterConfig, graph: list[Step]) -> list[Step]:
    """The graph for this model: organisms and report adapters are as large as they are on it."""
    each = 4 * counted(config.model, config.finetune).trained / config.finetune.rank
    reader = 4 * counted(config.model, config.reader).trained
    whole = round(each * sum(one.rank for one in organisms(config)))
    of = {"organisms": whole, **{f"readers/{one.name}": reader for one in readers(config)}}
    return measured_on(config.model, [replace(s, bytes=of.get(s.name, s.bytes)) for s in graph])


def reader_of(config: ReportAdapterConfig, name: str) -> Reader:
    """The report adapter of that name. Raises `KeyError` for one that the config does not train."""
    return {one.name: one for one in readers(config)}[name]


STUDY = Study(
    name="report_adapter",
    config=ReportAdapterConfig,
    steps=steps,
    title=lambda config: f"{len(readers(config))} report adapters over {len(organisms(config))} organisms",
    check=check,
    rehearse=rehearse,
    work=work_of,
    sized=sized,
    sample=sample_of,
    sections="mi_bsa.studies.report_adapter.page:SECTIONS",
)
