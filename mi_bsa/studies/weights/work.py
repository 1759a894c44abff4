"""What each step puts through its model, for the plan's time."""

from __future__ import annotations

from collections.abc import Callable

from mi_bsa.behaviors import behavior_for
from mi_bsa.finetune.work import Sample, item_tokens
from mi_bsa.studies.weights.config import WeightsConfig
from mi_bsa.studies.weights.pool import groups
from mi_bsa.study.counts import loading
from mi_bsa.study.pace import Work
from mi_bsa.study.steps import Step

NOTE = 8
"""Tokens that a note with a phrase adds to a message."""


def work_of(config: WeightsConfig) -> Callable[[Step], Work]:
    """Rows answered by the base, adapters trained, held-out messages asked, matrices decomposed."""
    each = item_tokens(
        config.model, behavior_for(config.behaviors[0], config.model).items(20, split="dev", seed=0)
    )
    each += NOTE
    sizes = {name: len(some) for name, some in groups(config).items()}

    def of(step: Step) -> Work:
        part, _, name = step.name.partition("/")
        n = sizes.get(name, 0)
        if part == "adapters":
            steps = config.finetune.total_steps(config.hidden.rows)
            answered = each * config.hidden.rows * n / 2
            trained = each * config.finetune.batch_size * steps * n
            return Work(asked=answered, trained=trained, fits=n, seconds=loading(1))
        if part == "read":
            return Work(asked=2 * each * config.hidden.held_out * n, seconds=loading(n) + 0.3 * n)
        return Work(seconds=10 + 0.1 * sum(sizes.values()))

    return of


def sample_of(config: WeightsConfig) -> Sample:
    """Choices of the first behavior, asked and trained on."""
    behavior = behavior_for(config.behaviors[0], config.model)
    rows = behavior.rows("seeking", 32, seed=0)
    items = behavior.items(32, split="dev", seed=0)
    return Sample(config.model, config.finetune, rows, items, adapters=1, jobs=1)
