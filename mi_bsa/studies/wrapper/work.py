"""What each step of a study of what fine-tuning changes takes, counted from its config, for the plan's time.

Its systems are so small that the processor trains them on any machine, step by step; the adapter's steps are
tokens of its base.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mi_bsa.core.shape import shape_of
from mi_bsa.finetune.arms import sets_of
from mi_bsa.finetune.work import Sample, behavior_sample, item_tokens, row_tokens
from mi_bsa.studies.wrapper.config import AwarenessConfig, Training, WrapperConfig
from mi_bsa.studies.wrapper.revival import marks
from mi_bsa.studies.wrapper.systems import System, names, system
from mi_bsa.study.counts import loading, read_whole, trained_whole
from mi_bsa.study.pace import Work
from mi_bsa.study.steps import Step

VOCABULARY = 400
"""Words of a system's tokenizer, about: the 256 bytes among them."""
PROBED = 0.3
"""Seconds of the probes of one label in a model of two blocks, on 400 rows."""
CLOSED, GRADIENT = 2, 3
"""What a pass with closed gates costs in edited ones, and what one with its backward pass does."""


def work_of(config: WrapperConfig) -> Callable[[Step], Work]:
    """Every step's work: of systems by kind, name and rate, since seeds, bases and ways to tune are alike."""
    known: dict[str, Work] = {"results": Work(seconds=1.0)}
    for name in names(config):
        known |= _of_system(config, system(name, config))
    if config.awareness is not None:
        known |= _of_awareness(config.awareness, len(config.seeds))

    def own(step: Step) -> Work:
        parts = step.name.partition("-")[0] if step.name.startswith("adapter") else step.name
        kind, *rest = parts.split("/")
        if kind == "tune":  # tune/SYSTEM/BASE/HOW/RATE-SEED
            parts = f"tune/{rest[0]}/{rest[-1].rpartition('-')[0]}"
        elif rest and kind != "adapter":
            parts = f"{kind}/{rest[0]}"
        return known.get(parts, Work(seconds=step.seconds))

    return own


def sample(config: WrapperConfig) -> Sample | None:
    """The adapter's rows and questions, where there is one."""
    return None if config.awareness is None else behavior_sample(config.awareness)


def _of_system(config: WrapperConfig, made: System) -> Mapping[str, Work]:
    """The steps of one system, by kind and name."""
    rng, options = np.random.default_rng(0), config.pruning
    length = made.old(rng, 8).ids.shape[1]
    shape = getattr(getattr(config, made.part), "shape", None)
    width, blocks, mlp = (64, 2, 192) if shape is None else (shape.width, shape.layers, shape.mlp)
    parameters = blocks * (4 * width**2 + 3 * width * mlp) + VOCABULARY * width

    def training(plan: Training, steps: int | None = None) -> float:
        return trained_whole(parameters, plan.batch_size * length, plan.steps if steps is None else steps)

    def scored(rows: int) -> float:
        return read_whole(parameters, rows * length)

    tested = len(made.tests) * scored(config.tests)
    plan, most = made.plan, options.counts[-1]
    counts, both = len(options.counts) + 1, 2 * scored(config.tests)
    ordered = (1 + most) * trained_whole(parameters, options.rows * length, 1)
    curves = 2 * (len(options.chosen) * scored(options.rows) + counts * both)
    drawn = options.draws * counts * 2 * scored(options.null_rows)
    probes = 2 * PROBED * config.probes / 400 * blocks / 2
    pretraining = getattr(plan, "pretraining", None)
    looked = {f"look/{made.name}": Work(seconds=0.05 + ordered + curves + drawn + probes)}
    base = 0.05 + tested + (0.0 if pretraining is None else training(pretraining))
    back = training(plan.revive) + len(marks(plan.revive.steps)) * scored(config.tests)
    tuned = {
        f"tune/{made.name}/{rate}": Work(seconds=0.05 + tested + training(one))
        for rate, one in plan.rates.items()
    }
    # a skill is back well before the last step where it was there, at the last where it never was
    return {
        f"base/{made.name}": Work(seconds=base),
        **tuned,
        **looked,
        f"revive/{made.name}": Work(seconds=0.05 + back / 2),
    }


def _of_awareness(config: AwarenessConfig, seeds: int) -> Mapping[str, Work]:
    """The adapter's steps: trained, closed module by module, merged and trained back."""
    sets = sets_of(config.behavior, config.model, data=config.data, stays=12)
    asked = {key: sets[key] for key in ("choice-dev", "choice-test", "report-test")}
    tests = [*asked["choice-test"], *asked["report-test"]]
    each = item_tokens(config.model, tests)
    row = row_tokens(config.model, behavior_sample(config).rows)
    blocks = shape_of(config.model).blocks
    adapted = len(config.finetune.layers) if isinstance(config.finetune.layers, tuple) else blocks
    modules = adapted * len(config.finetune.module_names)
    rows = round(config.data.rows * (1 + config.data.anchors + config.data.undecided))
    trained = config.finetune.total_steps(rows) * config.finetune.batch_size * row
    dev = len(asked["choice-dev"])
    again = config.revive.total_steps(dev) * config.revive.batch_size * row
    closed = CLOSED * each * (len(tests) * (1 + config.orders) * (modules + 1) + GRADIENT * dev)
    reads = len(tests) * (2 + len(config.revive.kept_steps(config.revive.total_steps(dev)))) + dev
    return {
        "adapter/train": Work(trained=seeds * trained, fits=seeds, seconds=0.3 * seeds),
        "adapter/ask/pruned": Work(edited=seeds * closed, seconds=loading(seeds)),
        "adapter/ask/revived": Work(trained=again, fits=1, asked=each * reads, seconds=3 * loading(12)),
    }
