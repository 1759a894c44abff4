"""Means and ratios over units x items against tables of variance that are worked out cell by cell."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from probes import StatisticsError
from probes.statistics import (
    combined,
    crossed_difference,
    crossed_equivalence,
    crossed_mean,
    crossed_ratio,
    equivalence,
    fieller,
    t_interval,
)
from probes.statistics.ceiling import exact_interval


def by_hand(y):
    """Mean, squared error and degrees of one layout, from a table of variance, cell by cell."""
    s, i, mean = len(y), len(y[0]), np.mean(y)
    rows = [np.mean(y[a]) - mean for a in range(s)]
    cols = [np.mean([y[a][b] for a in range(s)]) - mean for b in range(i)]
    rest = sum((y[a][b] - mean - rows[a] - cols[b]) ** 2 for a in range(s) for b in range(i))
    cell = rest / ((s - 1) * (i - 1) * s * i)
    of = [(sum(r * r for r in rows) / (s - 1) / s, s - 1), (sum(c * c for c in cols) / (i - 1) / i, i - 1)]
    return mean, *added(of, (cell, (s - 1) * (i - 1)))


def added(of, twice):
    """Squared error and degrees of a sum of parts less what they hold twice."""
    total = sum(v for v, _ in of) - twice[0]
    if total < max(v for v, _ in of):
        return max(of)
    high = [(v * (1 + 2 * np.sqrt(2 / d)), d) for v, d in of]
    both = sum(v for v, _ in high) - twice[0]
    return total, max(1, both**2 / (sum(v * v / d for v, d in high) + twice[0] ** 2 / twice[1]))


def drawn(rng, units, items, *, unit=1.0, item=1.0, rest=0.3, mean=5.0):
    return (
        mean
        + unit * rng.normal(size=(units, 1))
        + item * rng.normal(size=(1, items))
        + rest * rng.normal(size=(units, items))
    )


@pytest.mark.parametrize("size", [1e-3, 1.0])
@pytest.mark.parametrize(("unit", "item", "rest"), [(1, 2, 0.3), (0.7, 0.7, 1), (0, 2, 1), (2, 0, 1)])
def test_a_mean_is_its_table_of_variance(unit, item, rest, size):
    """Units and items that spread, or only one of them, which then stands alone with its own degrees."""
    y = size * drawn(np.random.default_rng(4), 4, 6, unit=unit, item=item, rest=rest)
    found, (mean, variance, degrees) = crossed_mean(y), by_hand(y)
    assert (found.value, found.variance, found.degrees) == pytest.approx((mean, variance, degrees))
    assert (found.n, found.units, found.items) == (24, 4, 6)
    reach = stats.t.isf(0.05, degrees) * np.sqrt(variance)
    told = found.interval(level=0.9)
    assert (told.low, told.high) == pytest.approx((mean - reach, mean + reach))
    assert (told.method, told.level) == ("t over units x items, crossed", 0.9)
    assert found.p(4.0) == pytest.approx(2 * stats.t.sf(abs(mean - 4) / np.sqrt(variance), degrees))


def test_one_row_or_column_is_students_t():
    """Over units of one item, or items of one unit, it is Student's interval; one of one has none."""
    x = np.random.default_rng(0).normal(size=5)
    for y, method in ((x[:, None], "t over units"), (x[None], "t over items")):
        found = crossed_mean(y).interval()
        assert (found.low, found.high) == pytest.approx((t_interval(x).low, t_interval(x).high))
        assert found.method == method
    alone = crossed_mean(np.ones((1, 1)))
    assert alone.interval().method == "none: one unit of one item"
    assert np.isnan(alone.interval().low)
    assert alone.p() is None


def test_kinds_are_not_drawn():
    """A shift of one kind of item moves the mean and no interval, however few its items; every kind weighs
    alike, and a kind of one item is given the others' spread."""
    y = drawn(np.random.default_rng(1), 4, 7)
    kinds = list("aaabbbc")
    found = crossed_mean(y, strata=kinds)
    moved = crossed_mean(y + 10 * (np.array(kinds) == "b"), strata=kinds)
    assert moved.variance == pytest.approx(found.variance)
    assert moved.value == pytest.approx(found.value + 10 / 3)
    assert found.value == pytest.approx(np.mean([y[:, :3].mean(), y[:, 3:6].mean(), y[:, 6].mean()]))
    cols = y.mean(0)
    of_items = np.mean([cols[:3].var(ddof=1) / 3, cols[3:6].var(ddof=1) / 3]) / 3
    each = (y[:, :3].mean(1) + y[:, 3:6].mean(1) + y[:, 6]) / 3
    rests = []
    for part in (y[:, :3], y[:, 3:6]):
        e = part - part.mean(0) - part.mean(1, keepdims=True) + part.mean()
        rests.append((e**2).sum() / (2 * 3) / (3 * 4))
    expected = added([(of_items, 4), (each.var(ddof=1) / 4, 3)], (np.mean(rests) / 3, 12))
    assert (found.variance, found.degrees) == pytest.approx(expected)
    assert crossed_mean(y, strata=["x"] * 7) == crossed_mean(y)


def test_units_in_blocks_are_as_many_as_their_blocks():
    """Three adapters of each of four bases are four units: what varies inside a base is in its mean."""
    y = drawn(np.random.default_rng(2), 12, 5)
    names = np.repeat([7, 3, 5, 1], 3)
    found = crossed_mean(y, blocks=names)
    inside = np.stack([y[names == name].mean(0) for name in (7, 3, 5, 1)])
    assert (found.value, found.variance, found.units) == pytest.approx(
        (inside.mean(), crossed_mean(inside).variance, 4)
    )
    assert crossed_ratio(y, y + 1 + y**2, blocks=names).units == 4


def test_two_arms_have_seeds_of_their_own():
    """Their units' spreads add, items are paired, and what is left is taken out once."""
    rng = np.random.default_rng(3)
    first, second = drawn(rng, 4, 6), drawn(rng, 3, 6, mean=2.0)
    found = crossed_difference(first, second)
    gaps = first.mean(0) - second.mean(0)
    of = [(gaps.var(ddof=1) / 6, 5)]
    of += [(y.mean(1).var(ddof=1) / len(y), len(y) - 1) for y in (first, second)]
    left = 0.0
    for y in (first, second):
        e = y - y.mean(0) - y.mean(1, keepdims=True) + y.mean()
        left += (e**2).sum() / (len(y) - 1) / 5 / y.size
    variance, degrees = added(of, (left, 5 * (3 + 2)))
    assert (found.value, found.variance, found.degrees) == pytest.approx((gaps.mean(), variance, degrees))
    assert crossed_difference(first, second[:1]).variance > 0


def test_an_item_that_one_unit_was_not_asked_widens():
    """With a hole, what is left is not told apart, and the interval errs on the wide side."""
    y = drawn(np.random.default_rng(5), 4, 6, rest=1.0)
    holed = y.copy()
    holed[0, 0] = np.nan
    found = crossed_mean(holed)
    each, cols = np.nanmean(holed, 1), np.nanmean(holed, 0)
    assert found.value == pytest.approx(cols.mean())
    assert found.variance == pytest.approx(each.var(ddof=1) / 4 + cols.var(ddof=1) / 6)
    assert found.n == 23


def test_bounds_are_not_left():
    """A share's interval is on the logit scale; at an end, or where all agree, it is exact."""
    y = expit(drawn(np.random.default_rng(6), 3, 4, mean=3.0))
    found = crossed_mean(y)
    inside = found.interval(bounds=(0.0, 1.0))
    assert 0 < inside.low < found.value < inside.high < 1 < found.interval().high
    slope, far = 1 / (found.value * (1 - found.value)), (1 - 2 * found.value) ** 2
    spread = [np.log1p(far * slope**2 * y.mean(axis).var(ddof=1)) for axis in (1, 0)]
    error = np.sqrt(slope**2 * found.variance + 2 * spread[0] ** 2 / 2 + 2 * spread[1] ** 2 / 3)
    edge = logit(found.value) + stats.t.isf(0.025, found.degrees) * error
    assert inside.high == pytest.approx(expit(edge))
    middle = crossed_mean(np.array([[0.4, 0.6], [0.5, 0.5], [0.55, 0.45]]))
    reach = stats.t.isf(0.025, middle.degrees) * np.sqrt(middle.variance)
    assert middle.interval(bounds=(0.0, 1.0)).high == pytest.approx(expit(4 * reach))
    assert inside.method == "t over units x items, crossed, logit scale"
    for value, bounds in ((1.0, (0.0, 1.0)), (1.0, (-1.0, 1.0))):
        all_equal = crossed_mean(np.full((3, 16), value)).interval(bounds=bounds)
        exact = exact_interval(1.0, 0.0, rows=48.0, degrees=2, n=48, units=3, level=0.95)
        width = bounds[1] - bounds[0]
        assert (all_equal.low, all_equal.high) == pytest.approx((bounds[0] + width * exact.low, 1.0))
        assert all_equal.low < 0.9
    half = crossed_mean(np.full((3, 16), 0.5)).interval(bounds=(0.0, 1.0), rows=400)
    assert 0.3 < half.low < 0.5 < half.high < 0.7
    cut = crossed_mean(2 * y - 1).interval(bounds=(-1.0, 1.0), scale="linear")
    assert cut.high == 1.0
    assert cut.low == pytest.approx(crossed_mean(2 * y - 1).interval().low)


def test_a_ratio_is_fieller_where_items_do_not_vary():
    """With one item, or with items that are all alike, it is Fieller's interval over units."""
    rng = np.random.default_rng(7)
    bottom = 1 + 0.2 * rng.normal(size=5)
    top = 0.6 * bottom + 0.1 * rng.normal(size=5)
    one = fieller(top, bottom, level=0.9)
    for width in (1, 8):
        found = crossed_ratio(*(np.repeat(x[:, None], width, 1) for x in (top, bottom)), level=0.9)
        assert (found.value, found.low, found.high) == pytest.approx((one.value, one.low, one.high))


def test_a_ratio_holds_what_is_not_told_from_zero():
    """At the ends of the set the mean of numerator - end x denominator is just told from 0."""
    rng = np.random.default_rng(8)
    bottom = drawn(rng, 3, 8, unit=0.1, item=0.2, rest=0.1, mean=1.0)
    top = 0.7 * bottom + drawn(rng, 3, 8, unit=0.05, item=0.2, rest=0.1, mean=0.2)
    found = crossed_ratio(top, bottom)
    for end in (found.low, found.high):
        assert crossed_mean(top - end * bottom).p() == pytest.approx(0.05, abs=1e-6)
    assert crossed_mean(top - found.value * bottom).value == pytest.approx(0)
    narrow = fieller(top.mean(1), bottom.mean(1))
    assert found.high - found.low > narrow.high - narrow.low
    assert crossed_ratio(2 * top, bottom).high == pytest.approx(2 * found.high)


def test_a_ratio_that_has_no_bounded_set_is_refused():
    """Where the items of the denominator leave its mean untold from 0; where nothing varies there is a ratio
    without an interval."""
    rng = np.random.default_rng(9)
    wild = drawn(rng, 3, 6, unit=0.01, item=2.0, rest=0.01, mean=0.5)
    assert t_interval(wild.mean(1)).low > 0
    with pytest.raises(StatisticsError, match="holds 0"):
        crossed_ratio(wild, wild + 0.01)
    with pytest.raises(StatisticsError, match="same units"):
        crossed_ratio(np.ones((3, 4)), np.full((3, 4), np.nan))
    same = crossed_ratio(wild + 9, wild + 9)
    assert same.value == 1
    assert np.isnan(same.low)
    assert "one ratio throughout" in same.method


def test_parts_alone_and_together():
    """An estimate below one of its parts is noise, and the part stands alone; arrays go by element."""
    variance, degrees = combined([(np.array([1.0, 4.0]), 2.0), (np.array([3.0, 0.1]), 7.0)], (1.5, 14.0))
    assert variance == pytest.approx([3.0, 4.0])
    assert degrees == pytest.approx([7.0, 2.0])
    assert combined([(0.0, 4.0)]) == (0.0, 4.0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda: crossed_mean(np.array([[1.0, np.nan], [2.0, np.nan]])), "no unit was asked"),
        (lambda: crossed_mean(np.ones((2, 3)), strata=["a"]), "same items"),
        (lambda: crossed_mean(np.ones((2, 3)), blocks=["a"]), "name one a unit"),
    ],
)
def test_layouts_that_make_no_sense_are_refused(given, says):
    """One line that says what was given and what to do."""
    with pytest.raises(StatisticsError, match=says):
        given()


def test_equivalence_over_both_is_two_one_sided_tests():
    """p is .05 where the 90 % interval ends at the bound; one item is equivalence over units; no spread is
    told from any bound; one unit of one item is refused."""
    y = drawn(np.random.default_rng(0), 5, 8, unit=0.1, item=0.1, rest=0.1, mean=0.05)
    found = crossed_mean(y)
    span = found.interval(level=0.9)
    edge = crossed_equivalence(found, bound=max(-span.low, span.high), within=None)
    assert edge.p == pytest.approx(0.05)
    assert (edge.estimate.low, edge.estimate.high) == (span.low, span.high)
    assert crossed_equivalence(found, bound=0.5, within=None).equivalent
    one = crossed_equivalence(crossed_mean(y[:, :1]), bound=0.3, within=None)
    assert one.p == pytest.approx(equivalence(y[:, 0], bound=0.3).p)
    same = crossed_equivalence(crossed_mean(np.full((3, 4), 0.1)), bound=0.2, within=None)
    assert (same.p, same.equivalent) == (0.0, True)
    with pytest.raises(StatisticsError, match="one unit of one item"):
        crossed_equivalence(crossed_mean(np.ones((1, 1))), bound=1.0, within=None)
    with pytest.raises(StatisticsError, match="positive number"):
        crossed_equivalence(found, bound=0, within=None)
