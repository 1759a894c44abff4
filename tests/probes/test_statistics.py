"""Intervals and tests against SciPy, closed forms and planted truth."""

import numpy as np
import pytest
from scipy import stats

from probes.errors import StatisticsError
from probes.statistics import (
    benjamini_hochberg,
    bootstrap_interval,
    crossed_mean,
    equivalence,
    fieller,
    max_statistic,
    mediation,
    paired_bootstrap,
    permutation_p,
    permutation_test,
    sign_flip_test,
    studentized_interval,
    t_interval,
)

X = np.random.default_rng(0).normal(1, 1, size=7)


@pytest.fixture
def rng():
    """Each test draws its own numbers, whatever ran before it."""
    return np.random.default_rng(1)


def test_t_interval_equals_scipy():
    """The t interval is SciPy's; on the logit scale its ends stay inside (0, 1)."""
    found = t_interval(X)
    low, high = stats.ttest_1samp(X, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    shares = t_interval([0.97, 0.99, 0.9, 0.95], scale="logit")
    assert 0 < shares.low < shares.value < shares.high < 1


def test_studentized_interval_follows_skew(rng):
    """Bootstrap-t reaches further to the heavy side."""
    found = studentized_interval(rng.exponential(size=20))
    assert found.high - found.value > found.value - found.low


def test_percentile_bootstrap_is_refused_over_few_groups(rng):
    """A percentile bootstrap over five groups is refused with the alternative."""
    with pytest.raises(StatisticsError, match="use t_interval"):
        bootstrap_interval(lambda rows: 0.0, np.arange(50) // 10)
    values = rng.normal(size=200)
    found = bootstrap_interval(lambda rows: float(values[rows].mean()), np.arange(200) // 10)
    assert found.low < values.mean() < found.high


def test_pairing_narrows(rng):
    """A paired difference is tighter than the spread of either side."""
    base = rng.normal(size=200) * 5
    found = paired_bootstrap(base + 0.5 + 0.1 * rng.normal(size=200), base, np.arange(200) // 10)
    assert 0.4 < found.low < 0.5 < found.high < 0.6


def test_two_way_is_wider_than_one_way(rng):
    """Taking items as random as well can only widen the interval, and its mean is the grand mean."""
    values = rng.normal(size=(5, 12)) + rng.normal(size=(1, 12)) * 2 + rng.normal(size=(5, 1))
    both, one = crossed_mean(values).interval(), t_interval(values.mean(1))
    assert both.value == pytest.approx(values.mean())
    assert both.high - both.low > 0
    assert both.units == 5
    assert one.value == pytest.approx(both.value)


def test_fieller_holds_the_ratio_and_refuses_a_zero_denominator(rng):
    """The interval solves Fieller's quadratic; a denominator that may be zero has no ratio."""
    a, b = rng.normal(0.6, 0.1, 6), rng.normal(1.0, 0.1, 6)
    found = fieller(a, b)
    for end in (found.low, found.high):  # at the ends, a - end * b is exactly at its critical t
        t = stats.ttest_1samp(a - end * b, 0).statistic
        assert abs(t) == pytest.approx(stats.t.ppf(0.975, 5), rel=1e-6)
    with pytest.raises(StatisticsError, match="holds 0"):
        fieller(a, [1.0, -1.2, 0.9, -0.8, 0.3, -0.4])


def test_equivalence():
    """A small spread inside the bound is equivalent, a wide one is not, and neither claims without a
    bound."""
    assert equivalence([0.01, -0.02, 0.0, 0.02, -0.01], bound=0.1).equivalent
    assert not equivalence([0.3, -0.3, 0.2, -0.2], bound=0.1).equivalent
    with pytest.raises(StatisticsError, match="positive number"):
        equivalence([0.1, 0.2], bound=0)


def test_sign_flip_is_exact_and_says_its_smallest_p():
    """Six equal signs give 2/64, five can not reach .05."""
    six = sign_flip_test([1.0, 2, 1, 3, 1, 2])
    assert six.p == six.smallest_p == 2 / 64
    assert sign_flip_test([1.0, 2, 1, 3, 1]).smallest_p == 2 / 32
    assert sign_flip_test([1.0, -1, 1, -1]).p == 1.0


def test_permutation_between_units(rng):
    """Labels move between units; the exact p of a perfect split of 3 against 3 is 1/20; a mixed unit is
    refused."""
    unit = np.repeat(np.arange(6), 4)
    y = (unit >= 3).astype(int)
    x = unit + rng.normal(size=24) * 0.01

    def gap(labels):
        return float(x[labels == 1].mean() - x[labels == 0].mean())

    found = permutation_test(gap, y, unit)
    assert found.exact
    assert found.p == found.smallest_p == 1 / 20
    with pytest.raises(StatisticsError, match="varies inside a unit"):
        permutation_test(gap, np.arange(24) % 2, unit)


def test_permutation_p_counts_the_observed_among_its_null(rng):
    """Never zero; every alternative counts its side, ties against the claim; many as one by one."""
    assert permutation_p(9.0, np.zeros(999)) == 1 / 1000
    null = np.array([-3.0, -1.0, 1.0, 2.0])
    assert permutation_p(2.0, null) == 2 / 5
    assert permutation_p(-1.0, null, alternative="less") == 3 / 5
    assert permutation_p(-2.0, null, alternative="two-sided") == 3 / 5
    assert permutation_p(0.1 + 0.2, [0.3]) == permutation_p(0.3, [0.1 + 0.2]) == 1
    values = rng.normal(size=7)
    np.testing.assert_array_equal(permutation_p(values, null), [permutation_p(v, null) for v in values])
    assert permutation_p(2.0, null, exact=True) == 1 / 4


def test_permutation_p_knows_how_few_arrangements_there_are():
    """With 16 distinct labelings, no number of draws gives less than 1 / 16; all reached is 1."""
    assert permutation_p(1.0, np.zeros(50), labelings=16) == 1 / 16
    assert permutation_p(0.0, np.zeros(50), labelings=16) == 1
    assert permutation_p(1.0, np.zeros(50), labelings=1000) == 1 / 51


def test_permutation_p_refuses_what_no_order_holds():
    """A NaN would count as smaller than everything; no draws and an unknown alternative are refused too."""
    for observed, null in ((np.nan, [0.0, 1.0]), (0.5, [0.0, np.nan])):
        with pytest.raises(StatisticsError, match="drop what could not be computed"):
            permutation_p(observed, null)
    with pytest.raises(StatisticsError, match="no null draws"):
        permutation_p(0.5, [])
    with pytest.raises(StatisticsError, match="nearest: greater"):
        permutation_p(0.5, [0.0], alternative="great")


def test_max_statistic_is_stricter_than_single_tests(rng):
    """A cell that beats its own null need not beat the null of the maximum."""
    null = rng.normal(size=(999, 50))
    found = max_statistic(np.array([2.5] + [0.0] * 49), null)
    assert permutation_p(2.5, null[:, 0]) < 0.02 < 0.1 < found.p[0]


def test_benjamini_hochberg_equals_scipy_and_keeps_gaps():
    """q values are SciPy's; untested entries stay NaN."""
    p = np.array([0.01, 0.04, np.nan, 0.03])
    q = benjamini_hochberg(p)
    np.testing.assert_allclose(q[[0, 1, 3]], stats.false_discovery_control(p[[0, 1, 3]]))
    assert np.isnan(q[2])


def test_mediation_recovers_planted_effects(rng):
    """Direct .4 and indirect .3 come back; a proportion is withheld, with the reason, where there is no
    total effect."""
    base = rng.normal(size=(5, 40))
    noise = [0.05 * rng.normal(size=(5, 40)) for _ in range(3)]
    found = mediation(base, base + 0.7 + noise[0], base + 0.4 + noise[1], base + 0.3 + noise[2])
    assert found.te.value == pytest.approx(0.7, abs=0.02)
    assert found.nde.low < 0.4 < found.nde.high
    assert found.nie.low < 0.3 < found.nie.high
    assert found.proportion is not None
    assert found.proportion.value == pytest.approx(3 / 7, abs=0.03)
    nothing = mediation(base, base + noise[0], base + noise[1], base + noise[2], items="fixed")
    assert nothing.proportion is None
    assert "holds 0" in nothing.proportion_note
