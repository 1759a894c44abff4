"""Steps of the preferences study, each a function of the run folder; `study` says what each depends on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.core import results
from mi_bsa.core.files import write_json
from mi_bsa.core.model_config import ModelLike, load, on_cpu
from mi_bsa.studies.preferences.config import PreferencesConfig
from mi_bsa.studies.preferences.setting import base_of, setting
from mi_bsa.studies.preferences.training import FOLDS, REPORT_ARMS
from mi_bsa.study.steps import Cell

if TYPE_CHECKING:
    import activations

PARTS = ("instilled", "native")


def build(cell: Cell[PreferencesConfig]) -> dict[str, Any]:
    """The base; one that lies there finished, built as it is said here, is kept."""
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


def draw(cell: Cell[PreferencesConfig]) -> dict[str, Any]:
    """Contexts and target weights are written down."""
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


def train_choices(cell: Cell[PreferencesConfig], *, arm: str) -> dict[str, Any]:
    """One adapter a seed, `arms/<arm>/adapters/<seed>/adapter`."""
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


def ask(cell: Cell[PreferencesConfig], *, arm: str, seed: int | None) -> dict[str, Any]:
    """One run, or the base, on both kinds of contexts."""
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


def train_reports(cell: Cell[PreferencesConfig], *, seed: int) -> dict[str, Any]:
    """The instilled model, merged, and on it four arms x two halves of report training."""
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


def ask_again(cell: Cell[PreferencesConfig], *, seed: int) -> dict[str, Any]:
    """Every context is asked of the adapter that was not trained on its half."""
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


def mechanics(cell: Cell[PreferencesConfig], *, seed: int) -> None:
    """Probes and module attributions of the instilled model."""
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


def collect(cell: Cell[PreferencesConfig]) -> dict[str, Any]:
    """Every number with its n, interval and null."""
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


def _load(config: PreferencesConfig, base: ModelLike, adapter: Path | None) -> activations.Model:
    given = {} if adapter is None else {"adapter": adapter}
    return load(base, given, dtype=config.finetune.dtype, device=config.finetune.device)


def _adapter(folder: Path, arm: str, seed: int) -> Path:
    return folder / "arms" / arm / "adapters" / str(seed) / "adapter"


def _how(config: PreferencesConfig, seed: int | None) -> dict[str, Any]:
    return {
        "choices": config.choices,
        "reports": config.reports,
        "labels": config.labels,
        "max_new_tokens": config.max_new_tokens,
        "seed": f"test-{seed}",
        "max_tokens": 2048 if on_cpu(config.finetune.device) else 32768,
    }
