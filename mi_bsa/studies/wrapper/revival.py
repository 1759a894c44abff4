"""Revival: how many steps of the old task, at a smaller rate, until the old skill is back?

The mark is a share of the accuracy that the base with the skill had. Where it is first reached lies between
two tests, linear on log2 of the step; a run that never gets there counts with its last step, and is said.
Compared as log2(steps of the control / steps), a pair of one seed each; the control's base never had the
skill (Jain et al. 2023, section 5.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.studies.wrapper.config import Training
from mi_bsa.studies.wrapper.rows import Rows, Sampler
from mi_bsa.studies.wrapper.training import accuracy, train

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


@dataclass(frozen=True)
class Revival:
    """Accuracy of the old skill over steps of reviving.

    Attributes:
        steps: at which it was tested.
        values: accuracy there.
        log2: log2 of the step at which the mark was reached; of the last step where it was not.
        reached: whether it was.
    """

    steps: tuple[int, ...]
    values: tuple[float, ...]
    log2: float
    reached: bool


def marks(steps: int, *, an_octave: int = 2) -> list[int]:
    """Log-spaced steps from 1 to the last, so many to a doubling."""
    last = math.log2(steps)
    count = math.ceil(last * an_octave) + 1
    return sorted({round(2**x) for x in np.linspace(0, last, count)})


def revive(
    model: LlamaForCausalLM, sampler: Sampler, plan: Training, *, test: Rows, mark: float | int, seed: int
) -> Revival:
    """Train the old task in place until the test's accuracy reaches `mark`, or the plan ends."""
    steps: list[int] = []
    values: list[float] = []

    def each(step: int) -> bool:
        steps.append(step)
        values.append(accuracy(model, test))
        return values[-1] >= mark

    train(model, sampler, plan, seed=seed, each=each, at=marks(plan.steps))
    return measured(steps, values, mark)


def measured(steps: list[int], values: list[float], mark: float | int) -> Revival:
    """The curve with its log2 step at the mark."""
    from mi_bsa.causal.emergence import onset

    found = onset(np.array(steps, float), np.array(values), mark)
    reached = not math.isnan(found)
    return Revival(tuple(steps), tuple(values), found if reached else math.log2(steps[-1]), reached)
