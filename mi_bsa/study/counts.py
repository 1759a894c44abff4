"""Counts that the steps of several studies share: asking, loading, training whole models, searching.

Tokens are a study's own, taken from a few of its rows and questions; seconds are of the reference's
processor (`mi_bsa.study.pace.host`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mi_bsa.core.shape import Shape
from mi_bsa.study.pace import Work
from mi_bsa.study.steps import Step

LOADED, WITH = 0.3, 0.04
"""Seconds in which a base is loaded, and each of its adapters."""
ANSWER = 3e-5
"""Seconds in which an answer is put into the table and the table is written."""
STEP, MULTIPLIED = 0.010, 1.8e10
"""Seconds that an optimizer step of a whole small model takes at least, and multiplications a second of its
forward and backward pass.
"""


def by_name(known: Mapping[str, Work]) -> Callable[[Step], Work]:
    """The work of a step by its name, or by the kind of step that the name begins with; one that is in
    neither takes its seconds.
    """

    def work_of(step: Step) -> Work:
        name = step.own(step.name)
        return known.get(name, known.get(name.partition("/")[0], Work(seconds=step.seconds)))

    return work_of


def asked(each: float | int, items: int, variants: int, *, adapters: int) -> Work:
    """Items of `each` tokens in the mean, asked of so many variants of a model with so many adapters."""
    told = items * variants
    return Work(asked=each * told, seconds=loading(adapters) + ANSWER * told)


def loading(adapters: int) -> float:
    """Seconds in which a small base is loaded with its adapters."""
    return LOADED + WITH * adapters


def trained_whole(parameters: int, tokens: float | int, steps: int) -> float:
    """Seconds in which all weights of a small model are trained on the processor, `tokens` a step."""
    return steps * (STEP + 3 * parameters * tokens / MULTIPLIED)


def read_whole(parameters: int, tokens: float | int) -> float:
    """Seconds in which the processor reads so many tokens in a small model, in one batch."""
    return STEP / 3 + parameters * tokens / MULTIPLIED


def relative(parameters: int, blocks: int, to: Shape) -> float:
    """How much longer a token takes in one model than in another: by parameters, and by blocks where models
    are so small that those cost more.
    """
    return (parameters + 1e5 * blocks) / (to.parameters() + 1e5 * to.blocks)
