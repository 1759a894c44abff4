"""Intervals against second implementations: loops over resamples, SciPy's exact tests, tables of variance."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from probes.errors import StatisticsError
from probes.statistics import (
    Estimate,
    bootstrap_interval,
    is_constant,
    paired_bootstrap,
    studentized_interval,
    t_interval,
)
from probes.statistics.intervals import no_interval, ratio_of_sums, studentize
from probes.statistics.spread import slack

VALUES = [0.3, 0.9, 0.5, 0.7, 0.62]


def ends(found: Estimate) -> tuple[float, float, float]:
    return found.value, found.low, found.high


def pivot_interval(value, error, pairs, level):
    """Bootstrap-t from (statistic, standard error) pairs of resamples."""
    pivots = [(drawn - value) / spread for drawn, spread in pairs]
    first, last = np.quantile(pivots, [(1 - level) / 2, (1 + level) / 2])
    return value, value - last * error, value - first * error


def test_an_estimate_says_what_it_has():
    """As text and as JSON, with an interval and without one."""
    full = Estimate(0.51234, 0.4, 0.6, 40, 5, "t over units")
    assert str(full) == "0.512 [0.400, 0.600] (n=40, units=5, t over units)"
    fields = ("value", "low", "high", "n", "units", "method", "level", "effective")
    assert full.as_dict() == dict(
        zip(fields, (0.51234, 0.4, 0.6, 40, 5, "t over units", 0.95, None), strict=True)
    )
    bare = no_interval(0.5, "one unit", n=7, units=1)
    assert str(bare) == "0.500 (n=7, no interval: one unit)"
    assert (bare.value, bare.n, bare.units, bare.method) == (0.5, 7, 1, "none: one unit")
    assert bare.as_dict()["low"] is None
    assert bare.as_dict()["high"] is None
    assert bare.as_dict()["value"] == 0.5


def test_t_over_units_at_any_level_and_on_the_logit_scale():
    """The logit interval is the linear one of the logits, turned back; n is that of the rows if given."""
    low, high = stats.t.interval(0.8, 4, np.mean(VALUES), stats.sem(VALUES))
    found = t_interval(VALUES, level=0.8)
    assert ends(found) == pytest.approx((np.mean(VALUES), low, high))
    assert (found.n, found.units, found.method, found.level) == (5, 5, "t over units", 0.8)
    shares = t_interval(VALUES, scale="logit", n=50)
    assert ends(shares) == pytest.approx(expit(ends(t_interval(logit(VALUES)))))
    assert (shares.n, shares.units, shares.method) == (50, 5, "t over units, logit scale")
    assert t_interval(VALUES) == t_interval(VALUES, level=0.95, scale="linear")
    for wrong in ([0.0, 0.5], [0.5, 1.0], [0.5, 1.5]):
        with pytest.raises(StatisticsError, match="no logit"):
            t_interval(wrong, scale="logit")
    with pytest.raises(StatisticsError, match="choose 'linear', 'logit' or 'fisher'"):
        t_interval(VALUES, scale="log")
    single = np.asarray(VALUES, dtype=np.float32)
    assert t_interval(single) == t_interval(single.astype(np.float64))


@pytest.mark.parametrize("cosines", [[0.2, -0.5, 0.1, 0.9], [1.0, 0.3, -1.0], [1.0, 1.0, 0.9]])
def test_cosines_on_fishers_scale(cosines):
    """The linear interval of arctanh, turned back; 1 and -1 are held off the edge by 1e-12."""
    turned = np.arctanh([max(min(c, 1 - 1e-12), -1 + 1e-12) for c in cosines])
    found = t_interval(cosines, scale="fisher")
    assert ends(found) == pytest.approx(np.tanh(ends(t_interval(turned))))
    assert found.method == "t over units, Fisher z"


def test_what_differs_by_rounding_is_constant():
    """By 1e-12 of 1 or of their size, whatever type they have; the answer is a bool, or one a column."""
    assert is_constant([0.5, 0.5 + 0.8e-12]) is True
    assert is_constant([0.5, 0.5 + 1.5e-12]) is False
    assert is_constant([True, True]) is True
    assert is_constant([[1.0, 2.0], [1.0, 3.0]], axis=0).tolist() == [True, False]
    assert slack([]) == 1e-12
    assert slack(0.5) == 1e-12
    assert slack(np.array([-128], dtype=np.int8), scale=0.0) == pytest.approx(128e-12)


def test_what_carries_no_interval_is_refused():
    """One value, and values that are no numbers."""
    with pytest.raises(StatisticsError, match="1 values"):
        t_interval([0.5])
    with pytest.raises(StatisticsError, match="2 of 3 values"):
        t_interval([0.5, np.nan, np.inf])
    with pytest.raises(StatisticsError, match="at least 3 units"):
        studentized_interval([0.5, 0.6])


def test_studentized_interval_is_the_loop():
    """Resample, take the mean and its standard error, and read quantiles of pivots; equal draws have none."""
    x, rng = np.array([0.1, 0.4, 0.5, 2.0]), np.random.default_rng(3)
    pairs = []
    for rows in rng.integers(0, 4, (300, 4)):
        if len(set(rows)) > 1:
            pairs.append((np.mean(x[rows]), np.std(x[rows], ddof=1) / 2))
    found = studentized_interval(x, level=0.9, n_boot=300, seed=3)
    assert ends(found) == pytest.approx(pivot_interval(x.mean(), np.std(x, ddof=1) / 2, pairs, 0.9))
    assert (found.n, found.units, found.method, found.level) == (4, 4, "studentized over units", 0.9)
    longer = np.random.default_rng(0).exponential(size=9)
    assert studentized_interval(longer) == studentized_interval(longer, level=0.95, n_boot=2000, seed=0)
    assert studentized_interval(x[:3]).units == 3
    flat = studentized_interval([0.7, 0.7, 0.7], level=0.9)  # whose spread is 1e-16
    assert (flat.n, flat.units, flat.method, flat.level) == (3, 3, "studentized (all units equal)", 0.9)
    assert ends(flat) == pytest.approx((0.7, 0.7, 0.7))


@pytest.mark.parametrize("unit", [1e-15, 1e15])
def test_intervals_do_not_know_their_unit(unit):
    """An interval of values in another unit is the interval in that unit."""
    x = np.array([0.1, 0.4, 0.5, 2.0])
    for interval in (t_interval, studentized_interval):
        assert np.array(ends(interval(unit * x))) / unit == pytest.approx(np.array(ends(interval(x))))
    y, codes = np.random.default_rng(0).normal(size=48), np.repeat(np.arange(12), 4)
    plain, scaled = (paired_bootstrap(k * y, 0 * y, codes) for k in (1.0, unit))
    assert np.array(ends(scaled)) / unit == pytest.approx(np.array(ends(plain)))


def test_percentile_bootstrap_is_the_loop():
    """Whole groups with all their rows, drawn with replacement; ten groups are enough, nine are not."""
    groups = np.array(list("jabbccddeefgghhi"))
    values = np.arange(16.0) ** 1.5
    names, rng, drawn = np.unique(groups), np.random.default_rng(5), []
    for _ in range(100):
        rows = [k for g in rng.integers(0, 10, 10) for k in np.flatnonzero(groups == names[g])]
        drawn.append(values[rows].mean())

    def mean(rows):
        return float(values[rows].mean())

    found = bootstrap_interval(mean, groups, level=0.9, n_boot=100, seed=5)
    assert ends(found) == pytest.approx((values.mean(), *np.quantile(drawn, [0.05, 0.95])))
    assert (found.n, found.units, found.level) == (16, 10, 0.9)
    assert found.method == "percentile bootstrap over groups"
    assert bootstrap_interval(mean, groups) == bootstrap_interval(
        mean, groups, level=0.95, n_boot=2000, seed=0
    )
    with pytest.raises(StatisticsError, match="use t_interval"):
        bootstrap_interval(mean, groups[groups != "a"])


def clustered(units=12, rows=8, seed=0, rate=0.6):
    """Hits of rows, member of one of two classes; the second has one row in each of the first few units."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(units), rows)
    hit = (rng.uniform(size=len(codes)) < rate).astype(float)
    first = ((codes >= units // 3) | (np.arange(len(codes)) % rows > 0)).astype(float)
    member = np.stack([first, 1 - first], axis=1)
    return hit[:, None] * member, member, codes


def ratios_by_loop(numerator, denominator, codes, *, n_boot, seed, level, scale):
    """Mean of ratios, its clustered standard error, and bootstrap-t over units, one resample at a time."""

    def of(weights):
        """The statistic and its standard error where unit g counts weights[g] times."""
        w = weights[codes][:, None]
        bottom = (w * denominator).sum(0)
        if (bottom == 0).any():
            return None
        ratio = (w * numerator).sum(0) / bottom
        total = 0.0
        for g in range(units):
            rows = codes == g
            part = (numerator[rows].sum(0) - ratio * denominator[rows].sum(0)) / bottom
            total += weights[g] * part.mean() ** 2
        value, error = ratio.mean(), np.sqrt(total * units / (units - 1))
        return (logit(value), error / (value * (1 - value))) if scale == "logit" else (value, error)

    units = codes.max() + 1
    value, error = of(np.ones(units))
    drawn = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=n_boot)
    pairs = [pair for pair in map(of, drawn) if pair is not None]
    assert len(pairs) < n_boot or denominator.shape[1] == 1
    found = pivot_interval(value, error, pairs, level)
    return tuple(expit(found)) if scale == "logit" else found


@pytest.mark.parametrize("scale", ["linear", "logit"])
@pytest.mark.parametrize("parts", [1, 2])
def test_ratio_of_sums_over_many_units_is_the_loop(scale, parts):
    """One part (an accuracy) or two (a balanced one, some resamples without a class)."""
    numerator, member, codes = clustered()
    if parts == 1:
        numerator, member = numerator.sum(1, keepdims=True), np.ones((len(codes), 1))
    found = ratio_of_sums(numerator, member, codes, scale=scale, level=0.9, n_boot=300, seed=2)
    looped = ratios_by_loop(numerator, member, codes, n_boot=300, seed=2, level=0.9, scale=scale)
    assert ends(found) == pytest.approx(looped)
    method = "studentized bootstrap over units" + (", logit scale" if scale == "logit" else "")
    assert (found.n, found.units, found.method, found.level) == (96, 12, method, 0.9)
    assert ratio_of_sums(numerator, member, codes) == ratio_of_sums(
        numerator, member, codes, scale="linear", level=0.95, n_boot=2000, seed=0
    )


def test_ratio_of_sums_over_few_units_is_t_over_their_own_ratios():
    """Nine units are few, ten are not; on the logit scale half a hit and half a miss are added a unit."""
    numerator, member, codes = clustered(units=9)
    one, ones = numerator.sum(1, keepdims=True), np.ones((72, 1))
    hits, rows = np.bincount(codes, one[:, 0]), np.bincount(codes)
    found = ratio_of_sums(one, ones, codes, level=0.9)
    assert ends(found) == pytest.approx(ends(t_interval(hits / rows, level=0.9)))
    assert (found.n, found.units, found.method, found.level) == (72, 9, "t over units", 0.9)
    found = ratio_of_sums(one, ones, codes, scale="logit", level=0.9)
    own = t_interval((hits + 0.5) / (rows + 1), level=0.9, scale="logit")
    assert ends(found) == pytest.approx(ends(own))
    assert (found.n, found.units, found.method) == (72, 9, "t over units, logit scale")
    assert ratio_of_sums(one[:16], ones[:16], codes[:16]).units == 2
    assert ratio_of_sums(one[:4], ones[:4], np.arange(4)).units == 4
    with pytest.raises(StatisticsError, match="name finer units"):
        ratio_of_sums(one[:8], ones[:8], codes[:8])
    with pytest.raises(StatisticsError, match="lacks a class"):
        ratio_of_sums(numerator, member, codes)
    both = np.concatenate([one, 1 - one], axis=1)
    halves = ratio_of_sums(both, np.ones((72, 2)), codes)
    assert ends(halves) == pytest.approx((0.5, 0.5, 0.5))
    numerator, member, codes = clustered(units=10)
    assert ratio_of_sums(numerator, member, codes).method == "studentized bootstrap over units"


def test_a_difference_is_taken_in_double_precision():
    """Pairs in float32 are subtracted as float64, and options are handed on."""
    codes = np.repeat(np.arange(12), 4)
    first = (1e4 + np.random.default_rng(0).normal(size=48)).astype(np.float32)
    second = (np.arange(48) / 7 - 3).astype(np.float32)
    exact = first.astype(np.float64) - second.astype(np.float64)
    found = paired_bootstrap(first, second, codes, level=0.9, n_boot=50, seed=4)
    ones = np.ones((48, 1))
    assert found == ratio_of_sums(exact[:, None], ones, codes, level=0.9, n_boot=50, seed=4)
    assert paired_bootstrap(first, second, codes) == ratio_of_sums(
        exact[:, None], ones, codes, n_boot=2000, seed=0, level=0.95
    )


def test_studentize_reads_pivots_and_refuses_what_has_no_spread():
    """Resamples without spread are left out, up to half of them; logits of 0 and 1 are held off the edge."""
    drawn, errors = np.array([0.4, 0.5, 0.7, 0.9]), np.array([0.1, 0.2, 0.1, 0.3])
    pairs = list(zip(drawn, errors, strict=True))
    found = studentize(0.6, 0.2, drawn, errors, scale="linear", level=0.8)
    assert found == pytest.approx(pivot_interval(0.6, 0.2, pairs, 0.8)[1:])
    bare = np.array([0.1, 1e-3 * 0.2, 0.0, 0.3])
    found = studentize(0.6, 0.2, drawn, bare, scale="linear", level=0.8)
    assert found == pytest.approx(pivot_interval(0.6, 0.2, [(0.4, 0.1), (0.9, 0.3)], 0.8)[1:])
    with pytest.raises(StatisticsError, match="no spread"):
        studentize(0.6, 0.2, np.ones(5), np.array([0.1, 0.1, 0.0, 0.0, 0.0]), scale="linear", level=0.8)
    assert studentize(0.6, 0.0, drawn, errors, scale="linear", level=0.8) == (0.6, 0.6)
    edges = np.array([0.0, 0.5, 0.7, 1.0])
    held = np.clip(edges, 1e-6, 1 - 1e-6)
    pairs = [(logit(d), e / (d * (1 - d))) for d, e in zip(held, errors, strict=True)]
    found = studentize(0.6, 0.2, edges, errors, scale="logit", level=0.8)
    looped = pivot_interval(logit(0.6), 0.2 / (0.6 * 0.4), pairs, 0.8)
    assert found == pytest.approx(tuple(expit(looped[1:])))
