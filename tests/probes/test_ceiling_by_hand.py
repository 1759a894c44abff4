"""Exact intervals near 0 and 1 against SciPy's binomial tests and rules worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from probes.statistics import Estimate, t_interval
from probes.statistics.ceiling import (
    effective_rows,
    exact_interval,
    exact_p_of_half,
    few_or_exact,
    is_rare,
)
from probes.statistics.intervals import ratio_of_sums

MANY = 10**9
"""So many degrees of freedom that t is normal, and nothing is shrunk."""


def test_effective_rows_by_hand():
    """Value (1 - value) / variance, never more than the rows, which are all where nothing spreads."""
    assert effective_rows(0.8, 0.01, 100.0) == pytest.approx(16)
    assert effective_rows(0.8, 0.01, 10.0) == 10
    assert effective_rows(0.8, 0.0, 100.0) == 100
    assert effective_rows(1.0, 0.1, 100.0) == 100
    assert effective_rows(0.0, 0.1, 100.0) == 100


def test_what_is_rare():
    """Nearer than .25 to an end with fewer than ten effective rows wrong, or without any spread."""
    assert is_rare(0.95, 0.95 * 0.05 / 100, 100.0)  # five of a hundred
    assert is_rare(0.05, 0.95 * 0.05 / 100, 100.0)
    assert not is_rare(0.95, 0.95 * 0.05 / 300, 300.0)  # fifteen of three hundred
    assert is_rare(0.95, 0.95 * 0.05 / 100, 300.0)  # which are worth a hundred
    assert not is_rare(0.7, 0.7 * 0.3 / 20, 20.0)  # six of twenty, far from the end
    assert not is_rare(0.75, 0.75 * 0.25 / 20, 20.0)
    assert not is_rare(0.875, 0.875 * 0.125 / 80, 80.0)  # exactly ten
    assert is_rare(0.5, 0.0, 1000.0)
    assert not is_rare(0.5, 0.01, 1000.0)


@pytest.mark.parametrize("wrong", [1, 3, 10])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_exact_interval_is_clopper_and_pearson(wrong, level):
    """Over as many units as rows it is the exact binomial one; clusters make fewer rows of them."""
    value = 1 - wrong / 40
    found = exact_interval(
        value, value * (1 - value) / 40, rows=40.0, degrees=MANY, n=80, units=20, level=level
    )
    truth = stats.binomtest(40 - wrong, 40).proportion_ci(level, method="exact")
    assert (found.value, found.low, found.high) == pytest.approx((value, truth.low, truth.high))
    assert found.effective == pytest.approx(40)
    assert (found.n, found.units, found.level) == (80, 20, level)
    assert found.method == "exact over 40 effective independent rows"
    clustered = exact_interval(
        value, value * (1 - value) / 20, rows=40.0, degrees=MANY, n=80, units=20, level=level
    )
    half = stats.beta.ppf((1 - level) / 2, value * 20, wrong / 2 + 1)
    assert clustered.low == pytest.approx(half)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_exact_interval_of_a_perfect_score(level):
    """One-sided: all of forty right, or none."""
    options = {"rows": 40.0, "degrees": MANY, "n": 80, "units": 20, "level": level}
    truth = stats.binomtest(40, 40, alternative="greater").proportion_ci(level, method="exact")
    best, worst = exact_interval(1.0, 0.0, **options), exact_interval(0.0, 0.0, **options)
    assert (best.low, best.high) == pytest.approx((truth.low, 1))
    assert (worst.low, worst.high) == pytest.approx((0, 1 - truth.low))


@pytest.mark.parametrize(("degrees", "counted"), [(0, 1), (1, 1), (4, 4)])
def test_few_units_shrink_the_rows(degrees, counted):
    """By (z / t)^2 with the degrees of the units, one at least."""
    found = exact_interval(0.9, 0.0, rows=50.0, degrees=degrees, n=50, units=5, level=0.95)
    z, t = stats.norm.ppf(0.975), stats.t.ppf(0.975, counted)
    assert found.effective == pytest.approx(50 * (z / t) ** 2)


@pytest.mark.parametrize("right", [20, 24, 30, 15])
def test_p_of_half_is_the_binomial_one(right):
    """Twice the tail of a fair coin, either side; inflation divides the rows."""
    found = Estimate(right / 30, 0.0, 1.0, 30, 100, "exact", effective=30.0)
    more = max(right, 30 - right)
    tail = stats.binom.sf(more - 1, 30, 0.5)
    assert exact_p_of_half(found) == pytest.approx(min(1, 2 * tail))
    doubled = Estimate(right / 30, 0.0, 1.0, 60, 100, "exact", effective=60.0)
    assert exact_p_of_half(doubled, inflation=2.0) == pytest.approx(min(1, 2 * tail))


def test_p_of_half_is_no_smaller_than_that_of_equal_signs():
    """Five units that all agree have p 1/16, however many rows each has."""
    assert exact_p_of_half(Estimate(1.0, 0.9, 1.0, 500, 5, "exact", effective=500.0)) == 1 / 16


def few_exact(few_width, exact_width):
    few = Estimate(0.9, 0.9 - few_width / 2, 0.9 + few_width / 2, 40, 4, "t")
    return few, Estimate(0.9, 0.9 - exact_width / 2, 0.9 + exact_width / 2, 40, 4, "exact")


@pytest.mark.parametrize(
    ("few_width", "exact_width", "near", "lost", "method"),
    [
        (0.1, 0.2, False, 0.0, "t"),  # away from the ends
        (0.2, 0.1, False, 0.0, "t"),
        (0.1, 0.2, True, 2.0, "t"),  # half a row lost a unit, and the shorter
        (0.1, 0.2, True, 1.0, "t"),  # exactly a quarter of a row
        (0.1, 0.2, True, 0.9, "exact"),
        (0.2, 0.1, True, 2.0, "exact"),  # the exact one is the shorter
        (0.0, 0.1, False, 2.0, "exact"),  # equal units, whose t interval has no width
        (0.1, 0.1, True, 2.0, "t"),
    ],
)
def test_few_or_exact(few_width, exact_width, near, lost, method):
    """The exact one near an end where units lost less than a quarter of a row, or where it is shorter."""
    few, exact = few_exact(few_width, exact_width)
    assert few_or_exact(few, exact, near=near, lost=lost).method == method


def hits(units, rows, wrong):
    """One part; the first row of the first `wrong` units is wrong."""
    hit = np.ones((units * rows, 1))
    hit[np.arange(wrong) * rows] = 0
    return hit, np.ones_like(hit), np.repeat(np.arange(units), rows)


def clustered_variance(hit, codes):
    """Of a mean, from the sums of units."""
    units = codes.max() + 1
    sums = [(hit[codes == g] - hit.mean()).sum() / len(hit) for g in range(units)]
    return sum(one**2 for one in sums) * units / (units - 1)


@pytest.mark.parametrize("wrong", [0, 2])
def test_shares_near_one_over_many_units_are_exact(wrong):
    """All rows right or two of 48 wrong, over twelve units: the exact interval of eleven degrees."""
    hit, ones, codes = hits(12, 4, wrong)
    found = ratio_of_sums(hit, ones, codes, scale="logit", level=0.9)
    assert found == exact_interval(
        1 - wrong / 48,
        float(clustered_variance(hit, codes)),
        rows=48.0,
        degrees=11,
        n=48,
        units=12,
        level=0.9,
    )
    assert ratio_of_sums(hit, ones, codes).method == "studentized bootstrap over units"
    assert ratio_of_sums(*hits(10, 4, wrong), scale="logit").method.startswith("exact")


def test_two_classes_count_the_scarcer_twice():
    """A balanced share: rows and degrees are those of the class that fewest rows and units hold."""
    codes = np.repeat(np.arange(12), 4)
    second = (np.arange(48) % 4 == 0) & (codes < 7)  # seven rows in seven units
    member = np.stack([~second, second], axis=1).astype(float)
    hit = np.ones(48)
    hit[1] = 0
    found = ratio_of_sums(hit[:, None] * member, member, codes, scale="logit")
    shares = [hit[~second].mean(), 1.0]
    sums = [((hit - shares[0]) * ~second)[codes == g].sum() / (~second).sum() / 2 for g in range(12)]
    assert found == exact_interval(
        float(np.mean(shares)),
        float(sum(s**2 for s in sums) * 12 / 11),
        rows=14.0,
        degrees=6,
        n=48,
        units=12,
        level=0.95,
    )


@pytest.mark.parametrize(
    ("wrong", "exact"), [((0, 0, 0, 0, 0), True), ((1, 0, 0, 0, 0), True), ((1, 2, 1, 3, 2), False)]
)
def test_shares_near_one_over_few_units(wrong, exact):
    """Five units: exact where less than a quarter of a row is lost a unit, else t over logits if shorter."""
    hit = np.concatenate([np.arange(20) >= k for k in wrong]).astype(float)[:, None]
    codes = np.repeat(np.arange(5), 20)
    found = ratio_of_sums(hit, np.ones_like(hit), codes, scale="logit")
    variance = float(clustered_variance(hit, codes))
    options = {"rows": 100.0, "degrees": 4, "n": 100, "units": 5, "level": 0.95}
    binomial = exact_interval(float(hit.mean()), variance, **options)
    student = t_interval([(20 - k + 0.5) / 21 for k in wrong], scale="logit")
    expected = binomial if exact else student
    assert found.method == expected.method
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.n, found.units) == (100, 5)
