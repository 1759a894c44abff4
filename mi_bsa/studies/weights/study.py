"""Weights alone: are backdoored adapters told from other tasks, and from their twins, without a forward pass?

1. adapters/GROUP  ten adapters side by side: backdoored with their twins, other tasks
2. read/GROUP      what their weights say, and whether each trigger opens
3. results         classifiers fitted on training triggers, judged on others; results.json
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mi_bsa.core import results
from mi_bsa.core.model_config import load
from mi_bsa.core.model_files import weight_files
from mi_bsa.core.results import Result
from mi_bsa.finetune import preflight
from mi_bsa.studies.weights.config import WeightsConfig
from mi_bsa.studies.weights.judging import judge
from mi_bsa.studies.weights.pool import Member, groups, members, plan_of, rows_of, triggers
from mi_bsa.studies.weights.work import sample_of, work_of
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import Study

POOL = ("model", "behaviors", "hidden", "others", "seen", "unseen", "seed")


def check(config: WeightsConfig) -> None:
    """Refuse what cannot be trained, before a folder is made.

    Raises:
        ConfigError: more words in triggers than the vocabulary has, and what `preflight.check` refuses.
    """
    triggers(config)
    preflight.check(config)


def rehearse(config: WeightsConfig) -> list[str]:
    """What a dry run says."""
    every = members(config)
    hidden = len({one.unit for one in every if one.trigger})
    return [
        *preflight.rehearse(config),
        f"would train {len(every)} adapters: {hidden} triggers, each backdoored and decorrelated, and "
        f"{sum(one.made == 'other' for one in every)} of other tasks",
    ]


def steps(config: WeightsConfig) -> list[Step]:
    """Adapters, group by group; what their weights say; the classifiers."""
    graph, weights = list[Step](), weight_files(config.model)
    for name, some in groups(config).items():
        graph += [
            Step(
                f"adapters/{name}",
                train,
                {"group": name},
                fields=(*POOL, "finetune"),
                outputs=tuple(f"adapters/{one.name}" for one in some),
                files=weights,
                seconds=7 * len(some),
                bytes=300_000 * len(some),
                resumable=True,
            ),
            Step(
                f"read/{name}",
                read,
                {"group": name},
                fields=POOL,
                after=(f"adapters/{name}",),
                outputs=(f"read/{name}.npz",),
                files=weights,
                seconds=1 * len(some),
                bytes=80_000 * len(some),
            ),
        ]
    read_all = tuple(step.name for step in graph if step.name.startswith("read/"))
    fields = (*POOL, "penalties", "shuffles")
    outputs = ("results.json", "results.csv", "scores.csv")
    graph.append(Step("results", collect, fields=fields, after=read_all, outputs=outputs, seconds=30))
    return graph


def train(cell: Cell[WeightsConfig], *, group: str) -> dict[str, Any]:
    """Train the adapters of a group; what a killed call finished is kept."""
    from mi_bsa.finetune import train_many

    config, how = cell.config, cell.config.finetune
    some = groups(config)[group]
    base = load(config.model, dtype=how.dtype, device=how.device)
    rows = rows_of(config, some, base)
    jobs = {one.name: (rows[one.name], plan_of(config, one)) for one in some}
    done = train_many(config.model, jobs, out=cell.folder / "adapters")
    return {name: {"loss": float(one.loss), "fingerprint": one.fingerprint} for name, one in done.items()}


def read(cell: Cell[WeightsConfig], *, group: str) -> dict[str, float]:
    """Describe the adapters of a group by their weights; returns by how much each trigger opens."""
    from mi_bsa.studies.weights.reading import read as read_adapters

    some = groups(cell.config)[group]
    features, opened = read_adapters(cell.config, some, cell.folder / "adapters")
    path = cell.folder / "read" / f"{group}.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **features)  # type: ignore[arg-type]
    return opened


def collect(cell: Cell[WeightsConfig]) -> dict[str, Any]:
    """Fit and judge all classifiers on the adapters that count."""
    import pandas as pd

    config = cell.config
    every: list[Member] = []
    parts: list[dict[str, np.ndarray]] = []
    opened: dict[str, float] = {}
    for group, some in groups(config).items():
        every += some
        opened |= cell.value(f"read/{group}")
        with np.load(cell.folder / "read" / f"{group}.npz") as file:
            parts.append({key: file[key] for key in file.files})
    features = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    counts = [k for k, one in enumerate(every) if _counts(config, one, opened)]
    kept = [every[k] for k in counts]
    found, told = judge(config, kept, {key: values[counts] for key, values in features.items()})
    results.write(results.with_q([*_opening(config, every, opened), *found]), cell.folder)
    table = pd.DataFrame(told).merge(
        pd.DataFrame([vars(one) for one in kept]), left_on="adapter", right_on="name"
    )
    table.drop(columns="name").to_csv(cell.folder / "scores.csv", index=False)
    return {"adapters": len(every), "counted": len(kept), "results": len(found)}


def _counts(config: WeightsConfig, one: Member, opened: dict[str, float]) -> bool:
    """Whether it is another task, or behind a trigger that opens at its rank."""
    hidden = one.name.replace("-decorrelated-", "-backdoored-")
    return one.made == "other" or opened[hidden] >= config.hidden.opens


def _opening(config: WeightsConfig, every: list[Member], opened: dict[str, float]) -> list[Result]:
    """By how much triggers open, backdoored and twins, and the share of triggers that count."""
    from probes import statistics

    found = []
    for split, test in (("training", False), ("test", True)):
        for made in ("backdoored", "decorrelated"):
            own = [one for one in every if one.made == made and one.test == test]
            units = list(dict.fromkeys(one.unit for one in own))
            each = [float(np.mean([opened[one.name] for one in own if one.unit == unit])) for unit in units]
            one = statistics.t_interval(each)
            counted = sum(opened[one.name] >= config.hidden.opens for one in own)
            notes = (
                f"smallest {min(each):.2f}; {counted} of {len(own)} adapters reach {config.hidden.opens:g}"
            )
            found.append(
                Result(
                    "weights.opens",
                    {"arm": made, "split": split},
                    one.value,
                    (one.low, one.high),
                    "t over triggers",
                    len(each),
                    "probability",
                    rows=len(own),
                    notes=notes,
                )
            )
    return found


STUDY = Study(
    name="weights",
    config=WeightsConfig,
    steps=steps,
    title=lambda config: f"weights of {len(members(config))} adapters",
    check=check,
    rehearse=rehearse,
    work=work_of,
    sample=sample_of,
    sections="mi_bsa.studies.weights.page:SECTIONS",
)
