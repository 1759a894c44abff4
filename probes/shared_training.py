"""Cross-validated scores: the error that shared training units add, and the test of AUROC = .5."""

from dataclasses import replace

import numpy as np
from scipy import stats
from scipy.special import expit

from probes.statistics.ceiling import exact_p_of_half
from probes.statistics.intervals import Estimate


def p_against_half(estimate: Estimate, *, cross_validated: bool = True) -> float:
    """Two-sided p of AUROC = .5, t over units on the logit scale.

    With few seeds this is the test to use: label shuffles inside 5 seeds can not give a p below 1/16. Probes
    of different folds share training units, so under the null their scores are positively correlated (the
    product of unit k's and unit l's noise enters both fold k and fold l) and the plain error is too small:
    its square must be multiplied by 2 (K - 1) / (K - 2) for K units (compare Bengio and Grandvalet 2004).
    `cross_validated=False` leaves that out, for a probe that was fitted elsewhere. Near the ceiling p is that
    of the exact interval, and never below that of K equal signs.
    """
    units = estimate.units
    if estimate.effective is not None:
        shared = 2 * (units - 1) / (units - 2) if cross_validated and units > 2 else 1.0
        return exact_p_of_half(estimate, inflation=shared)
    turned = _turned(estimate)
    if turned is None:
        return float("nan")
    low, value, high = turned
    error = (high - low) / (2 * stats.t.ppf(0.5 + estimate.level / 2, units - 1))
    if cross_validated:
        if units < 3:
            return float("nan")
        error *= np.sqrt(2 * (units - 1) / (units - 2))
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


EFFECTIVE_DIMENSION = 12.0
"""How many dimensions the noise between units is taken to fill, in `out_of_fold`. It is not known for a given
site; 12 holds the rate of the simulated designs (docs/validity.md), and more only widens weak signals'
intervals."""


def out_of_fold(estimate: Estimate) -> tuple[Estimate, float]:
    """An estimate from cross-validated scores with the error of shared training units added, and its p
    against .5.

    Unit k's score is (signal + noise_k) along a direction that the other units' noise helped to choose. The
    product noise_k x noise_l stands in the scores of both units, so it counts twice. Its share of the
    variance is r / (1 + r) with r (1 + r) = D / ((K - 1) S): K units, S the squared ratio of the mean logit
    to its spread over units, D the dimensions that the noise fills. The squared error is multiplied by 1 +
    r / (1 + r) K / (K - 2): much on noise, little on strong signals. Then, where the test of
    `p_against_half` does not reject .5, the interval is extended to .5, so that the two agree.
    docs/validity.md shows the coverage with and without.
    """
    p = p_against_half(estimate)
    turned = _turned(estimate)
    k = estimate.units  # with two units K / (K - 2) is infinite: nothing can be said of what they share
    if turned is None or k < 3 or not estimate.low < estimate.value < estimate.high:
        return estimate, p
    low, value, high = turned
    spread = np.sqrt(k) * (high - low) / (2 * stats.t.ppf(0.5 + estimate.level / 2, k - 1))
    product = EFFECTIVE_DIMENSION / ((k - 1) * max((value / spread) ** 2, 1e-12))  # a signal of exactly 0
    r = (np.sqrt(1 + 4 * product) - 1) / 2
    wider = np.sqrt(1 + r / (1 + r) * k / (k - 2))
    low, high = (_back(value + wider * (end - value), estimate) for end in (low, high))
    method = f"{estimate.method}, shared training units added"
    # the two approximations differ a little; an interval that excludes .5 beside a test that does not reject
    # it would be quoted as a finding
    if p > 1 - estimate.level and not low <= 0.5 <= high:
        low, high, method = min(low, 0.5), max(high, 0.5), f"{method}, extended to .5"
    return replace(estimate, low=low, high=high, method=method), p
