"""Tests, ratios and effects against second implementations: SciPy, loops, Fieller's quadratic."""

import itertools

import numpy as np
import pytest
from scipy import stats

from probes.errors import StatisticsError
from probes.statistics import (
    benjamini_hochberg,
    crossed_mean,
    crossed_ratio,
    equivalence,
    fieller,
    max_statistic,
    mediation,
    permutation_p,
    permutation_test,
    sign_flip_test,
    t_interval,
)
from probes.statistics.permutation import p_of_count, t_test

DIFFERENCES = [0.3, -0.1, 0.5, 0.2, 0.4]


def test_equivalence_is_the_larger_of_two_one_sided_tests():
    """p is that of SciPy's two tests against the bounds, the interval the one of 1 - 2 alpha."""
    found = equivalence(DIFFERENCES, bound=0.6, alpha=0.1)
    above = stats.ttest_1samp(DIFFERENCES, -0.6, alternative="greater").pvalue
    below = stats.ttest_1samp(DIFFERENCES, 0.6, alternative="less").pvalue
    assert found.p == pytest.approx(max(above, below))
    assert found.estimate == t_interval(DIFFERENCES, level=0.8)
    assert (found.bound, found.equivalent) == (0.6, found.p < 0.1)
    assert equivalence([-x for x in DIFFERENCES], bound=0.6).p == pytest.approx(found.p)
    assert equivalence(DIFFERENCES, bound=0.6) == equivalence(DIFFERENCES, bound=0.6, alpha=0.05)


@pytest.mark.parametrize(("value", "p"), [(0.25, 0.0), (-0.25, 0.0), (0.5, 1.0), (-0.75, 1.0)])
def test_equivalence_of_equal_values(value, p):
    """Without spread they are inside the bound or not; a value at the bound is not inside."""
    found = equivalence([value] * 3, bound=0.5)
    assert equivalence([0.7] * 3, bound=0.5).p == 1.0  # whose spread is 1e-16
    assert (found.p, found.equivalent) == (p, p == 0)


def test_fieller_solves_its_quadratic_on_correlated_pairs():
    """Both ends are where a - end * b is at its critical t, the lower one first."""
    b = np.array([1.0, 1.4, 0.7, 1.2, 0.9])
    a = 0.5 * b + np.array([0.02, -0.05, 0.03, 0.01, -0.02])
    found = fieller(a, b, level=0.9)
    assert found.low < found.value < found.high
    for end in (found.low, found.high):
        assert abs(stats.ttest_1samp(a - end * b, 0).statistic) == pytest.approx(stats.t.ppf(0.95, 4))
    assert (found.n, found.units, found.method, found.level) == (5, 5, "Fieller over units", 0.9)
    assert fieller(a, b) == fieller(a, b, level=0.95)
    turned = fieller(-a, -b)
    assert (turned.low, turned.high) == pytest.approx((fieller(a, b).low, fieller(a, b).high))
    with pytest.raises(StatisticsError, match="in pairs"):
        fieller(a, b[:-1])


def test_fieller_over_a_denominator_without_spread_or_at_zero():
    """Over a constant it is the t interval, divided; at a mean of zero it is refused."""
    a = np.array([0.4, 0.6, 0.7, 0.2])
    found, plain = fieller(a, [2.0] * 4), t_interval(a)
    assert (found.value, found.low, found.high) == pytest.approx(
        (plain.value / 2, plain.low / 2, plain.high / 2)
    )
    with pytest.raises(StatisticsError, match="holds 0"):
        fieller(a, [1.0, -1.0, 2.0, -2.0])
    exact = fieller([2.0, 2.5, 3.0], [4.0, 5.0, 6.0])
    assert (exact.value, exact.low, exact.high) == pytest.approx((0.5, 0.5, 0.5))


def test_monte_carlo_p_by_hand():
    """Ties count against the observed, to a relative 1e-12; sides and exactness as they say."""
    null = [-3.0, -1.0, 0.0, 1.0, 2.0]
    assert permutation_p(1, null) == pytest.approx(3 / 6)
    assert permutation_p(1, null, exact=True) == pytest.approx(2 / 5)
    assert permutation_p(-1, null, alternative="less") == pytest.approx(3 / 6)
    assert permutation_p(2, null, alternative="two-sided") == pytest.approx(3 / 6)
    many = permutation_p(np.array([1.0, 5.0]), null)
    assert many == pytest.approx([3 / 6, 1 / 6])
    assert isinstance(permutation_p(1, null), float)
    assert permutation_p(np.True_, [True, False, False], alternative="less") == 1.0
    assert permutation_p(1e6, [1e6 - 1e-7]) == 1.0
    assert permutation_p(1e6, [1e6 - 1e-5]) == 0.5
    assert permutation_p(0.5, [0.5 - 1.5e-12]) == 0.5
    assert permutation_p(0.5, [0.5 - 0.5e-12]) == 1.0
    assert permutation_p(-1e6, [-1e6 - 1e-7]) == 1.0
    with pytest.raises(StatisticsError, match="no null draws"):
        permutation_p(1.0, [])


def test_few_labelings_bound_p():
    """Of 20 labelings 19 are not the true one: p is (1 + 19 share) / 20, never below that of draws."""
    assert p_of_count(3, 99) == pytest.approx(4 / 100)
    assert p_of_count(0, 999, labelings=20) == pytest.approx(1 / 20)
    assert p_of_count(30, 90, labelings=20) == pytest.approx((1 + 19 / 3) / 20)
    assert p_of_count(0, 9, labelings=20) == pytest.approx(1 / 10)
    assert p_of_count([0, 9], 9) == pytest.approx([0.1, 1.0])


@pytest.mark.parametrize(("alternative", "smallest"), [("two-sided", 2 / 32), ("greater", 1 / 32)])
def test_sign_flips_are_all_patterns(alternative, smallest):
    """Exact p and null of five differences, by going through all 32 patterns."""
    found = sign_flip_test(DIFFERENCES, alternative=alternative)
    means = [np.mean(np.multiply(signs, DIFFERENCES)) for signs in itertools.product([1, -1], repeat=5)]
    means = np.abs(means) if alternative == "two-sided" else np.array(means)
    assert found.p == pytest.approx(np.mean(means >= np.mean(DIFFERENCES) - 1e-9))
    assert (found.smallest_p, found.n_draws, found.exact) == (smallest, 32, True)
    assert (found.null_mean, found.null_low, found.null_high) == pytest.approx(
        (means.mean(), *np.quantile(means, [0.025, 0.975]))
    )
    assert found.observed == pytest.approx(np.mean(DIFFERENCES))


def test_sign_flips_of_many_units_are_drawn():
    """Thirteen units are gone through, fourteen are drawn; p is then the one of draws."""
    x = np.random.default_rng(1).normal(0.4, 1, size=14)
    assert sign_flip_test(x[:13]).n_draws == 2**13
    found = sign_flip_test(x, n_draws=500, seed=3)
    signs = np.random.default_rng(3).choice([1.0, -1.0], size=(500, 14))
    null = np.array([abs(np.mean(one * x)) for one in signs])
    assert found.p == pytest.approx((1 + (null >= abs(x.mean())).sum()) / 501)
    assert (found.smallest_p, found.n_draws, found.exact) == (1 / 501, 500, False)
    assert found.null_mean == pytest.approx(null.mean())
    assert sign_flip_test(x) == sign_flip_test(x, n_draws=9999, seed=0)
    with pytest.raises(StatisticsError, match="choose 'two-sided' or 'greater'"):
        sign_flip_test(x, alternative="less")


def test_arrangements_are_each_distinct_one_once():
    """Three labels over six units (2, 3, 1): sixty arrangements, the same as all distinct permutations."""
    unit, labels = np.repeat(np.arange(6), 2), np.repeat([0, 1, 1, 2, 0, 1], 2)
    seen = []

    def code(y):
        seen.append(tuple(y[::2]))
        return float(seen[-1] == (0, 1, 1, 2, 0, 1))

    found = permutation_test(code, labels, unit, n_draws=60)
    assert sorted(seen[:60]) == sorted(set(itertools.permutations([0, 1, 1, 2, 0, 1])))
    assert (found.p, found.smallest_p, found.n_draws, found.exact) == (1 / 60, 1 / 60, 60, True)
    assert not permutation_test(code, labels, unit, n_draws=59).exact


def test_one_arrangement_and_more_than_a_float_can_count():
    """A constant label can not be permuted, so p is 1; four hundred units are drawn from."""
    constant = permutation_test(lambda y: float(y[0]), np.ones(6), np.arange(6) // 2)
    assert (constant.p, constant.n_draws, constant.exact) == (1.0, 1, True)
    found = permutation_test(lambda y: float(y[0]), np.arange(400) % 2, np.arange(400), n_draws=19)
    assert (found.n_draws, found.exact) == (19, False)


def test_many_arrangements_are_drawn():
    """Sixteen units with names: labels are permuted between units, seed by seed."""
    names = np.array([f"unit {k}" for k in range(16)])
    labels, unit = np.repeat(np.arange(16) % 2, 3), np.repeat(names, 3)
    x = np.random.default_rng(2).normal(size=48) + 0.5 * labels

    def gap(y):
        return float(x[y == 1].mean() - x[y == 0].mean())

    found = permutation_test(gap, labels, unit, n_draws=300, seed=4)
    order, place = np.unique(unit, return_inverse=True)
    own = np.array([labels[unit == name][0] for name in order])
    rng = np.random.default_rng(4)
    null = np.array([gap(rng.permutation(own)[place]) for _ in range(300)])
    assert found.p == pytest.approx((1 + (null >= gap(labels)).sum()) / 301)
    assert found.null_mean == pytest.approx(null.mean())
    assert (found.observed, found.smallest_p, found.exact) == (gap(labels), 1 / 301, False)
    assert permutation_test(gap, labels, unit) == permutation_test(gap, labels, unit, n_draws=999, seed=0)


def test_largest_of_all_cells():
    """Each cell against the draws' maxima; the smallest p and the number of draws are told."""
    null = np.array([[0.0, 1.0], [2.0, 0.5], [0.3, 0.4]])
    found = max_statistic(np.array([1.5, 0.4]), null)
    assert found.p == pytest.approx([2 / 4, 4 / 4])
    assert (found.smallest_p, found.n_draws) == (1 / 4, 3)
    single = max_statistic(np.array([0.1], dtype=np.float32), np.array([[0.1]]))
    assert single.p == 0.5  # .1 in single precision is a little more
    for shape in ((3, 1), (6,)):
        with pytest.raises((StatisticsError, TypeError), match="cell"):
            max_statistic(np.array([1.5, 0.4]), np.ones(shape))


def test_what_was_not_tested_has_no_q():
    """None and NaN are gaps, also where nothing at all was tested."""
    assert benjamini_hochberg([0.01, None, 0.04])[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(benjamini_hochberg([0.01, None, 0.04])[1])
    assert np.isnan(benjamini_hochberg([np.nan, None])).all()


def test_t_test_is_scipys():
    """One sample against zero, two-sided; where all agree, or there is one, none."""
    assert t_test([0.7, 0.7, 0.7]) is None
    assert t_test([0.7]) is None
    assert t_test(DIFFERENCES) == pytest.approx(stats.ttest_1samp(DIFFERENCES, 0).pvalue)


@pytest.mark.parametrize("items", ["random", "fixed"])
def test_mediation_is_its_formulas(items):
    """Every effect is the interval of its difference of runs, at the level asked for."""
    rng = np.random.default_rng(0)
    off = rng.normal(size=(4, 7))
    on, held, moved = (off + x + 0.3 * rng.normal(size=(4, 7)) for x in (2.0, 0.7, 1.1))
    found = mediation(off, on, held, moved, items=items, level=0.9)

    def interval(effect):
        if items == "random":
            return crossed_mean(effect).interval(level=0.9)
        return t_interval(effect.mean(axis=1), level=0.9, n=28)

    assert found.te == interval(on - off)
    assert found.nde == interval(held - off)
    assert found.nie == interval(moved - off)
    assert found.interaction == interval((on - off) - (held - off) - (moved - off))
    if items == "random":
        assert found.proportion == crossed_ratio(moved - off, on - off, level=0.9)
    else:
        assert found.proportion == fieller((moved - off).mean(1), (on - off).mean(1), level=0.9)
    assert found.proportion_note == "NIE / TE"
    assert mediation(off, on, held, moved) == mediation(off, on, held, moved, items="random", level=0.95)
    single = [run.astype(np.float32) for run in (off, on, held, moved)]
    assert mediation(*single) == mediation(*(run.astype(np.float64) for run in single))


def test_mediation_refuses_runs_that_do_not_pair():
    """Runs of another shape, of one dimension, and an unknown kind of items."""
    run = np.zeros((3, 4))
    with pytest.raises((StatisticsError, TypeError), match="shape|type"):
        mediation(run, run, run, run[:, :3])
    with pytest.raises((StatisticsError, TypeError), match="shape|type"):
        mediation(run[0], run[0], run[0], run[0])
    with pytest.raises(StatisticsError, match="choose 'random' or 'fixed'"):
        mediation(run, run, run, run, items="all")
