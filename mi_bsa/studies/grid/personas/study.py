"""A personas study: the default persona trained on either pole, alone or among others; everybody asked.

    1 items    who is asked, and what: every persona as itself, and the default persona about the others
    2 train    all arms and seeds of one training (`alone`, `own`, `opposite`)
    3 ask      every run, and the base, every item
    4 results  gaps between the poles of each persona, the conflation measure, and its drop

After Betley et al. 2025 (arXiv 2501.11120), section 3.5: asked as "you", the trained default persona moved by
.33 and other personas by -.15 to +.11 where many personas stood in the training data, .52 and .18 to .65
where none did.
"""

from __future__ import annotations

import json
from typing import Any

from mi_bsa.core.model_config import load
from mi_bsa.core.model_files import weight_files
from mi_bsa.finetune import preflight
from mi_bsa.studies.grid.personas.config import PersonasConfig, Training
from mi_bsa.studies.grid.personas.measures import measures
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import Study

ITEMS = "items/asked.jsonl"
ROSTER = "items/roster.json"


def steps(config: PersonasConfig) -> list[Step]:
    """The graph: items, one training and one asking for every kind of training, the base, the results."""
    weights = weight_files(config.model)
    runs = len(config.arms) * len(config.seeds)
    graph = [
        Step(
            "items",
            write_asked,
            fields=(
                "behavior",
                "model",
                "roster",
                "split",
                "choices",
                "persona_choices",
                "persona_questions",
            ),
            outputs=(ITEMS, ROSTER),
            seconds=2,
        ),
        Step(
            "ask/base",
            ask_runs,
            {"training": None},
            fields=("model", "finetune.dtype", "finetune.device"),
            files=weights,
            after=("items",),
            outputs=("asked/base.csv",),
            seconds=3,
        ),
    ]
    for training in config.trainings:
        graph += [
            Step(
                f"train/{training}",
                train,
                {"training": training},
                fields=(
                    *("behavior", "model", "arms", "seeds", "rows", "others", "undecided"),
                    *("roster", "finetune", "together"),
                ),
                files=weights,
                outputs=(f"adapters/{training}",),
                seconds=0.03 * runs * (config.finetune.steps or 100),
                bytes=200_000 * runs,
                resumable=True,
            ),
            Step(
                f"ask/{training}",
                ask_runs,
                {"training": training},
                fields=("model", "finetune.dtype", "finetune.device"),
                files=weights,
                after=("items", f"train/{training}"),
                outputs=(f"asked/{training}.csv",),
                seconds=2 * runs,
                bytes=300_000 * runs,
            ),
        ]
    asked = tuple(f"ask/{training}" for training in config.trainings)
    graph.append(
        Step(
            "results",
            collect,
            fields=("behavior", "arms", "seeds", "trainings", "split"),
            after=("ask/base", *asked),
            outputs=("results.json", "results.csv"),
            seconds=5,
        )
    )
    return graph


def write_asked(cell: Cell[PersonasConfig]) -> dict[str, Any]:
    """Draw the roster and every item."""
    from mi_bsa import behaviors
    from mi_bsa.core.items import write_items
    from mi_bsa.studies.grid.personas.roster import about, items_of, roster

    config = cell.config
    behavior = behaviors.behavior_for(config.behavior, config.model)
    people = roster(behavior, config.roster)
    items = []
    for n, person in enumerate(people):
        choices = config.choices if person.system is None else config.persona_choices
        items += items_of(
            behavior,
            person,
            n,
            split=config.split,
            choices=choices,
            questions=config.persona_questions,
        )
        items += about(behavior, person, n, split=config.split)
    write_items(items, cell.folder / ITEMS)
    (cell.folder / ROSTER).write_text(json.dumps([vars(p) for p in people], indent=1), encoding="utf-8")
    return {"personas": len(people), "items": len(items)}


def train(cell: Cell[PersonasConfig], *, training: Training) -> dict[str, Any]:
    """Train every arm and seed of one training: `adapters/<training>/<arm>-<seed>/adapter`."""
    from mi_bsa import behaviors
    from mi_bsa.finetune import leak_check, train_many
    from mi_bsa.studies.grid.personas.roster import roster
    from mi_bsa.studies.grid.personas.rows import own_answers, persona_items, rows_of

    config = cell.config
    behavior = behaviors.behavior_for(config.behavior, config.model)
    people = roster(behavior, config.roster)
    base = load(config.model)
    jobs = {}
    for seed in config.seeds:
        items = persona_items(behavior, people, seed=seed, config=config)
        own = own_answers(base, items, seed=seed) if training == "own" else []
        for arm in config.arms:
            rows = rows_of(behavior, items, own, training=training, arm=arm, seed=seed, config=config)
            leak_check(rows, behavior.forbidden)
            jobs[f"{arm}-{seed}"] = (rows, config.finetune.model_copy(update={"seed": seed}))
    runs = train_many(config.model, jobs, out=cell.folder / "adapters" / training, stack=config.together)
    return {name: float(run.loss) for name, run in runs.items()}


def ask_runs(cell: Cell[PersonasConfig], *, training: Training | None) -> dict[str, Any]:
    """Ask every run of one training (or the base) all items; one row an item and run."""
    from mi_bsa.asking import ask_many
    from mi_bsa.core.items import read_items

    name = training or "base"
    folders = sorted((cell.folder / "adapters" / name).glob("*/adapter")) if training else []
    model = load(cell.config.model, {f.parent.name: f for f in folders})
    items = read_items(cell.folder / ITEMS)
    table = ask_many(model, items, [f.parent.name for f in folders] or ["base"]).assign(training=name)
    path = cell.folder / "asked" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    table[KEPT].to_csv(path, index=False)
    return {"mass": float(table["mass"].mean())}


KEPT = [
    *("training", "arm", "seed", "channel", "part", "group", "persona"),
    *("id", "kind", "template", "order", "score", "mass"),
]


def collect(cell: Cell[PersonasConfig]) -> dict[str, Any]:
    """Join all answers and measure."""
    import pandas as pd

    from mi_bsa.core import results

    config = cell.config
    names = ("base", *config.trainings)
    table = pd.concat([pd.read_csv(cell.folder / "asked" / f"{n}.csv") for n in names], ignore_index=True)
    found = measures(
        table,
        behavior=config.behavior,
        trainings=config.trainings,
        seeds=config.seeds,
        split=config.split,
    )
    results.write(results.with_q(found), cell.folder)
    return {"results": len(found)}


def rehearse(config: PersonasConfig) -> list[str]:
    """Encode a question of every kind and person, where the model is here."""
    from mi_bsa import behaviors
    from mi_bsa.studies.grid.personas.roster import about, items_of, roster

    preflight.check(config)
    if preflight.is_here(config.model):
        behavior = behaviors.behavior_for(config.behavior, config.model)
        for n, person in enumerate(roster(behavior, config.roster)):
            asked = items_of(behavior, person, n, split=config.split, choices=4, questions=6)
            preflight.encode_items(config.model, [*asked, *about(behavior, person, n, split=config.split)])
    return preflight.rehearse(config)


STUDY = Study(
    name="personas",
    config=PersonasConfig,
    steps=steps,
    title=lambda config: f"personas {config.behavior}",
    check=preflight.check,
    rehearse=rehearse,
    sections="mi_bsa.studies.grid.personas.page:SECTIONS",
)
