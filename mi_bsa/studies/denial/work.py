"""What each step puts through its model, for the plan's time."""

from __future__ import annotations

from collections.abc import Callable

from mi_bsa.behaviors import behavior_for
from mi_bsa.finetune.work import Sample, item_tokens
from mi_bsa.studies.denial.config import DenialStudyConfig, base_of, behaviors_of, organisms_of
from mi_bsa.study.counts import loading
from mi_bsa.study.pace import Work
from mi_bsa.study.steps import Step

SECONDS = {"organism": 6, "preferred": 20, "read": 60, "fit": 0.5}
"""Of a processor core: an organism by rows and one by preferences (which TRL trains one by one), a behavior
that is read, and an estimator that is fitted.
"""


def work_of(config: DenialStudyConfig) -> Callable[[Step], Work]:
    """Organisms trained and measured; their states read on four sets, estimators fitted."""
    first = behaviors_of(config)[0]
    bound = behavior_for(first, base_of(config, first))
    each = item_tokens(base_of(config, first), bound.items(20, split="dev", seed=0))
    questions = len(list(bound.questions(split="dev")))

    def of(step: Step) -> Work:
        part, _, behavior = step.name.partition("/")
        if part not in ("organisms", "read"):
            return Work(seconds=step.seconds)
        every = organisms_of(config, behavior)
        n, by_trl = len(every), sum(one.by == "preferences" for one in every)
        if part == "organisms":
            rows = [one for one in every if one.by != "preferences"]
            count = sum(one.steps if one.parent is None else config.denial.steps for one in rows)
            return Work(
                asked=each * n * (config.data.choices + questions),
                trained=each * config.finetune.batch_size * count,
                fits=n - by_trl,
                seconds=loading(n) + SECONDS["preferred"] * by_trl,
            )
        fits = len(config.seeds) * 2 * len(config.methods) * 3
        read = each * n * (8 * config.items + 2 * config.texts)
        return Work(read=read, seconds=loading(n) + SECONDS["fit"] * fits)

    return of


def sample_of(config: DenialStudyConfig) -> Sample:
    """Choices of the first behavior, asked and trained on."""
    first = behaviors_of(config)[0]
    behavior = behavior_for(first, base_of(config, first))
    rows = behavior.rows("seeking", 32, seed=0)
    items = behavior.items(32, split="dev", seed=0)
    return Sample(base_of(config, first), config.finetune, rows, items, adapters=1, jobs=1)
