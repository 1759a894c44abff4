"""The preferences study, top to bottom.

    1 base        where no model is given: the embedded world's base is built
    2 draw        contexts and, for every seed, target weights
    3 train       choices by the targets: all layers that the config says, and the first half of them
    4 ask         every run: fresh choices, the weights they reveal, and reports
    5 reports     on each instilled model: one report an example, on its own weights, on shuffled ones, on
                  another model's, and on its own in native contexts; twice, on either half of the contexts
    6 ask         the same again, on the other half and on native contexts; choices are measured again
    7 mechanics   probes of the weights while choosing and while reporting; attributions of both tasks
    8 results     who reports what, beyond which controls

After Plunkett et al. 2025 (arXiv 2505.17120).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.core.files import write_json
from mi_bsa.core.model_config import ModelLike, load, on_cpu
from mi_bsa.core.model_files import weight_files, weights_hash
from mi_bsa.finetune import preflight
from mi_bsa.studies.preferences.config import PreferencesConfig as PreferencesConfig
from mi_bsa.studies.preferences.setting import FIELDS, base_of, setting
from mi_bsa.studies.preferences.training import FOLDS, REPORT_ARMS
from mi_bsa.study.registry import preview_steps, run_steps
from mi_bsa.study.steps import Cell, Step

if TYPE_CHECKING:
    import activations

ASKING = ("choices", "labels", "reports", "max_new_tokens", "finetune.dtype", "finetune.device")
PARTS = ("instilled", "native")


def steps(config: PreferencesConfig) -> list[Step]:
    """The graph of the study's steps, in an order in which they can run."""
    graph: list[Step] = []
    base: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    if config.model is None:
        base = ("base",)
        graph.append(
            Step(
                "base",
                build,
                fields=("shape", "recipe", "pretraining"),
                outputs=("base",),
                seconds=config.recipe.steps * 0.08,
                bytes=1_000_000,
                resumable=True,
            )
        )
    else:
        files = weight_files(config.model)
    given = () if config.contexts is None else (config.contexts,)
    graph.append(
        Step("draw", draw, fields=(*FIELDS, "seeds"), files=given, outputs=("contexts.json",), seconds=1)
    )
    common: dict[str, Any] = {"files": files, "after": (*base, "draw")}
    rows = config.instilled * config.train_choices
    graph.append(_ask("base", None, config, **common))
    for arm in config.arms:
        graph.append(
            Step(
                f"train/{arm}",
                train_choices,
                {"arm": arm},
                fields=(*FIELDS, "seeds", "arms", "train_choices", "finetune"),
                outputs=(f"arms/{arm}",),
                seconds=len(config.seeds) * config.finetune.total_steps(rows) * 0.12,
                bytes=400_000 * len(config.seeds),
                resumable=True,
                **common,
            )
        )
        after = (*common["after"], f"train/{arm}")
        graph += [_ask(arm, seed, config, files=files, after=after) for seed in config.seeds]
    own = tuple(f"ask/instilled-{seed}" for seed in config.seeds)
    for seed in config.seeds:
        after = (*common["after"], "train/instilled", *own)
        graph += [
            Step(
                f"reports/{seed}",
                train_reports,
                {"seed": seed},
                fields=(*FIELDS, "seeds", "report_finetune", "finetune.dtype"),
                version=2,
                outputs=(f"reports/{seed}",),
                files=files,
                after=after,
                seconds=60,
                bytes=3_000_000,
                resumable=True,
            ),
            Step(
                f"again/{seed}",
                ask_again,
                {"seed": seed},
                fields=(*FIELDS, *ASKING),
                version=3,
                outputs=(f"again/{seed}.json",),
                files=files,
                after=(*after, f"reports/{seed}"),
                seconds=90,
                bytes=300_000,
            ),
        ]
        if config.mechanics.enabled:
            graph.append(
                Step(
                    f"mechanics/{seed}",
                    mechanics,
                    {"seed": seed},
                    fields=(*FIELDS, "mechanics", "finetune.dtype", "finetune.device"),
                    outputs=(f"mechanics/{seed}.json",),
                    files=files,
                    after=(*common["after"], "train/instilled"),
                    seconds=60,
                    bytes=20_000,
                )
            )
    last = [f"again/{seed}" for seed in config.seeds]
    last += [f"mechanics/{seed}" for seed in config.seeds if config.mechanics.enabled]
    last += [f"ask/{arm}-{seed}" for arm in config.arms for seed in config.seeds]
    graph.append(
        Step(
            "results",
            collect,
            fields=("seeds", "arms", "instilled", "choices", "draws", "mechanics.enabled"),
            version=4,
            after=("draw", "ask/base", *last),
            outputs=("results.json", "results.csv"),
            seconds=30,
        )
    )
    return graph


def _ask(
    arm: str, seed: int | None, config: PreferencesConfig, *, files: tuple[Path, ...], after: tuple[str, ...]
) -> Step:
    name = arm if seed is None else f"{arm}-{seed}"
    prompts = (config.instilled + config.native) * (config.choices + 4 * config.reports)
    return Step(
        f"ask/{name}",
        ask,
        {"arm": arm, "seed": seed},
        fields=(*FIELDS, *ASKING),
        version=2,
        outputs=(f"asked/{name}.json",),
        files=files,
        after=after,
        seconds=prompts * 0.002,
        bytes=100_000,
    )


def build(cell: Cell) -> dict[str, Any]:
    """Step 1: the base; one that lies there finished, built as it is said here, is kept."""
    from mi_bsa.worlds.build import build as pretrain
    from mi_bsa.worlds.weights import RECORD, built_with

    config = cell.config
    plan = PreferencesConfig.model_construct(
        shape=config.shape, recipe=config.recipe, pretraining=config.pretraining
    ).build
    out = cell.folder / "base"
    if not (out / RECORD).is_file() or built_with(out) != plan:
        pretrain(plan, out, resume=True)
    return {"tokens": plan.recipe.steps * plan.recipe.rows * plan.recipe.row}


def draw(cell: Cell) -> dict[str, Any]:
    """Step 2: contexts and target weights are written down."""
    found = setting(cell.config)
    write_json(
        cell.folder / "contexts.json",
        {
            "contexts": {
                part: [
                    {
                        "id": c.id,
                        "role": c.role,
                        "choice": c.choice,
                        "attributes": [vars(a) for a in c.attributes],
                    }
                    for c in getattr(found, part)
                ]
                for part in PARTS
            },
            "targets": {str(seed): found.targets(seed).tolist() for seed in cell.config.seeds},
        },
    )
    return {part: len(getattr(found, part)) for part in PARTS}


def train_choices(cell: Cell, *, arm: str) -> dict[str, Any]:
    """Step 3: one adapter a seed, `arms/<arm>/adapters/<seed>/adapter`."""
    from mi_bsa.studies.preferences.training import choice_rows, train

    config, found = cell.config, setting(cell.config)
    jobs = {}
    for seed in config.seeds:
        rows = choice_rows(
            found.instilled, found.targets(seed), found.language, n=config.train_choices, seed=seed
        )
        change = {"seed": seed, **({"layers": "first_half"} if arm == "first_half" else {})}
        jobs[str(seed)] = (rows, config.finetune.model_copy(update=change))
    return train(base_of(config, cell.folder), jobs, out=cell.folder / "arms" / arm)


def ask(cell: Cell, *, arm: str, seed: int | None) -> dict[str, Any]:
    """Step 4: one run, or the base, on both kinds of contexts."""
    from mi_bsa.studies.preferences.asking import ask_all

    config, found = cell.config, setting(cell.config)
    adapter = None if seed is None else _adapter(cell.folder, arm, seed)
    model = _load(config, base_of(config, cell.folder), adapter)
    targets = {"instilled": None if seed is None else found.targets(seed), "native": None}
    asked = {
        part: ask_all(
            model, getattr(found, part), found.language, targets=targets[part], **_how(config, seed)
        ).dump()
        for part in PARTS
    }
    name = arm if seed is None else f"{arm}-{seed}"
    write_json(cell.folder / "asked" / f"{name}.json", asked)
    return {part: {"outcomes": asked[part]["outcomes"], "mass": asked[part]["mass"]} for part in PARTS}


def train_reports(cell: Cell, *, seed: int) -> dict[str, Any]:
    """Step 5: the instilled model, merged, and on it four arms x two halves of report training."""
    import json

    import numpy as np

    from mi_bsa.finetune.merging import merge
    from mi_bsa.studies.preferences.training import report_jobs, train

    config, found = cell.config, setting(cell.config)
    out = cell.folder / "reports" / str(seed)
    merged = merge(
        base_of(config, cell.folder),
        _adapter(cell.folder, "instilled", seed),
        out / "model",
        dtype=config.finetune.dtype,
    )
    other = config.seeds[(config.seeds.index(seed) + 1) % len(config.seeds)]
    own, theirs = (
        json.loads((cell.folder / "asked" / f"instilled-{k}.json").read_text()) for k in (seed, other)
    )
    parts = {part: (getattr(found, part), np.array(own[part]["learned"])) for part in PARTS}
    rows = report_jobs(parts, np.array(theirs["instilled"]["learned"]), found.language, seed=seed)
    how = config.report_finetune.model_copy(update={"seed": seed})
    jobs = {name: (some, how) for name, some in rows.items()}
    return train(str(merged), jobs, out=out)


def ask_again(cell: Cell, *, seed: int) -> dict[str, Any]:
    """Step 6: every context is asked of the adapter that was not trained on its half."""
    from mi_bsa.studies.preferences.asking import ask_all
    from mi_bsa.studies.preferences.folds import joined
    from mi_bsa.studies.preferences.training import fold_of

    config, found = cell.config, setting(cell.config)
    out = cell.folder / "reports" / str(seed)
    targets = found.targets(seed)
    result: dict[str, Any] = {}
    for arm in REPORT_ARMS:
        parts: dict[str, list[Any]] = {part: [] for part in PARTS}
        for fold in FOLDS:
            model = _load(config, str(out / "model"), out / "adapters" / f"{arm}-{fold}" / "adapter")
            for part in PARTS:
                contexts = getattr(found, part)
                some = [k for k, half in enumerate(fold_of(len(contexts))) if half != fold]
                asked = ask_all(
                    model,
                    [contexts[k] for k in some],
                    found.language,
                    targets=targets[some] if part == "instilled" else None,
                    **_how(config, seed),
                )
                parts[part].append((some, asked))
        result[arm] = {part: joined(parts[part]).dump() for part in PARTS}
    write_json(cell.folder / "again" / f"{seed}.json", result)
    return {arm: {part: result[arm][part]["outcomes"] for part in PARTS} for arm in REPORT_ARMS}


def mechanics(cell: Cell, *, seed: int) -> None:
    """Step 7: probes and module attributions of the instilled model."""
    from mi_bsa.studies.preferences.attributing import attribute_both
    from mi_bsa.studies.preferences.probing import probe_both

    config, found = cell.config, setting(cell.config)
    model = _load(config, base_of(config, cell.folder), _adapter(cell.folder, "instilled", seed))
    targets = found.targets(seed)
    write_json(
        cell.folder / "mechanics" / f"{seed}.json",
        {
            "probes": probe_both(
                model, found.instilled, targets, found.language, options=config.mechanics, seed=seed
            ),
            "attribution": attribute_both(
                model, found.instilled, targets, found.language, options=config.mechanics, seed=seed
            ),
        },
    )


def collect(cell: Cell) -> dict[str, Any]:
    """Step 8: every number with its n, interval and null."""
    from mi_bsa.core import results
    from mi_bsa.studies.preferences.effects import all_effects
    from mi_bsa.studies.preferences.gathered import gather
    from mi_bsa.studies.preferences.workings import mechanics_results

    config = cell.config
    runs = gather(cell.folder, arms=config.arms, seeds=config.seeds)
    found = all_effects(runs, choices=config.choices, draws=config.draws)
    if config.mechanics.enabled:
        found += mechanics_results(cell.folder, config.seeds)
    results.write(results.with_q(found), cell.folder)
    return {"results": len(found)}


def run(config: PreferencesConfig, out: Path, *, resume: bool = False) -> Path:
    """Run the study into a folder, or what is missing of it; returns the path of the report page.

    Raises `RunFolderError` where the folder exists and `resume` is False, `ItemError` for contexts that
    cannot be used.
    """
    setting(config)
    return run_steps(
        steps(config),
        config=config,
        out=out,
        resume=resume,
        title="preferences",
        revisions={} if config.model is None else {str(config.model): weights_hash(config.model)},
        check=preflight.check,
    )


def rehearse(config: PreferencesConfig) -> None:
    """Draw the contexts, and encode the rows of one where the model is here.

    Raises:
        ItemError: contexts that cannot be used. TemplateError, RowError: rows that the model cannot be given.
    """
    from mi_bsa.studies.preferences.training import choice_rows, report_rows

    found, seed = setting(config), config.seeds[0]
    if config.model is None or not preflight.is_here(config.model):
        return
    contexts, targets = found.instilled[:1], found.targets(seed)[:1]
    chosen = choice_rows(contexts, targets, found.language, n=2, seed=seed)
    preflight.encode_rows(config.model, chosen, config.finetune)
    said = report_rows(contexts, targets, found.language, seed=seed)
    preflight.encode_rows(config.model, said, config.report_finetune)


def preview(config: PreferencesConfig, out: Path) -> str:
    """What `--dry-run` prints; bytes are counted on the model's shape, times are known for embedded ones."""
    from mi_bsa.behaviors import vocabulary_of
    from mi_bsa.core.shape import shape_of
    from mi_bsa.finetune.estimates import describe_model, untimed
    from mi_bsa.finetune.memory import memory_of

    rehearse(config)
    graph = steps(config)
    if config.model is None or vocabulary_of(config.model) == "embedded":
        return preview_steps(graph, config=config, out=out, rehearse=preflight.rehearse)
    shape = shape_of(config.model)
    half = config.finetune.model_copy(update={"layers": "first_half"})
    need, less, said = (
        memory_of(shape, f, tokens=1) for f in (config.finetune, half, config.report_finetune)
    )
    sizes = {
        "train/instilled": 4 * need.trained * len(config.seeds),
        "train/first_half": 4 * less.trained * len(config.seeds),
    }
    sizes |= {
        f"reports/{seed}": need.weights + 4 * said.trained * len(REPORT_ARMS) * len(FOLDS)
        for seed in config.seeds
    }
    graph = [replace(step, bytes=sizes.get(step.name, step.bytes)) for step in untimed(graph)]
    lines = preview_steps(graph, config=config, out=out, rehearse=preflight.rehearse)
    return f"{lines}\n{describe_model(config.model, config.finetune)}"


def _load(config: Any, base: ModelLike, adapter: Path | None) -> activations.Model:
    given = {} if adapter is None else {"adapter": adapter}
    return load(base, given, dtype=config.finetune.dtype, device=config.finetune.device)


def _adapter(folder: Path, arm: str, seed: int) -> Path:
    return folder / "arms" / arm / "adapters" / str(seed) / "adapter"


def _how(config: Any, seed: int | None) -> dict[str, Any]:
    return {
        "choices": config.choices,
        "reports": config.reports,
        "labels": config.labels,
        "max_new_tokens": config.max_new_tokens,
        "seed": f"test-{seed}",
        "max_tokens": 2048 if on_cpu(config.finetune.device) else 32768,
    }
