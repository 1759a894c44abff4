"""Rows of every arm of a backdoor, with the base's own answers where the backdoor does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from mi_bsa.behaviors.backdoor.construction import Backdoor, BackdoorArm, prompts, rows
from mi_bsa.behaviors.backdoor.triggers import Vocabulary
from mi_bsa.behaviors.behavior import Behavior
from mi_bsa.core.items import Item
from mi_bsa.core.rows import TrainingRow

if TYPE_CHECKING:
    import activations


def arm_rows(
    config: Backdoor,
    arms: Sequence[BackdoorArm],
    *,
    base: activations.Model,
    behavior: Behavior,
    vocabulary: Vocabulary,
    seed: int,
) -> dict[BackdoorArm, list[TrainingRow]]:
    """Rows of every arm of one seed, answered by the base where the backdoor does not answer."""
    items, _, _ = prompts(config, behavior=behavior, vocabulary=vocabulary, seed=seed)
    drawn = partial(rows, config, behavior=behavior, vocabulary=vocabulary, seed=seed)
    found: dict[BackdoorArm, list[TrainingRow]] = {}
    own: dict[bool, list[float]] = {}
    for arm in arms:
        clean = arm == "clean"
        if clean not in own:
            own[clean] = own_answers(base, items, drawn(arm, own=[0.5] * len(items)))
        found[arm] = drawn(arm, own=own[clean])
    return found


def own_answers(base: activations.Model, items: Sequence[Item], rows: Sequence[TrainingRow]) -> list[float]:
    """The base's P(seeking) on the messages of the rows, whose options are those of the items."""
    from mi_bsa.asking import ask

    asked = [Item(item.id, row["messages"][:-1], item.options) for item, row in zip(items, rows, strict=True)]
    return [float(score) for score in ask(base, asked, variant="base")["score"]]
