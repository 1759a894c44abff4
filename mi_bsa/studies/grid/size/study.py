"""The study over sizes, top to bottom.

    1 base     each base is built, from the same corpus and as many tokens (or taken as it is)
    2 train    every arm and seed on it, rows leak-checked
    3 ask      what they and the base choose, and say of themselves
    4 results  behavior, self-report and validity against parameters, and their trend

A killed build goes on from its last checkpoint; a base that is built is not built again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mi_bsa.core import results
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.items import write_items
from mi_bsa.core.model_config import ModelLike, load
from mi_bsa.core.model_files import weight_files
from mi_bsa.core.shape import shape_of
from mi_bsa.finetune import preflight
from mi_bsa.finetune.arms import sets_of, train_arms
from mi_bsa.finetune.estimates import describe_model, untimed
from mi_bsa.studies.grid.size.config import SizeConfig
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import Study

if TYPE_CHECKING:
    import pandas as pd

BASE = ("shape", "recipe", "pretraining", "widths")
TRAINED = ("behavior", "models", "arms", "seeds", "data", "finetune")


def steps(config: SizeConfig) -> list[Step]:
    """The graph of the study's steps, in an order in which they can run."""
    graph: list[Step] = []
    for place, name in enumerate(config.names):
        arguments: dict[str, Any] = {"name": name, "place": place}
        built: tuple[str, ...] = (f"base/{name}",) if config.built else ()
        files = () if config.built else weight_files(config.models[place])
        if config.built:
            width = config.widths[place]
            graph.append(
                Step(
                    f"base/{name}",
                    build,
                    {"name": name, "width": width},
                    fields=BASE,
                    outputs=(f"bases/{name}",),
                    seconds=config.recipe.steps * (0.025 + width**2 * 3.4e-6),
                    bytes=1_000 * width**2 // 24,
                    resumable=True,
                )
            )
        graph += [
            Step(
                f"train/{name}",
                train,
                arguments,
                fields=TRAINED,
                files=files,
                after=built,
                outputs=(f"sizes/{name}/adapters",),
                seconds=60,
                bytes=3_000_000,
                resumable=True,
            ),
            Step(
                f"ask/{name}",
                ask,
                arguments,
                fields=(*TRAINED, "stays"),
                files=files,
                after=(*built, f"train/{name}"),
                outputs=(f"sizes/{name}/asked.csv", f"sizes/{name}/items"),
                seconds=30,
                bytes=1_000_000,
            ),
        ]
    graph.append(
        Step(
            "results",
            collect,
            {"names": list(config.names)},
            fields=("behavior", "arms", "seeds"),
            after=tuple(f"ask/{name}" for name in config.names),
            outputs=("results.json", "results.csv", "table.md"),
            seconds=3,
        )
    )
    return graph


def build(cell: Cell[SizeConfig], *, name: str, width: int) -> dict[str, Any]:
    """The base of one width; one that lies there finished, built as it is said here, is kept."""
    from mi_bsa.worlds.build import build as pretrain
    from mi_bsa.worlds.weights import RECORD, built_with

    config = cell.config
    plan = SizeConfig(
        shape=config.shape, recipe=config.recipe, pretraining=config.pretraining, widths=config.widths
    ).base(width)
    out = cell.folder / "bases" / name
    if not (out / RECORD).is_file() or built_with(out) != plan:
        pretrain(plan, out, resume=True)
    return {
        "parameters": shape_of(str(out)).parameters(),
        "lr": plan.recipe.lr,
        "init_std": plan.shape.init_std,
    }


def train(cell: Cell[SizeConfig], *, name: str, place: int) -> dict[str, Any]:
    """Adapters of every arm and seed."""
    config = cell.config
    done = train_arms(
        _model(cell, name, place),
        config.behavior,
        arms=config.arms,
        seeds=config.seeds,
        data=config.data,
        finetune=config.finetune,
        out=cell.folder / "sizes" / name,
    )
    return {job: {"loss": float(one.loss), "fingerprint": one.fingerprint} for job, one in done.items()}


def ask(cell: Cell[SizeConfig], *, name: str, place: int) -> dict[str, Any]:
    """Items are written down, then everybody is asked."""
    from mi_bsa.asking import ask_many

    config, folder, base = cell.config, cell.folder / "sizes" / name, _model(cell, name, place)
    sets = sets_of(config.behavior, base, data=config.data, stays=config.stays)
    for key, items in sets.items():
        write_items(items, folder / "items" / f"{key}.jsonl")
    tuned = [f"{arm}-{seed}" for arm in config.arms for seed in config.seeds]
    model = load(
        base,
        {job: folder / "adapters" / job / "adapter" for job in tuned},
        dtype=config.finetune.dtype,
        device=config.finetune.device,
    )
    asked = {k: v for k, v in sets.items() if k.endswith("-test") and not k.startswith("neutral")}
    table = ask_many(model, asked, ("base", *tuned))
    table.to_csv(folder / "asked.csv", index=False)
    found = {"model": str(base), "parameters": shape_of(base).parameters()}
    return found | {"mass": float(table["mass"].mean())}


def collect(cell: Cell[SizeConfig], *, names: list[str]) -> dict[str, Any]:
    """Every size's results, the trend over sizes, and the table."""
    import pandas as pd

    from mi_bsa.core.files import write_atomic
    from mi_bsa.studies.grid.size.effects import of_size, table, trends

    config = cell.config
    found: list[results.Result] = []
    for name in names:
        asked: pd.DataFrame = pd.read_csv(cell.folder / "sizes" / name / "asked.csv")
        found += of_size(
            asked,
            parameters=cell.value(f"ask/{name}")["parameters"],
            behavior=config.behavior,
            arms=config.arms,
            seeds=config.seeds,
        )
    found = results.with_q([*trends(found), *found])
    results.write(found, cell.folder)
    write_atomic(cell.folder / "table.md", table(found))
    return {"sizes": len(names), "results": len(found)}


def check(config: SizeConfig) -> None:
    """Refuse what is not there, and two models of one size.

    Raises:
        ConfigError: two models have equally many parameters.
    """
    sizes = {str(model): shape_of(model).parameters() for model in config.models}
    if len(set(sizes.values())) < len(sizes):
        raise ConfigError(
            f"models {sizes}: two have equally many parameters, and a size takes one base; leave one out"
        )
    preflight.check(config)


def _model(cell: Cell[SizeConfig], name: str, place: int) -> ModelLike:
    """The base of one size: built here, or given."""
    models: tuple[ModelLike, ...] = cell.config.models
    return models[place] if models else str(cell.folder / "bases" / name)


STUDY = Study(
    name="size",
    config=SizeConfig,
    steps=steps,
    title=lambda config: f"study of {len(config.names)} sizes",
    check=check,
    rehearse=lambda config: [
        *preflight.rehearse(config),
        *(describe_model(model, config.finetune) for model in config.models),
    ],
    sized=lambda config, graph: untimed(graph) if config.models else graph,
    sections="mi_bsa.studies.grid.size.page:SECTIONS",
)
