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
from typing import Any

from mi_bsa.core.model_files import weight_files
from mi_bsa.core.shape import shape_of
from mi_bsa.finetune import preflight
from mi_bsa.finetune.estimates import counted, measured_on, needs
from mi_bsa.finetune.memory import trained_of
from mi_bsa.studies.preferences.config import PreferencesConfig
from mi_bsa.studies.preferences.setting import FIELDS, setting
from mi_bsa.studies.preferences.steps import (
    ask,
    ask_again,
    build,
    collect,
    draw,
    mechanics,
    train_choices,
    train_reports,
)
from mi_bsa.studies.preferences.training import FOLDS, REPORT_ARMS, choice_rows, report_rows
from mi_bsa.studies.preferences.work import sample, work_of
from mi_bsa.study.steps import Step
from mi_bsa.study.study import Study

ASKING = ("choices", "labels", "reports", "max_new_tokens", "finetune.dtype", "finetune.device")


def steps(config: PreferencesConfig) -> list[Step]:
    """The graph of the study's steps, in an order in which they can run."""
    files = () if config.model is None else weight_files(config.model)
    graph: list[Step] = []
    if config.model is None:
        fields, took = ("shape", "recipe", "pretraining"), config.recipe.steps * 0.08
        wrote: dict[str, Any] = {"outputs": ("base",), "bytes": 1_000_000, "resumable": True}
        graph.append(Step("base", build, fields=fields, seconds=took, **wrote))
    before = (*(step.name for step in graph), "draw")
    given = () if config.contexts is None else (config.contexts,)
    drawn = ("contexts.json",)
    graph.append(Step("draw", draw, fields=(*FIELDS, "seeds"), files=given, outputs=drawn, seconds=1))
    graph.append(_ask("base", None, config, files=files, after=before))
    for arm in config.arms:
        trained = config.finetune.total_steps(config.instilled * config.train_choices)
        graph.append(
            Step(
                f"train/{arm}",
                train_choices,
                {"arm": arm},
                fields=(*FIELDS, "seeds", "arms", "train_choices", "finetune"),
                version=2,
                after=before,
                outputs=(f"arms/{arm}",),
                files=files,
                seconds=len(config.seeds) * trained * 0.12,
                bytes=400_000 * len(config.seeds),
                resumable=True,
            )
        )
        after = (*before, f"train/{arm}")
        graph += [_ask(arm, seed, config, files=files, after=after) for seed in config.seeds]
    instilled = (*before, "train/instilled")
    for seed in config.seeds:
        told: dict[str, Any] = {"arguments": {"seed": seed}, "files": files}
        after = (*instilled, *(f"ask/instilled-{one}" for one in config.seeds))
        graph += [
            Step(
                f"reports/{seed}",
                train_reports,
                fields=(*FIELDS, "seeds", "report_finetune", "finetune.dtype"),
                version=3,
                after=after,
                outputs=(f"reports/{seed}",),
                seconds=60,
                bytes=3_000_000,
                resumable=True,
                **told,
            ),
            Step(
                f"again/{seed}",
                ask_again,
                fields=(*FIELDS, *ASKING),
                version=3,
                after=(*after, f"reports/{seed}"),
                outputs=(f"again/{seed}.json",),
                seconds=90,
                bytes=300_000,
                **told,
            ),
        ]
        if config.mechanics.enabled:
            graph.append(
                Step(
                    f"mechanics/{seed}",
                    mechanics,
                    fields=(*FIELDS, "mechanics", "finetune.dtype", "finetune.device"),
                    after=instilled,
                    outputs=(f"mechanics/{seed}.json",),
                    seconds=60,
                    bytes=20_000,
                    **told,
                )
            )
    graph.append(
        Step(
            "results",
            collect,
            fields=("seeds", "arms", "instilled", "choices", "draws", "mechanics.enabled"),
            version=6,
            after=tuple(
                step.name for step in graph if not step.name.startswith(("base", "train/", "reports/"))
            ),
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


def check(config: PreferencesConfig) -> None:
    """Refuse what is not there. Raises `ItemError` for contexts that cannot be used."""
    setting(config)
    preflight.check(config)


def rehearse(config: PreferencesConfig) -> list[str]:
    """Draw the contexts, and encode the rows of one where the model is here.

    Raises:
        ItemError: contexts that cannot be used. TemplateError, RowError: rows that the model cannot be given.
    """
    found, seed = setting(config), config.seeds[0]
    if config.model is not None and preflight.is_here(config.model):
        contexts, targets = found.instilled[:1], found.targets(seed)[:1]
        chosen = choice_rows(contexts, targets, found.language, n=2, seed=seed)
        preflight.encode_rows(config.model, chosen, config.finetune)
        said = report_rows(contexts, targets, found.language, seed=seed)
        preflight.encode_rows(config.model, said, config.report_finetune)
    own = () if config.model is None else needs(config.model, config.finetune)
    return [*preflight.rehearse(config), *own]


def sized(config: PreferencesConfig, graph: list[Step]) -> list[Step]:
    """The graph with the bytes that adapters and merged models take on this model."""
    if config.model is None or (unmeasured := measured_on(config.model, graph)) is graph:
        return graph
    shape = shape_of(config.model)
    half = config.finetune.model_copy(update={"layers": "first_half"})
    need = counted(config.model, config.finetune)
    less, said = (trained_of(shape, one) for one in (half, config.report_finetune))
    sizes = {
        "train/instilled": 4 * need.trained * len(config.seeds),
        "train/first_half": 4 * less * len(config.seeds),
    }
    sizes |= {
        f"reports/{seed}": need.weights + 4 * said * len(REPORT_ARMS) * len(FOLDS) for seed in config.seeds
    }
    return [replace(step, bytes=sizes.get(step.name, step.bytes)) for step in unmeasured]


STUDY = Study(
    name="preferences",
    config=PreferencesConfig,
    steps=steps,
    title=lambda config: "preferences",
    check=check,
    rehearse=rehearse,
    sized=sized,
    work=work_of,
    sample=sample,
    sections="mi_bsa.studies.preferences.page:SECTIONS",
)
