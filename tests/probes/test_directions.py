"""Directions in worked numbers; what all must keep stands in `probes.testing`."""

import numpy as np
import pytest

import activations
from probes import Direction, DirectionError


def direction(vector=(3.0, 4.0), site="resid_post.2", **more):
    return Direction(np.array(vector), site, **more)


def test_unit_norm_and_length():
    """The vector has norm 1, its length is kept, and raw gives back what was put in."""
    d = direction()
    assert d.length == 5
    np.testing.assert_allclose(d.vector, [0.6, 0.8])
    np.testing.assert_allclose(d.raw, [3, 4])


def test_site_object_is_stored_as_text():
    """A Site of the floor below and its printed form are the same site."""
    assert direction(site=activations.Site.parse("resid_post.2")).site == "resid_post.2"


def test_arithmetic():
    """Sums, differences and multiples act on raw vectors; a negative factor turns the sign convention."""
    a, b = direction((1.0, 0.0), sign="bold"), direction((0.0, 2.0), sign="patient")
    np.testing.assert_allclose((a + b).raw, [1, 2])
    np.testing.assert_allclose((a - 3 * b).raw, [1, -6])
    np.testing.assert_allclose((-a).vector, [-1, 0])
    assert (-a).sign == "opposite of: bold"
    assert (2 * a).length == 2
    assert a.cosine(b) == 0
    np.testing.assert_allclose((a + b).without(b).vector, [1, 0])
    np.testing.assert_allclose(a.project(np.array([[5.0, 7.0]])), [5])


def test_does_not_touch_its_argument():
    """The given array stays writable and unchanged."""
    given = np.array([3.0, 4.0])
    d = Direction(given, "resid_post.0")
    given[0] = 9
    assert d.raw[0] == 3


@pytest.mark.parametrize(
    ("vector", "remedy"),
    [
        ((0.0, 0.0), "two classes differ"),
        ((np.nan, 1.0), "check the activations"),
        (((1.0, 2.0),), "pass one row"),
    ],
)
def test_no_direction(vector, remedy):
    """Zero, NaN and matrices are refused with the remedy."""
    with pytest.raises(DirectionError, match=remedy):
        direction(vector)


def test_no_file(tmp_path):
    """A file that is not there is told by its name."""
    with pytest.raises(DirectionError, match="does not exist"):
        Direction.load(tmp_path / "nothing")
