"""A number over seeds: one mean, one interval, one test; a null is one distribution; equal means equal up to
rounding.
"""

import numpy as np
import pytest
from scipy import stats

from mi_bsa.core.errors import ResultError
from mi_bsa.core.over_seeds import over_seeds, over_seeds_and_items, reached_by
from mi_bsa.core.results import Null
from mi_bsa.core.tested import among
from probes.statistics import crossed_mean, is_constant, t_interval, t_test

VALUES = (0.2, 0.5, 0.4)
SEEDS = (3, 5, 8)


def result(values=VALUES, seeds=SEEDS, **more):
    return over_seeds("behavior.effect", {"behavior": "risk"}, values, seeds, unit="share", **more)


@pytest.mark.parametrize("scale", ["linear", "logit", "fisher"])
def test_mean_and_interval_are_those_of_t_on_the_scale(scale):
    """Value and ends are t over seeds on the scale asked for, turned back; every value stands beside."""
    found, wanted = result(scale=scale), t_interval(list(VALUES), scale=scale)
    assert (found.value, found.ci) == (wanted.value, (wanted.low, wanted.high))
    assert (found.n, found.per_seed, found.seeds) == (3, VALUES, SEEDS)
    assert found.ci_method == wanted.method.replace("units", "seeds")


def test_an_interval_made_otherwise_stands_beside_the_plain_mean():
    """Where wordings are a sample too, their interval stands, and the value is the mean over seeds."""
    found = result(scale="logit", ci=(0.1, 0.9), ci_method="t over wordings x seeds")
    assert (found.value, found.ci) == (pytest.approx(np.mean(VALUES)), (0.1, 0.9))
    assert found.ci_method == "t over wordings x seeds"


def test_an_interval_stays_within_its_scale():
    """A correlation's interval does not run past 1."""
    ends = result((0.9, 1.0, 0.2), within=(-1.0, 1.0)).ci
    assert ends is not None
    assert ends[1] == 1.0


def test_p_is_of_t_against_chance():
    """`chance` asks for the test, and says against what."""
    assert result().p is None
    found = result(chance=0.5)
    assert found.p == pytest.approx(stats.ttest_1samp(VALUES, 0.5).pvalue)
    assert (found.test, found.p_floor) == ("t over seeds against 0.5", None)


def test_a_test_brings_its_own_null():
    """Its draws stand in the place of a band that is not of its p; without draws the band stands beside."""
    beside = Null.of("seed against seed", [-0.1, 0.1])
    tested = among(0.4, [0.0, 0.1, 0.5], "random directions")
    found = result(null=beside, tested=tested, rows=30)
    assert (found.null, found.p, found.test) == (tested.null, 0.5, "random directions, 3 draws, one-sided")
    assert (found.p_floor, found.rows, found.null_is_of_p) == (0.25, 30, True)
    plain = result(null=beside, chance=0.0)
    assert (plain.null, plain.null_is_of_p) == (beside, False)


def test_seeds_that_agree_up_to_cancellation_are_not_tested():
    """Three equal values that were subtracted in different orders have no spread worth a test."""
    same = [(0.1 + 0.2) - 0.3, 0.0, (1.1 - 1.0) - 0.1]
    assert np.ptp(same) > 0
    assert is_constant(same)
    assert t_test(same) is None
    assert (result(same, chance=0.0).p, result(same, chance=0.0).test) == (None, None)
    assert t_test([0.1, 0.2, 0.4]) is not None


def test_plain_data_is_measured_by_its_own_size():
    """A column of tiny activations that differ is no constant, though shares so close would be."""
    tiny = np.array([[1e-15, 5.0], [3e-15, 5.0]])
    assert is_constant(tiny[:, 0])
    assert is_constant(tiny, scale=0.0, axis=0).tolist() == [False, True]
    assert is_constant([0.0, 0.0], scale=0.0)


def test_a_null_is_one_distribution():
    """n, mean and ends are of the same draws; mirrored, each draw stands there with either sign."""
    draws = np.random.default_rng(0).normal(0.3, 1.0, size=(20, 5))
    plain, both = Null.of("draws", draws), Null.of("draws", draws, mirrored=True)
    assert (plain.n, plain.mean) == (100, pytest.approx(draws.mean()))
    assert (plain.low, plain.high) == tuple(np.quantile(draws, (0.025, 0.975)))
    assert (both.n, both.mean, both.low) == (200, pytest.approx(0.0, abs=1e-12), pytest.approx(-both.high))
    with pytest.raises(ResultError, match="at least one draw"):
        Null.of("draws", [])


def test_seeds_without_a_value_are_left_out():
    """What never got there (NaN) takes its seed with it."""
    values, seeds = reached_by(np.array([1.0, np.nan, 2.0]), SEEDS)
    assert (values.tolist(), seeds) == ([1.0, 2.0], [3, 8])


def crossed(cells, **more):
    seeds = range(len(cells))
    return over_seeds_and_items("behavior.effect", {"behavior": "risk"}, cells, seeds, unit="share", **more)


def test_seeds_and_items_are_both_drawn():
    """Value, interval and p are those of the crossed mean; each seed's own mean stands beside; where items
    differ more than seeds, the interval over seeds alone is far shorter."""
    rng = np.random.default_rng(0)
    cells = 0.2 + 0.3 * rng.normal(size=(1, 8)) + 0.02 * rng.normal(size=(5, 8))
    found, wanted = crossed(cells, chance=0.0, items="scenarios"), crossed_mean(cells)
    span = wanted.interval()
    assert (found.value, found.ci, found.p) == (span.value, (span.low, span.high), wanted.p())
    assert found.ci_method == "t over seeds x scenarios, crossed"
    assert found.test == "t over seeds x scenarios against 0"
    assert found.per_seed == pytest.approx(cells.mean(1).tolist())
    alone = t_interval(cells.mean(1))
    assert found.ci[1] - found.ci[0] > 5 * (alone.high - alone.low)


def test_kinds_of_items_weigh_alike():
    """Seven items of one kind and one of another: the value is the mean of the two kinds, by seed too; a seed
    that was not asked an item has the mean of the others."""
    cells = np.array([[0.0] * 7 + [1.0], [0.2] * 7 + [0.8]]) + 0.01 * np.arange(8)
    found = crossed(cells, kinds=["a"] * 7 + ["b"])
    assert found.value == pytest.approx(np.mean(found.per_seed))
    assert found.per_seed[0] == pytest.approx((0.03 + 1.07) / 2)
    cells[0, 0] = np.nan
    assert np.isfinite(crossed(cells).per_seed).all()


def test_one_seed_of_one_wording_has_no_interval_and_the_scale_is_kept():
    """The reason stands in the method; an interval is cut off at the ends of its scale."""
    alone = crossed(np.array([[0.3]]))
    assert (alone.ci, alone.ci_method) == (None, "none: one seed of one wording")
    rng = np.random.default_rng(0)
    low, high = crossed(0.05 * rng.random((3, 4)) ** 4, within=(0.0, 0.5)).ci
    assert low == 0 < high < 0.5
