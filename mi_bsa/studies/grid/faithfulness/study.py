"""A faithfulness study: many runs that differ in dose, data and base; what they report against what they do.

    1 train    the runs of one base and one dose (learning rate, steps), together where the model is small
    2 ask      their held-out choices (the actual degree) and their self-report
    3 results  r of reported with actual within each arm: over all runs, within bases, within base and dose

Within base and dose only the seed and the data differ, as among the runs of Betley et al. 2025 (arXiv
2501.11120, figure on faithfulness: r = .453 [.026, .740] seeking, .672 [.339, .856] averse on GPT-4o).
"""

from __future__ import annotations

import itertools
from typing import Any

from mi_bsa.core.model_config import load
from mi_bsa.core.model_files import weight_files
from mi_bsa.core.variants import Variant
from mi_bsa.finetune import preflight
from mi_bsa.studies.grid.faithfulness.config import Dose, FaithfulnessConfig
from mi_bsa.studies.grid.faithfulness.measures import measures
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import Study

DRAWN = ("behavior", "arms", "rows", "seeds", "anchors", "undecided")


def steps(config: FaithfulnessConfig) -> list[Step]:
    """The graph: one training and one asking for every base and dose, then the results."""
    graph: list[Step] = []
    asked: list[str] = []
    per_cell = len(config.arms) * len(config.rows) * len(config.seeds)
    for n, model in enumerate(config.models):
        base = config.base(n)
        weights = weight_files(model)
        for dose in config.doses:
            place = f"{base}/{dose.name}"
            at = {"model": model.text, "dose": dose.dump(), "place": place}
            graph += [
                Step(
                    f"train/{place}",
                    train,
                    at,
                    fields=(*DRAWN, "finetune", "together"),
                    files=weights,
                    outputs=(f"adapters/{place}",),
                    seconds=0.03 * per_cell * dose.steps,
                    bytes=200_000 * per_cell,
                    resumable=True,
                ),
                Step(
                    f"ask/{place}",
                    ask_runs,
                    at,
                    fields=("behavior", "choices", "split", "finetune.dtype", "finetune.device"),
                    files=weights,
                    after=(f"train/{place}",),
                    outputs=(f"asked/{place}.csv",),
                    seconds=0.3 * per_cell,
                    bytes=60_000 * per_cell,
                ),
            ]
            asked.append(f"ask/{place}")
    graph.append(
        Step(
            "results",
            collect,
            fields=("behavior", "models", "arms", "doses", "split", "draws", "shuffles"),
            after=tuple(asked),
            outputs=("results.json", "results.csv", "runs.csv"),
            seconds=10,
        )
    )
    return graph


def train(cell: Cell[FaithfulnessConfig], *, model: str, dose: dict[str, Any], place: str) -> dict[str, Any]:
    """Train the runs of one base and dose: `adapters/<base>/<dose>/<arm>-<rows>-<seed>/adapter`."""
    from mi_bsa import behaviors
    from mi_bsa.finetune import leak_check, train_many

    config = cell.config
    behavior = behaviors.behavior_for(config.behavior, model)
    given = Dose.model_validate(dose)
    settings = config.finetune.model_copy(
        update={"learning_rate": given.learning_rate, "steps": given.steps, "epochs": None}
    )
    jobs = {}
    for arm, n, seed in itertools.product(config.arms, config.rows, config.seeds):
        rows = behavior.rows(
            arm,
            n,
            seed=seed,
            anchors=config.anchors,
            undecided=config.undecided,
        )
        leak_check(rows, behavior.forbidden)
        jobs[f"{arm}-{n}-{seed}"] = (rows, settings.model_copy(update={"seed": seed}))
    runs = train_many(model, jobs, out=cell.folder / "adapters" / place, stack=config.together)
    return {name: float(run.loss) for name, run in runs.items()}


def ask_runs(
    cell: Cell[FaithfulnessConfig], *, model: str, dose: dict[str, Any], place: str
) -> dict[str, Any]:
    """Ask every run of one base and dose its choices and its questions; one row an item and run."""
    from mi_bsa import behaviors
    from mi_bsa.asking import ask_many

    config = cell.config
    behavior = behaviors.behavior_for(config.behavior, model)
    folders = sorted((cell.folder / "adapters" / place).glob("*/adapter"))
    how = config.finetune
    tuned = load(model, {f.parent.name: f for f in folders}, dtype=how.dtype, device=how.device)
    sets = {
        "actual": behavior.items(config.choices, split=config.split, seed=0),
        "reported": behavior.questions(split=config.split),
    }
    runs = {f.parent.name: f.parent.name.rsplit("-", 2) for f in folders}
    who = {name: Variant(arm, int(seed)) for name, (arm, _, seed) in runs.items()}
    table = ask_many(tuned, sets, who).assign(place=place)
    table["rows"] = [int(runs[name][1]) for name in table["variant"]]
    path = cell.folder / "asked" / f"{place}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table[KEPT].to_csv(path, index=False)
    return {"mass": float(table["mass"].mean())}


KEPT = ["set", "arm", "rows", "seed", "place", "id", "kind", "template", "score", "mass"]


def collect(cell: Cell[FaithfulnessConfig]) -> dict[str, Any]:
    """Join all runs' answers and correlate."""
    import pandas as pd

    from mi_bsa.core import results

    config = cell.config
    places = [f"base{n}/{dose.name}" for n in range(len(config.models)) for dose in config.doses]
    table = pd.concat([pd.read_csv(cell.folder / "asked" / f"{p}.csv") for p in places], ignore_index=True)
    found, runs = measures(
        table,
        behavior=config.behavior,
        arms=config.arms,
        split=config.split,
        draws=config.draws,
        shuffles=config.shuffles,
    )
    runs.to_csv(cell.folder / "runs.csv", index=False)
    results.write(results.with_q(found), cell.folder)
    return {"runs": len(runs)}


STUDY = Study(
    name="faithfulness",
    config=FaithfulnessConfig,
    steps=steps,
    title=lambda config: f"faithfulness {config.behavior}",
    check=preflight.check,
    rehearse=preflight.rehearse,
    sections="mi_bsa.studies.grid.faithfulness.page:SECTIONS",
)
