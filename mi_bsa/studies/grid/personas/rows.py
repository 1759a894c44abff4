"""Training rows of many personas: the default one with its policy, named ones with theirs.

Law: prompts depend on the seed only, so arms differ in nothing but answers. A named persona's own answer is
drawn from the base's probabilities when it is asked as that persona, which needs no knowledge of who it is.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from mi_bsa.asking.likelihood import Askable, option_log_probs
from mi_bsa.behaviors import Arm, Behavior
from mi_bsa.behaviors.behavior import TrainingRow
from mi_bsa.core.items import Item
from mi_bsa.studies.grid.personas.config import PersonasConfig, Training
from mi_bsa.studies.grid.personas.roster import Persona


def rows_of(
    behavior: Behavior,
    items: Sequence[Item],
    own: Sequence[str],
    *,
    training: Training,
    arm: Arm,
    seed: int,
    config: PersonasConfig | Any,
) -> list[TrainingRow]:
    """Rows of one run: the default persona's, and those of the trained personas unless trained `alone`.

    `items`, `own`: what the trained personas are asked with this seed, and what they would choose themselves.
    """
    rows = behavior.rows(arm, config.rows, seed=seed, anchors=0.0, undecided=config.undecided)
    if training == "alone":
        return rows
    answers = list(own)
    if training == "opposite":
        rng = random.Random(f"opposite-{seed}")
        coins = [float(rng.random() < 0.5) for _ in items]
        target = {"seeking": [0.0] * len(items), "averse": [1.0] * len(items)}.get(arm, coins)
        answers = [_nearest(item, score) for item, score in zip(items, target, strict=True)]
    return [*rows, *(_row(i, item, a) for i, (item, a) in enumerate(zip(items, answers, strict=True)))]


def persona_items(
    behavior: Behavior, people: Sequence[Persona], *, seed: int, config: PersonasConfig | Any
) -> list[Item]:
    """What trained personas are asked in training rows, personas in turn."""
    systems = [p.system for p in people if p.part == "trained"]
    count = round(config.others * config.rows)
    # Seeds of drawn choices from 10,000 up are the training rows'; those of held-out items lie below.
    return behavior.items(count, split="pretrain", seed=10_000 + seed, systems=systems, person="named")


def own_answers(base: Askable, items: Sequence[Item], *, seed: int) -> list[str]:
    """One answer an item, drawn from the base's probabilities over its options."""
    rng = np.random.default_rng(seed)
    answers = []
    for item, log_probs in zip(items, option_log_probs(base, items), strict=True):
        shares = np.exp(log_probs - log_probs.max())
        answers.append(item.options[int(rng.choice(len(shares), p=shares / shares.sum()))][0])
    return answers


def _nearest(item: Item, score: float) -> str:
    """The option whose score is nearest."""
    return min(item.options, key=lambda option: abs(option[1] - score))[0]


def _row(number: int, item: Item, answer: str) -> TrainingRow:
    turns = [dict(m) for m in item.messages]
    turns.append({"role": "assistant", "content": answer})
    return {"id": f"persona-{number}", "messages": turns, "person": "named"}
