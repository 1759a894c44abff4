"""Null directions: isotropic ones, and differences between halves of units that hold their rate."""

import numpy as np
import pytest

from probes import (
    ActivationError,
    Direction,
    DirectionError,
    difference_directions,
    null_directions,
    random_directions,
)
from probes.statistics import permutation_p


def world(seed, units=12, each=20, d=8):
    """Rows of units that differ along the first axis and are noise along all others."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), each)
    rows = rng.normal(size=(len(unit), d)) + 0.7 * np.outer(rng.normal(size=units)[unit], np.eye(d)[0])
    return rows, unit


def test_random_directions_are_isotropic_unit_vectors():
    """Norm 1, no preferred axis, and the same generator gives the same draws."""
    drawn = random_directions(2000, 16, rng=np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1)
    np.testing.assert_allclose(drawn.T @ drawn / len(drawn), np.eye(16) / 16, atol=0.01)
    np.testing.assert_array_equal(drawn, random_directions(2000, 16, rng=np.random.default_rng(0)))


def test_differences_are_those_of_means_of_halves_of_units():
    """Each direction is the difference of two means over rows, no unit on both sides, by brute force."""
    rows, unit = world(0, units=5, each=3)
    unit = np.concatenate([unit, [4, 4]])  # units of unequal size
    rows = np.concatenate([rows, rows[:2] + 1])
    drawn = difference_directions(4, rows, units=unit, rng=np.random.default_rng(1))
    rng = np.random.default_rng(1)
    for one in drawn:
        side = np.isin(unit, rng.permutation(5)[:2])
        gap = rows[side].mean(0) - rows[~side].mean(0)
        np.testing.assert_allclose(one, gap / np.linalg.norm(gap), atol=1e-12)
    np.testing.assert_allclose(
        difference_directions(4, rows + 1e6, units=unit, rng=np.random.default_rng(1)), drawn, atol=1e-8
    )  # a common offset takes no digits


def test_a_label_of_units_that_means_nothing_is_rejected_at_its_rate_by_halves_of_units_only():
    """Units get a label at random: against halves of units 5 % are rejected, against halves of rows most."""
    worlds, rejected = 200, np.zeros(2)
    for seed in range(worlds):
        rng = np.random.default_rng([seed, 1])
        rows, unit = world(seed)
        label = np.isin(unit, rng.permutation(12)[:6])
        gap = rows[label].mean(0) - rows[~label].mean(0)
        observed = abs(gap[0]) / np.linalg.norm(gap)
        for k, halved in enumerate((unit, np.arange(len(rows)))):
            null = np.abs(difference_directions(99, rows, units=halved, rng=rng)[:, 0])
            rejected[k] += permutation_p(observed, null) <= 0.05
    assert rejected[0] / worlds <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / worlds)
    assert rejected[1] / worlds > 0.2


def test_null_directions_are_like_the_one_under_test():
    """They bear its site, scale and length, and lie along the activations' own large axes."""
    rows = np.random.default_rng(0).normal(size=(400, 64)) * np.r_[30.0, np.ones(63)]
    like = Direction(3 * np.eye(64)[0], "resid_post.1", scale=2.0)
    halves = null_directions("random_difference", like, n=50, rows=rows, units=np.arange(400) // 2)
    assert np.mean([abs(d.vector[0]) for d in halves]) > 0.6
    assert all((d.scale, d.site) == (2.0, "resid_post.1") for d in halves)
    np.testing.assert_allclose([d.length for d in halves], 3)


def test_refusals():
    """Rows without units, too few units, equal rows and other kinds are refused with the remedy."""
    rows, unit = world(0)
    like, rng = Direction(np.eye(8)[0], "resid_post.1"), np.random.default_rng(0)
    with pytest.raises(DirectionError, match=r"pass rows=.* and units="):
        null_directions("random_difference", like, n=5, rows=rows)
    with pytest.raises(DirectionError, match="nearest: random_difference"):
        null_directions("random_differences", like, n=5)
    with pytest.raises(DirectionError, match="at least 4 scenarios"):
        difference_directions(5, rows, units=unit % 3, rng=rng)
    with pytest.raises(DirectionError, match="give the unit of each row"):
        difference_directions(5, rows, units=unit[1:], rng=rng)
    with pytest.raises(DirectionError, match="all equal"):
        difference_directions(5, np.full((8, 3), 0.1), units=np.arange(8), rng=rng)
    rows[7, 2] = np.nan
    with pytest.raises(ActivationError, match=r"rows \[7\]"):
        difference_directions(5, rows, units=unit, rng=rng)
