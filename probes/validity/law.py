"""A law of the validity page: a simulation with known truth and a fixed seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np

from probes.statistics.intervals import Estimate

Rng = np.random.Generator
Simulation = Callable[[Rng, int], Sequence[bool] | np.ndarray]
"""Hits (covered, or rejected) of so many runs."""
Design = ParamSpec("Design")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Law:
    """One line of the table: a simulation that returns hits for `n` runs."""

    name: str
    kind: str  # "coverage", "conservative" (may cover more), "error", or "shown"
    run: Simulation
    power: Simulation | None = None
    effect: str = ""
    smallest_p: float | None = None
    seeds: int = 1
    """Simulation seeds, among which the simulations are divided; judged by the interval of the rate over all
    of them where there are several."""


def repeated(
    one: Callable[Concatenate[Rng, int, Design], Found],
) -> Callable[Design, Callable[[Rng, int], list[Found]]]:
    """A simulation out of a single run: `one(rng, i, *design)` is called as `one(*design)(rng, n)`, and gives
    what each of `n` runs found."""

    @wraps(one)
    def designed(*given: Design.args, **named: Design.kwargs) -> Callable[[Rng, int], list[Found]]:
        return lambda rng, n: [one(rng, i, *given, **named) for i in range(n)]

    return designed


def covers(found: Estimate, truth: float) -> bool:
    """Does the interval hold the truth?"""
    return bool(found.low <= truth <= found.high)
