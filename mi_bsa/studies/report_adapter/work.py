"""What each step puts through its model, for the plan's time."""

from __future__ import annotations

from collections.abc import Callable

from mi_bsa.behaviors import behavior_for
from mi_bsa.finetune.work import Sample, item_tokens, row_tokens
from mi_bsa.finetune.zoo.recipes import organisms
from mi_bsa.studies.report_adapter.config import ReportAdapterConfig
from mi_bsa.studies.report_adapter.pool import asked_of, behaviors
from mi_bsa.study.counts import loading
from mi_bsa.study.pace import Work
from mi_bsa.study.steps import Step

ANSWER = 4
"""Tokens of an answer and of what closes it."""


def work_of(config: ReportAdapterConfig) -> Callable[[Step], Work]:
    """Organisms trained and measured, report adapters trained, questions asked."""
    behavior = behavior_for(config.groups[0].behaviors[0], config.model)
    bank = list(behavior.questions(split="dev"))
    each = item_tokens(config.model, bank)
    choice = item_tokens(config.model, behavior.items(20, split="dev", seed=0))
    every, asked = organisms(config), asked_of(config)
    rows = {one.behavior: 0.0 for one in every}
    for name in rows:
        some = behavior_for(name, config.model).rows(
            "seeking", 12, seed=0, anchors=config.data.anchors, undecided=config.data.undecided
        )
        rows[name] = row_tokens(config.model, some)
    about = {part: len(behaviors(config, part)) for part in ("development", "test")}

    def of(step: Step) -> Work:
        part = step.name.partition("/")[0]
        if part == "organisms":
            taken = sum(
                (config.denial.steps if one.says else one.steps) * rows[one.behavior] for one in every
            )
            trained = config.finetune.batch_size * taken
            measured = len(every) * (choice * config.data.choices + each * len(bank))
            return Work(trained=trained, asked=measured, fits=len(every), seconds=loading(len(every)))
        if part == "readers":
            taken = config.reader.total_steps(len(every) * (config.taught.own + config.taught.others))
            return Work(
                trained=(each + ANSWER) * config.reader.batch_size * taken, fits=1, seconds=loading(1)
            )
        if part == "asked":
            tokens = each * config.asked.questions * sum(about[one.part] for one in asked)
            return Work(asked=tokens, seconds=loading(len(asked)))
        if part == "mechanism":
            assert config.mechanism is not None
            pairs = sum(one.part == "test" and one.kind == "behaves" for one in asked)
            edits = 40 + 2 * config.mechanism.random
            return Work(edited=each * config.mechanism.items * pairs * edits * 4, seconds=20)
        return Work(seconds=5)

    return of


def sample_of(config: ReportAdapterConfig) -> Sample:
    """Choices of the first behavior, trained on, and its questions, asked."""
    behavior = behavior_for(config.groups[0].behaviors[0], config.model)
    rows = behavior.rows("seeking", 32, seed=0)
    items = list(behavior.questions(split="dev"))
    return Sample(config.model, config.finetune, rows, items, adapters=1, jobs=1)
