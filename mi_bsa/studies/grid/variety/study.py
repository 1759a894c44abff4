"""The study of many behaviors, top to bottom; one table at its end.

    0 base      where no models are given: siblings of the embedded model that know the preferences
    1 train     every arm and seed of a behavior, all at once, rows leak-checked
    2 ask       what they and the base choose, and say of themselves
    3 transfer  a probe of the choices' state, tested on self-report prompts
    4 results   a row a behavior, and what holds over all of them

Each behavior has a folder `behaviors/<name>` that looks like a study of its own.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mi_bsa.core import results
from mi_bsa.core.items import write_items
from mi_bsa.core.model_config import load
from mi_bsa.core.model_files import weight_files
from mi_bsa.finetune import preflight
from mi_bsa.finetune.arms import sets_of, train_arms
from mi_bsa.studies.grid.variety.config import VarietyConfig
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import Study

if TYPE_CHECKING:
    import pandas as pd

TRAINED = ("arms", "seeds", "data", "finetune")


def steps(config: VarietyConfig) -> list[Step]:
    """The graph of the study's steps, in an order in which they can run."""
    graph: list[Step] = []
    bases = config.bases()
    built = () if config.models else tuple(dict.fromkeys(bases.values()))
    for base in built:
        graph.append(
            Step(
                base,
                build,
                {"base": base},
                fields=("recipe", "pretraining"),
                outputs=(base,),
                seconds=config.recipe.steps * 0.03,
                bytes=800_000,
                resumable=True,
            )
        )
    for name, model in bases.items():
        weights = () if model in built else weight_files(model)
        before = (model,) if model in built else ()
        graph += [
            Step(
                f"train/{name}",
                train,
                {"behavior": name, "model": model},
                fields=TRAINED,
                files=weights,
                after=before,
                outputs=(f"behaviors/{name}/adapters",),
                seconds=20,
                bytes=2_000_000,
                resumable=True,
            ),
            Step(
                f"ask/{name}",
                ask,
                {"behavior": name, "model": model},
                fields=(*TRAINED, "stays"),
                after=(*before, f"train/{name}"),
                files=weights,
                outputs=(f"behaviors/{name}/asked.csv", f"behaviors/{name}/items"),
                seconds=10,
                bytes=1_000_000,
            ),
        ]
        if config.transfer:
            graph.append(
                Step(
                    f"transfer/{name}",
                    transfer,
                    {"behavior": name, "model": model},
                    fields=("arms", "seeds", "finetune", "probe"),
                    files=weights,
                    after=(*before, f"train/{name}", f"ask/{name}"),
                    outputs=(f"behaviors/{name}/transfer.json",),
                    seconds=15,
                    bytes=1_000_000,
                )
            )
    last = "transfer" if config.transfer else "ask"
    graph.append(
        Step(
            "results",
            collect,
            fields=("behaviors", "arms", "seeds", "transfer"),
            after=tuple(
                f"{part}/{name}" for name in config.behaviors for part in dict.fromkeys(("ask", last))
            ),
            outputs=("results.json", "results.csv", "table.csv", "table.md"),
            seconds=5,
        )
    )
    return graph


def build(cell: Cell[VarietyConfig], *, base: str) -> dict[str, Any]:
    """One sibling; one that lies there finished, built as it is said here, is kept."""
    from mi_bsa.worlds.build import build as pretrain
    from mi_bsa.worlds.weights import RECORD, built_with

    out, config = cell.folder / base, cell.config
    plan = VarietyConfig(recipe=config.recipe, pretraining=config.pretraining).build(base)
    if not (out / RECORD).is_file() or built_with(out) != plan:
        pretrain(plan, out, resume=True)
    return {"traits": list(plan.recipe.traits)}


def train(cell: Cell[VarietyConfig], *, behavior: str, model: str) -> dict[str, Any]:
    """Adapters of every arm and seed."""
    config = cell.config
    done = train_arms(
        _model(cell, model),
        behavior,
        arms=config.arms,
        seeds=config.seeds,
        data=config.data,
        finetune=config.finetune,
        out=_folder(cell, behavior),
    )
    return {name: {"loss": float(one.loss), "fingerprint": one.fingerprint} for name, one in done.items()}


def ask(cell: Cell[VarietyConfig], *, behavior: str, model: str) -> dict[str, Any]:
    """Items are written down, then everybody is asked."""
    from mi_bsa.asking import ask_many

    config, folder = cell.config, _folder(cell, behavior)
    sets = sets_of(behavior, _model(cell, model), data=config.data, stays=config.stays)
    for name, items in sets.items():
        write_items(items, folder / "items" / f"{name}.jsonl")
    tuned = [f"{arm}-{seed}" for arm in config.arms for seed in config.seeds]
    loaded = load(
        _model(cell, model),
        {name: folder / "adapters" / name / "adapter" for name in tuned},
        dtype=config.finetune.dtype,
        device=config.finetune.device,
    )
    asked = {name: items for name, items in sets.items() if name in ASKED}
    table = ask_many(loaded, asked, ("base", *tuned))
    table.to_csv(folder / "asked.csv", index=False)
    return {"answers": len(table), "mass": float(table["mass"].mean())}


ASKED = (
    "choice-test",
    "report-test",
    "neighbor_choice-test",
    "neighbor_report-test",
    "named_choice-test",
    "named_report-test",
)


def transfer(cell: Cell[VarietyConfig], *, behavior: str, model: str) -> dict[str, Any]:
    """The bridge's transfer, in the behavior's own folder."""
    from mi_bsa.causal.caching import CACHED, cache_set
    from mi_bsa.causal.transfer import fit_and_test

    config = cell.config
    alone: Any = SimpleNamespace(
        behavior=behavior,
        model=_model(cell, model),
        arms=config.arms,
        seeds=config.seeds,
        probe=config.probe,
        finetune=config.finetune,
    )
    own = Cell(_folder(cell, behavior), alone, cell.step, cell.after)
    poles = [f"{arm}-{seed}" for arm in ("seeking", "averse") for seed in config.seeds]
    for name in CACHED:
        cache_set(own, name=name, variants=poles)
    found = fit_and_test(own)
    return {"layer": found["layer"]}


def collect(cell: Cell[VarietyConfig]) -> dict[str, Any]:
    """Every behavior's results, what holds over all, and the table."""
    import pandas as pd

    from mi_bsa.causal.effects import all_effects
    from mi_bsa.causal.steer_and_patch import read
    from mi_bsa.core.files import write_atomic
    from mi_bsa.studies.grid.variety.table import of_behavior, over_behaviors, table, to_markdown

    config = cell.config
    found: list[results.Result] = []
    for behavior in config.behaviors:
        folder = _folder(cell, behavior)
        asked: pd.DataFrame = pd.read_csv(folder / "asked.csv")
        own = all_effects(asked, behavior=behavior, arms=config.arms, seeds=config.seeds)
        if config.transfer:
            own += [r for r in read(folder / "transfer.json") if r.name != "bridge.transfer.auroc"]
        found += of_behavior(own)
    found = results.with_q([*over_behaviors(found, config.behaviors), *found])
    results.write(found, cell.folder)
    rows = table(found, config.behaviors)
    rows.to_csv(cell.folder / "table.csv", index=False)
    write_atomic(cell.folder / "table.md", to_markdown(rows))
    return {"behaviors": len(rows), "results": len(found)}


def _folder(cell: Cell[VarietyConfig], behavior: str) -> Path:
    return cell.folder / "behaviors" / behavior


def _model(cell: Cell[VarietyConfig], base: str) -> str:
    """A base as a model's name or folder."""
    return str(cell.folder / base) if base.startswith("bases/") else base


STUDY = Study(
    name="variety",
    config=VarietyConfig,
    steps=steps,
    title=lambda config: f"study of {len(config.behaviors)} behaviors",
    check=preflight.check,
    rehearse=preflight.rehearse,
    sections="mi_bsa.studies.grid.variety.page:SECTIONS",
)
