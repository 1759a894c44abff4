"""Cross-validated scores: the error that shared training units add, and the test of AUROC = .5.

Where each unit is tested by a probe of all others, its score holds the product of its own noise with that of
each other unit, and that unit's score holds it too. Where there is no signal that is all there is, and K
scores are correlated by 1 / (K - 1); where there is a strong signal, next to nothing. So tests, which ask
what would be without a signal, multiply the squared error by `shared_factor`; intervals by what the signal's
own strength says (`_product_factor`), and where the test does not reject, they are extended to the null, so
that the two agree (compare Nadeau and Bengio 2003, Machine Learning 52:239; Bengio and Grandvalet 2004).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import expit

from probes.errors import StatisticsError
from probes.statistics.ceiling import exact_p_of_half
from probes.statistics.crossed import crossed_mean
from probes.statistics.intervals import Estimate, no_interval
from probes.statistics.spread import slack

CHOSEN_FACTOR, CHOSEN_DIFFERENCE, CHOSEN_UNITS = 4.0, 3.0, 5
"""At least this much is the squared error multiplied by where units chose the layer for each other, of scores
and (with more than so many units) of differences: units that agree by chance choose the layer at which they
do, and the more they are, the more often it is one layer for all. They hold the rate for 3 to 10 units and 1
to 32 layers, in 2 to 64 dimensions, with offsets of adapters .5 to 4 times the noise of rows (with 10 units
and several layers, up to 1.5 times; of a single score, 1.5 times: docs/validity.md, docs/decisions/0025)."""


def shared_factor(units: int, *, layers: int = 1, paired: bool = False) -> float:
    """By how much the squared error of a mean over K units, each tested by a probe of all others, is
    multiplied in a test of no signal.

    2 (K - 1) / (K - 2), what correlations of 1 / (K - 1) make of it; of paired differences 1 + K / (K - 1)
    (Nadeau and Bengio: one unit tested, K - 1 trained on), as the other side's scores share no noise with
    each other; and at least `CHOSEN_FACTOR`, of differences `CHOSEN_DIFFERENCE`, where units chose among
    several layers. Infinite for two units, which have the same score.

    Args:
        units: K.
        layers: among how many the units chose.
        paired: the values are differences of two scores.
    """
    if units < 3:
        return float("inf")
    if paired:
        least = CHOSEN_DIFFERENCE if layers > 1 and units > CHOSEN_UNITS else 1.0
        return max(1 + units / (units - 1), least)
    return max(2 * (units - 1) / (units - 2), CHOSEN_FACTOR if layers > 1 else 1.0)


def p_against_half(estimate: Estimate, *, cross_validated: bool = True, layers: int = 1) -> float:
    """Two-sided p of AUROC = .5, t over units on the logit scale.

    With few seeds this is the test to use: label shuffles inside 5 seeds can not give a p below 1/16. Probes
    of different folds share training units, so under the null their scores are positively correlated (the
    product of unit k's and unit l's noise enters both fold k and fold l) and the plain error is too small:
    its square must be multiplied by `shared_factor` of K units and of the layers among which units chose.
    `cross_validated=False` leaves that out, for a probe that was fitted elsewhere. Near the ceiling p is that
    of the exact interval, and never below that of K equal signs.
    """
    units = estimate.units
    if estimate.effective is not None:
        shared = shared_factor(units, layers=layers) if cross_validated and units > 2 else 1.0
        return exact_p_of_half(estimate, inflation=shared)
    turned = _turned(estimate)
    if turned is None:
        return float("nan")
    low, value, high = turned
    error = (high - low) / (2 * stats.t.ppf(0.5 + estimate.level / 2, units - 1))
    if cross_validated:
        if units < 3:
            return float("nan")
        error *= np.sqrt(shared_factor(units, layers=layers))
    return float(2 * stats.t.sf(abs(value) / error, units - 1)) if error > 0 else float(value == 0)


def _turned(estimate: Estimate) -> tuple[float, float, float] | None:
    """Low, value and high on the scale on which the interval was made, .5 at 0; None where it has none."""
    ends = np.array([estimate.low, estimate.value, estimate.high])
    if "arcsine" in estimate.method:
        low, value, high = np.arcsin(np.sqrt(ends)) - np.pi / 4
        # an end that was cut at 0 or 1 lies as far from the value as the other
        reach = value - low if estimate.high == 1 else high - value
        return float(value - reach), float(value), float(value + reach)
    if "logit" not in estimate.method or not ((ends > 0) & (ends < 1)).all():
        return None
    low, value, high = np.log(ends / (1 - ends))
    return float(low), float(value), float(high)


def _back(end: float, estimate: Estimate) -> float:
    if "arcsine" in estimate.method:
        return float(np.sin(np.clip(end + np.pi / 4, 0, np.pi / 2)) ** 2)
    return float(expit(end))


SHARED = "shared training units added"

EFFECTIVE_DIMENSION = 48.0
"""How many dimensions the noise between units is taken to fill, in `out_of_fold` and `mean_out_of_fold`. It
is not known for a given site; 48 holds the rate of designs in 6 and in 64 dimensions, with one layer and with
one chosen (12 covered .92 in 64; docs/validity.md, docs/decisions/0025), and more only widens weak signals'
intervals."""


def _product_factor(units: int, signal: float) -> float:
    """By how much the squared error is multiplied in an interval: 1 + r / (1 + r) K / (K - 2), where
    r (1 + r) = D / ((K - 1) S), S is the squared ratio of the mean to its spread over units and D the
    dimensions that the noise fills."""
    product = EFFECTIVE_DIMENSION / ((units - 1) * max(signal, 1e-12))  # a signal of exactly 0
    r = (np.sqrt(1 + 4 * product) - 1) / 2
    return float(1 + r / (1 + r) * units / (units - 2))


def mean_out_of_fold(
    values: Sequence[float] | np.ndarray, *, strata: Sequence[Any] | None = None, layers: int = 1
) -> tuple[Estimate, float]:
    """Mean of one value a unit, such as a difference of two AUROCs, where each unit was tested by a probe of
    all others: t with the error of shared training units added, and the p of 0.

    Args:
        values: one a unit; or a layout [unit, item] of what was drawn beside units, such as the wordings that
            all were tested on (`probes.LeftOut.placed`), which share no probe.
        strata: kind of each item, all of which weigh alike (`probes.statistics.crossed_mean`).
        layers: among how many the units chose (`probes.layer_choice`).

    Returns:
        The estimate and p; NaN for p, and for the ends, with two units, whose values are one value; NaN for p
        where all values are equal.

    Raises:
        StatisticsError: fewer than two values.
    """
    cells = np.asarray(values, dtype=float)
    mean = crossed_mean(cells.reshape(len(cells), -1), strata=strata)
    plain, k = mean.interval(), mean.units
    if k < 2:
        raise StatisticsError("one unit carries no interval; give two at least")
    if k < 3:
        return no_interval(plain.value, "two units share one probe's noise", n=plain.n, units=k), float("nan")
    spread, _ = mean.spreads[-1]
    if spread <= slack(mean.value) ** 2:
        return plain, float("nan")
    tested = mean.widened(shared_factor(k, layers=layers, paired=True))
    p = float(2 * stats.t.sf(abs(mean.value) / np.sqrt(tested.variance), tested.degrees))
    found = mean.widened(_product_factor(k, mean.value**2 / spread)).interval()
    low, high, method = found.low, found.high, f"{found.method}, {SHARED}"
    if p > 1 - found.level and not low <= 0 <= high:
        low, high, method = min(low, 0.0), max(high, 0.0), f"{method}, extended to 0"
    return replace(found, low=low, high=high, method=method), p


def out_of_fold(estimate: Estimate, *, layers: int = 1) -> tuple[Estimate, float]:
    """An estimate from cross-validated scores with the error of shared training units added, and its p
    against .5.

    Unit k's score is (signal + noise_k) along a direction that the other units' noise helped to choose. The
    product noise_k x noise_l stands in the scores of both units, so it counts twice. Its share of the
    variance is r / (1 + r), much on noise and little on strong signals (`_product_factor`, on the scale of
    the interval). Then, where the test of `p_against_half` does not reject .5, the interval is extended to
    .5, so that the two agree. `layers`: among how many the units chose. docs/validity.md shows the coverage
    with and without.
    """
    p = p_against_half(estimate, layers=layers)
    turned = _turned(estimate)
    k = estimate.units  # with two units K / (K - 2) is infinite: nothing can be said of what they share
    if turned is None or k < 3 or not estimate.low < estimate.value < estimate.high:
        return estimate, p
    low, value, high = turned
    spread = np.sqrt(k) * (high - low) / (2 * stats.t.ppf(0.5 + estimate.level / 2, k - 1))
    wider = np.sqrt(_product_factor(k, (value / spread) ** 2))
    low, high = (_back(value + wider * (end - value), estimate) for end in (low, high))
    method = f"{estimate.method}, {SHARED}"
    # the two approximations differ a little; an interval that excludes .5 beside a test that does not reject
    # it would be quoted as a finding
    if p > 1 - estimate.level and not low <= 0.5 <= high:
        low, high, method = min(low, 0.5), max(high, 0.5), f"{method}, extended to .5"
    return replace(estimate, low=low, high=high, method=method), p
