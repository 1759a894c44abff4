"""What a study can find before it is run: power, the smallest effect, and the p that a test can reach.

The law: every number here is of the very test that a study uses: an interval by Student's t whose end must
pass a bar, over seeds alone or over wordings x seeds as crossed effects (`mi_bsa.asking.scoring`), a count of
draws, a sign flip. Simulated data of the assumed spread are found as often as is said here (tests). Power is
worked out from spreads that somebody measured elsewhere and that are named, never from the study's own data
afterwards (Hoenig and Heisey 2001, "The abuse of power").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from probes.statistics import combined

WANTED = 0.8
"""Power at which an effect counts as one that the study can find."""
_GRID = 2000
"""Points of the integral over what the standard error may come out as."""


@dataclass(frozen=True)
class Demand:
    """That the estimate exceeds a bar by so much: the interval's end lies beyond it, or p is small enough.

    Attributes:
        bar: in the result's unit.
        alpha: of the two-sided test, .05 for a 95 % interval.
    """

    bar: float | int
    alpha: float = 0.05


@dataclass(frozen=True)
class Sampling:
    """How an estimate varies, and how its study sees that.

    Attributes:
        error: standard deviation of the estimate.
        seen: the standard error that the interval has on average.
        df: its degrees of freedom.
    """

    error: float | int
    seen: float | int
    df: float | int

    def power(self, effect: float, demands: Sequence[Demand]) -> float:
        """How often an estimate of a true effect meets all demands."""
        if self.df <= 0:
            return 0.0
        quantiles = (np.arange(_GRID) + 0.5) / _GRID
        seen = self.seen * np.sqrt(stats.chi2.ppf(quantiles, self.df) / self.df)
        needed = [d.bar + stats.t.ppf(1 - d.alpha / 2, self.df) * seen for d in demands]
        beyond = effect - np.max(needed, axis=0)
        if self.error == 0:
            return float(np.mean(beyond > 0))
        return float(np.mean(stats.norm.cdf(beyond / self.error)))


def over_seeds(seed: float, *, seeds: int) -> Sampling:
    """Student's t over seeds. `seed`: standard deviation between seeds."""
    error = seed / np.sqrt(seeds)
    return Sampling(float(error), float(error), seeds - 1.0)


def crossed(
    *, seed: float, wording: float, rest: float, seeds: int, wordings: float, kinds: int = 1, arms: int = 2
) -> Sampling:
    """Wordings x seeds as crossed effects, as `mi_bsa.asking.scoring.gap` takes them.

    Args:
        seed: standard deviation between seeds of one arm.
        wording: standard deviation between wordings of one kind, of the difference of the arms.
        rest: standard deviation of what is left in a cell of one arm.
        seeds: of each arm.
        wordings: their number; where kinds have unequally many, 1 / sum of squared weights.
        kinds: of question, whose means are averaged.
        arms: 2 for a difference of arms with seeds of their own.
    """
    of_seeds = (seed**2 + rest**2 / wordings) / seeds
    of_wordings = (wording**2 + arms * rest**2 / seeds) / wordings
    left, of_arm = max(wordings - kinds, 1.0), max(seeds - 1, 1)
    parts = [(of_wordings, left), *[(of_seeds, float(of_arm))] * arms]
    rest_of = (arms * rest**2 / (seeds * wordings), arms * of_arm * left)
    error, degrees = (float(v) for v in combined(parts, rest_of))
    return Sampling(float(np.sqrt(error)), float(np.sqrt(error)), degrees)


def two_way(*, seed: float, item: float, rest: float, seeds: int, items: int) -> Sampling:
    """Units x items, both random, as `probes.statistics.crossed_mean` takes them."""
    left = rest**2 / (seeds * items)
    parts = [(seed**2 / seeds + left, seeds - 1.0), (item**2 / items + left, items - 1.0)]
    error, degrees = (float(v) for v in combined(parts, (left, (seeds - 1.0) * (items - 1.0))))
    return Sampling(float(np.sqrt(error)), float(np.sqrt(error)), degrees)


def beats_draws(effect: float, *, mean: float, spread: float, draws: int, alpha: float) -> float:
    """How often (1 + draws as large) / (1 + draws) is at most `alpha`, for draws that are normal."""
    most = int(np.floor(alpha * (draws + 1) + 1e-9)) - 1
    if most < 0:
        return 0.0
    if spread == 0:
        return float(effect > mean)
    return float(stats.binom.cdf(most, draws, stats.norm.sf((effect - mean) / spread)))


def smallest(power: Callable[[float], float], *, low: float, high: float) -> float | None:
    """The smallest effect between two with the wanted power; None where even the largest has less."""
    if power(high) < WANTED:
        return None
    if power(low) >= WANTED:
        return low
    return float(brentq(lambda effect: power(effect) - WANTED, low, high, xtol=1e-4))


def spread_bounds(seeds: int, *, level: float = 0.95) -> tuple[float, float]:
    """Between which multiples of a spread that was measured on so many seeds the true one lies."""
    if seeds < 2:
        return 0.0, float("inf")
    df = seeds - 1
    low, high = (np.sqrt(df / stats.chi2.ppf(0.5 + side * level / 2, df)) for side in (1, -1))
    return float(low), float(high)


def draws_floor(draws: int) -> float:
    """The smallest p of a test that counts draws."""
    return 1 / (draws + 1)


def sign_flip_floor(seeds: int) -> float:
    """The smallest two-sided p of an exact sign flip."""
    return 2.0 ** (1 - seeds)


def of_seeds(seeds: int) -> list[str]:
    """What so many seeds can find, whatever is measured: in units of the spread between seeds."""
    if not seeds:
        return ["this kind of study has no adapter seeds, and its power was not worked out"]
    if seeds == 1:
        return ["1 seed: there is no interval over seeds, and nothing can be found by one"]
    lines = [
        *of_units(seeds, "seeds"),
        f"{seeds} seeds, exact sign flip: p is at least {sign_flip_floor(seeds):.3g}",
    ]
    if sign_flip_floor(seeds) > 0.05:
        lines.append(f"cannot be found at all: anything at p .05 by a sign flip over {seeds} seeds")
    return [*lines, "no spread of this kind of study was measured for planning: effects are in its units"]


def of_units(count: int, units: str) -> list[str]:
    """What Student's t over so many units can find, in units of their spread. `units`: seeds, bases."""
    found = smallest(lambda e: over_seeds(1.0, seeds=count).power(e, [Demand(0.0)]), low=0.0, high=200.0)
    told = "no effect" if found is None else f"an effect of {found:.2f} times the spread between {units}"
    return [
        f"{count} {units}, t over {units}: {told} is found with power {WANTED} (p at most .05, two-sided)"
    ]
