"""Reliability: what a calibrated probe shows at few rows, planted scalings found again, scikit-learn's own
numbers."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from probes import reliability as r
from probes.errors import StatisticsError


def test_the_error_of_a_calibrated_probe_is_above_zero_and_its_null_says_how_far():
    """ECE of labels drawn from the probabilities: near sqrt(2 b p (1 - p) / (pi n)), and beyond the 95 % of
    its own null one time in twenty.
    """
    rng = np.random.default_rng(0)
    p = np.clip(0.5 + rng.uniform(-0.02, 0.02, 100), 0, 1)
    null = r.ece(r.calibrated(p, 999, rng=rng), p)
    assert np.mean(null) == pytest.approx(np.sqrt(2 * 10 * 0.25 / (np.pi * 100)), rel=0.1)
    new = r.ece(r.calibrated(p, 400, rng=rng), p)
    assert abs((new > np.quantile(null, 0.95)).mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 400) + 0.01


def test_a_probe_that_is_too_sure_is_beyond_the_null_and_platt_brings_it_back():
    """Logits three times too large and moved: slope and offset are found, and it is calibrated."""
    rng = np.random.default_rng(1)
    true = rng.uniform(0.05, 0.95, 4000)
    y = (rng.random(4000) < true).astype(int)
    given = 3 * logit(true) + 1
    found = r.scaling(given[:2000], y[:2000])
    # four standard errors of a fit on 2,000 rows: .013 and .053
    assert found.slope == pytest.approx(1 / 3, abs=0.05)
    assert found.offset == pytest.approx(-1 / 3, abs=0.21)
    raw, scaled = expit(given[2000:]), found.apply(given[2000:])
    assert r.ece(y[2000:], raw) > np.quantile(r.ece(r.calibrated(raw, 199, rng=rng), raw), 0.99)
    assert r.ece(y[2000:], scaled) < np.quantile(r.ece(r.calibrated(scaled, 199, rng=rng), scaled), 0.99)
    # an independent reference: logistic regression without a penalty, on so many rows that targets do not
    # matter
    other = LogisticRegression(C=np.inf).fit(given[:2000, None], y[:2000])
    assert found.slope == pytest.approx(other.coef_[0, 0], abs=0.01)
    assert found.offset == pytest.approx(other.intercept_[0], abs=0.01)


def test_a_temperature_has_no_offset_and_no_negative_slope():
    """The offset stays 0; where logits point the wrong way the slope is 0, and Platt's turns."""
    rng = np.random.default_rng(2)
    y = np.arange(200) % 2
    z = 2.0 * y - 1 + rng.normal(size=200)
    assert r.scaling(z, y, kind="temperature").offset == 0
    assert r.scaling(-z, y, kind="temperature").slope == 0
    assert r.scaling(-z, y).slope < 0


def test_rows_told_apart_without_an_error_have_a_finite_slope_in_any_unit():
    """Platt's targets hold the slope; logits times a thousand give a thousandth of it."""
    y = np.arange(40) % 2
    one, thousand = r.scaling(2.0 * y - 1, y), r.scaling(2000.0 * y - 1000, y)
    assert 1 < one.slope < 10
    assert thousand.slope * 1000 == pytest.approx(one.slope, rel=1e-3)


def test_brier_is_scikit_learns_and_bins_have_equal_mass():
    """The mean squared error, and bins that hold as many rows; equal probabilities share one."""
    rng = np.random.default_rng(3)
    p, y = rng.random(100), rng.integers(2, size=100)
    assert r.brier(y, p) == pytest.approx(brier_score_loss(y, p), rel=1e-12)
    assert set(np.bincount(r.equal_mass(p))) == {10}
    assert len(set(r.equal_mass(np.full(50, 0.3)))) == 1


def test_what_is_no_probability_and_what_no_scaling_can_be_fitted_on_is_refused():
    """Values beyond [0, 1], one class, logits that are not finite: one line each."""
    with pytest.raises(StatisticsError, match="sigmoid"):
        r.ece(np.array([0, 1]), np.array([0.2, 1.2]))
    for z, y in ((np.ones(3), np.ones(3)), (np.array([1.0, np.nan]), np.array([0, 1]))):
        with pytest.raises(StatisticsError, match="both classes"):
            r.scaling(z, y)
