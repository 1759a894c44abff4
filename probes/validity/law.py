"""A law of the validity page: a simulation with known truth and a fixed seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from scipy import stats

from probes.statistics.intervals import Estimate

SEEDS = (0, 1, 2)
"""Simulation seeds of every law; its rate is that over all of them."""
BAR = (0.93, 0.98)
"""Coverage that a 95 % interval may have."""
ALPHA = 0.05
"""How often a test at .05 may reject a true null."""

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
    most: int = 10_000
    """Simulations at most, over all simulation seeds together: fewer of what takes long."""


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


def exact(hits: np.ndarray) -> tuple[float, float, float]:
    """A rate and its exact 95 % interval."""
    ci = stats.binomtest(int(np.sum(hits)), len(hits)).proportion_ci(0.95)
    return float(np.mean(hits)), float(ci.low), float(ci.high)


def reaches(low: float, high: float) -> bool:
    """Coverage: does the exact interval of the rate reach into .93 to .98?"""
    return high >= BAR[0] and low <= BAR[1]


def coverage_in_words(low: float, high: float) -> str:
    """What the exact interval of a rate says of an interval's coverage."""
    if high < BAR[0]:
        return "too short"
    if low < BAR[0]:
        return f"not told from {BAR[0]:.2g}".replace("0.", ".")
    if high <= BAR[1]:
        return "holds"
    return "holds, wider than needed" if low > BAR[1] else "holds, not told from .98"
