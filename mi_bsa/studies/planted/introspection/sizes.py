"""What is drawn for a planted report, whatever its world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sizes:
    """What is drawn for an instance, whatever its world.

    Attributes:
        effect: log-odds that the state of a pole moves choices by.
        report: the same of the report, by what moves it in this world.
        hint: log-odds that a hint moves choices by.
        noise: standard deviation over prompts of choices and reports, in log-odds.
        middle: of each kind of answer, in log-odds.
        jitter: each adapter's own deviation, in norms of the state.
        spread: standard deviation of the log strength of adapters.
        nuisance: what all adapters write whatever their pole, in norms of the state.
        seeds: adapters of either pole.
    """

    effect: float
    report: float
    hint: float
    noise: float
    middle: tuple[float, float, float]
    jitter: float
    spread: float
    nuisance: float
    seeds: int


def draw(world: str, number: int, *, seeds: int = 5) -> Sizes:
    """What instance `number` of a world is like; numbers from 10,000 up are for debugging."""
    rng = np.random.default_rng([number, *world.encode()])
    return Sizes(
        effect=float(rng.uniform(0.8, 2.2)),
        report=float(rng.uniform(1.2, 2.4)),
        hint=float(rng.uniform(0.8, 2.2)),
        noise=float(rng.uniform(0.1, 0.3)),
        middle=tuple(0.3 * rng.normal(size=3)),
        jitter=float(rng.uniform(0.1, 0.4)),
        spread=float(rng.uniform(0.05, 0.25)),
        nuisance=float(rng.uniform(0.0, 0.4)),
        seeds=seeds,
    )
