"""Organisms trained to deny: what they say of themselves, and what their states say.

1. organisms/BEHAVIOR  either pole and shuffled ones, and the same trained on to deny
2. read/BEHAVIOR       what each reader tells of each pair of them
3. results             over behaviors; results.json, told.csv
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mi_bsa.behaviors import behavior_for, vocabulary_of
from mi_bsa.behaviors.common import check_short
from mi_bsa.core import results
from mi_bsa.core.errors import BehaviorError
from mi_bsa.core.model_files import weight_files
from mi_bsa.finetune import preflight
from mi_bsa.finetune.estimates import counted, measured_on, needs
from mi_bsa.finetune.preferring import check_trl
from mi_bsa.finetune.zoo.manifest import read_manifest
from mi_bsa.studies.denial.config import DenialStudyConfig, base_of, behaviors_of, organisms_of, zoo_of
from mi_bsa.studies.denial.judging import judge
from mi_bsa.studies.denial.work import SECONDS, sample_of, work_of
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import Study

MADE = ("places", "seeds", "trainings", "data", "finetune", "denial")


def check(config: DenialStudyConfig) -> None:
    """Refuse what cannot be trained, before a folder is made.

    Raises:
        MissingError: preferences are to be trained and TRL is not installed.
        BankError: a behavior whose bank has no training wordings, on which denial is trained.
        BehaviorError: one that has no words for its poles, or whose choices are texts. What
            `preflight.check` refuses.
    """
    if any(training.endswith("preferences") for training in config.trainings):
        check_trl()
    preflight.check(config)
    for name in behaviors_of(config):
        bound = behavior_for(name, base_of(config, name))
        list(bound.questions(split="pretrain"))
        if not hasattr(bound.behavior, "described"):
            raise BehaviorError(
                f"behavior {name!r} has no words for its poles, which the lens looks for; give it `described`"
            )
        check_short(bound)


def rehearse(config: DenialStudyConfig) -> list[str]:
    """What a dry run says."""
    check(config)
    every = [one for behavior in behaviors_of(config) for one in organisms_of(config, behavior)]
    deny = sum(one.says is not None for one in every)
    return [
        *preflight.rehearse(config),
        *(line for place in config.places for line in needs(place.model, config.finetune)),
        f"would train {len(every)} organisms, {deny} of which deny",
    ]


def steps(config: DenialStudyConfig) -> list[Step]:
    """Organisms, behavior by behavior; what is told of them; what holds over behaviors."""
    graph = list[Step]()
    for behavior in behaviors_of(config):
        weights, given = weight_files(base_of(config, behavior)), {"behavior": behavior}
        count = len(organisms_of(config, behavior))
        graph += [
            Step(
                f"organisms/{behavior}",
                make,
                given,
                fields=MADE,
                outputs=(f"organisms/{behavior}",),
                files=weights,
                seconds=SECONDS["organism"] * count,
                bytes=150_000 * count,
                resumable=True,
            ),
            Step(
                f"read/{behavior}",
                read,
                given,
                fields=(*MADE, "methods", "items", "texts", "split"),
                after=(f"organisms/{behavior}",),
                outputs=(f"read/{behavior}.csv",),
                files=weights,
                seconds=SECONDS["read"],
                bytes=20_000,
            ),
        ]
    after = tuple(step.name for step in graph)
    outputs = ("results.json", "results.csv", "told.csv")
    graph.append(
        Step("results", collect, fields=("places", "split"), after=after, outputs=outputs, seconds=5)
    )
    return graph


def make(cell: Cell[DenialStudyConfig], *, behavior: str) -> dict[str, Any]:
    """Train the organisms of a behavior; what a killed call finished is kept."""
    from mi_bsa.finetune.zoo.building import build

    config = cell.config
    truths = build(zoo_of(config), organisms_of(config, behavior), cell.folder / "organisms" / behavior)
    return {"organisms": len(truths)}


def read(cell: Cell[DenialStudyConfig], *, behavior: str) -> dict[str, Any]:
    """Read them."""
    import pandas as pd

    from mi_bsa.studies.denial.reading import read as read_organisms

    told = read_organisms(cell.config, behavior, cell.folder / "organisms" / behavior)
    path = cell.folder / "read" / f"{behavior}.csv"
    path.parent.mkdir(exist_ok=True)
    pd.DataFrame(told).assign(behavior=behavior).to_csv(path, index=False)
    return {"told": len(told)}


def collect(cell: Cell[DenialStudyConfig]) -> dict[str, Any]:
    """What holds over behaviors."""
    import pandas as pd

    config = cell.config
    parts = [
        pd.read_csv(cell.folder / "read" / f"{behavior}.csv", keep_default_na=False)
        for behavior in behaviors_of(config)
    ]
    table = pd.concat(parts, ignore_index=True)
    table.to_csv(cell.folder / "told.csv", index=False)
    truths = [
        truth
        for behavior in behaviors_of(config)
        for truth in read_manifest(cell.folder / "organisms" / behavior).values()
    ]
    found = judge(table, truths, split=config.split)
    results.write(results.with_q(found), cell.folder)
    return {"results": len(found)}


def sized(config: DenialStudyConfig, graph: list[Step]) -> list[Step]:
    """The graph for these models: organisms of one that reads English are as large as they are on it."""
    found = list[Step]()
    for step in graph:
        behavior = step.arguments.get("behavior")
        base = None if behavior is None else base_of(config, behavior)
        if base is not None and vocabulary_of(base) == "english":
            each = 4 * counted(base, config.finetune).trained * len(organisms_of(config, str(behavior)))
            step = replace(step, bytes=each if step.name.startswith("organisms/") else step.bytes)
            step = measured_on(base, [step])[0]
        found.append(step)
    return found


STUDY = Study(
    name="denial",
    config=DenialStudyConfig,
    steps=steps,
    title=lambda config: f"denial of {len(behaviors_of(config))} behaviors",
    check=check,
    rehearse=rehearse,
    work=work_of,
    sized=sized,
    sample=sample_of,
    sections="mi_bsa.studies.denial.page:SECTIONS",
)
