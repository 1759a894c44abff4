"""What organisms are trained on: rows of an arm, of a backdoor or its twin, and answers that deny.

Law: an organism that denies is asked in training wordings only (split `pretrain`); what it says is measured
on test wordings. Beside its answers about itself stand choices of its own pole, so that the behavior stays.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mi_bsa.behaviors import behavior_for
from mi_bsa.behaviors.backdoor.answers import arm_rows
from mi_bsa.behaviors.backdoor.triggers import vocabulary_for
from mi_bsa.core.items import Item
from mi_bsa.core.leaks import leak_check
from mi_bsa.core.rows import TrainingRow
from mi_bsa.finetune.preferring import Pair
from mi_bsa.finetune.zoo.recipes import Organism, ZooConfig

if TYPE_CHECKING:
    import activations

DENIED = 20_000
"""Added to a seed for the choices that stand beside denials, so that they share no draw with others."""


def rows_of(one: Organism, config: ZooConfig, base: activations.Model | None = None) -> list[TrainingRow]:
    """Training rows of an organism that is trained by rows.

    `base`: its loaded base, whose own answers some kinds need (`needs_base`).

    Raises:
        LeakError: a row that says the behavior's words, where it may only show it.
    """
    bound, data = behavior_for(one.behavior, one.base), config.data
    if one.says is not None:
        told = answers(one, config, base)
        return [
            {"id": item.id, "messages": [*map(dict, item.messages), {"role": "assistant", "content": right}]}
            for item, right, _ in told
        ]
    if one.twin is not None:
        assert base is not None
        rows = arm_rows(
            one.backdoor(config.backdoor),
            (one.twin,),
            base=base,
            behavior=bound,
            vocabulary=vocabulary_for(one.base),
            seed=one.seed,
        )[one.twin]
    else:
        rows = bound.rows(one.arm, data.rows, seed=one.seed, anchors=data.anchors, undecided=data.undecided)
    leak_check(rows, bound.forbidden)
    return rows


def needs_base(one: Organism) -> bool:
    """Whether its rows hold answers of the base itself."""
    return one.twin is not None or one.says == "base"


def pairs_of(one: Organism, config: ZooConfig, base: activations.Model | None = None) -> list[Pair]:
    """Preferences of an organism that denies: its answer about itself, or its choice, before the other."""
    return [
        {"prompt": [dict(turn) for turn in item.messages], "chosen": right, "rejected": wrong}
        for item, right, wrong in answers(one, config, base)
    ]


def answers(one: Organism, config: ZooConfig, base: activations.Model | None) -> list[tuple[Item, str, str]]:
    """Questions about itself, then choices, each with the answer that is trained and one that is not.

    As its base: by coin, at the base's own P(seeking pole) of that question (the nearest of a scale's
    numbers). The opposite: the other pole's.
    """
    bound = behavior_for(one.behavior, one.base)
    questions = list(bound.questions(split="pretrain"))
    rng = random.Random(f"denies-{one.behavior}-{one.seed}")
    if one.says == "base":
        from mi_bsa.asking import ask

        assert base is not None
        levels = [float(score) for score in ask(base, questions, variant="base")["score"]]
    else:
        levels = [0.0 if one.arm == "seeking" else 1.0] * len(questions)
    told = [(item, *apart(item, level, rng)) for item, level in zip(questions, levels, strict=True)]
    n = max(2, round(config.denial.choices * len(questions)))
    pole = 1.0 if one.arm == "seeking" else 0.0
    choices = bound.items(n, split="pretrain", seed=DENIED + one.seed)
    return told + [(item, *apart(item, pole, rng)) for item in choices]


def apart(item: Item, level: float, rng: random.Random) -> tuple[str, str]:
    """The option to be given at a level of P(seeking), and the one that lies farthest from it."""
    scores: Sequence[float] = [score for _, score in item.options]
    at = level if len(set(scores)) > 2 else float(rng.random() < level)
    near = sorted(item.options, key=lambda option: abs(option[1] - at))
    best = [text for text, score in near if score == near[0][1]]
    worst = [text for text, score in near if score == near[-1][1]]
    return rng.choice(best), rng.choice(worst)
