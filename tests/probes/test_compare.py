"""Comparison: random directions look random, planted ones look planted, functions speak last."""

import numpy as np
import pytest

from probes import (
    Direction,
    StatisticsError,
    compare,
    functional_similarity,
    null_directions,
    principal_angles,
)


def family(n, noise, seed=0, d=64):
    rng = np.random.default_rng(seed)
    return [
        Direction(np.eye(d)[0] + noise * rng.normal(size=d) / np.sqrt(d), "resid_post.1") for _ in range(n)
    ]


def test_signed_cosine_with_nulls_and_ceiling():
    """A shared direction lies far outside both nulls and reaches its seed ceiling; its negative keeps its
    sign."""
    a, b = family(5, 0.5), family(5, 0.5, seed=1)
    null = null_directions("random", a[0], n=200)
    found = compare(a, b, null=null)
    assert found.cosine is not None
    assert found.cosine.low < found.ceiling < 1
    assert found.value == pytest.approx(found.ceiling, abs=0.1)
    assert found.analytic_p < 1e-6
    assert found.null_p == 1 / 201
    assert compare(a[0], -b[0]).value < -0.7


def test_analytic_null_is_that_of_random_directions():
    """The analytic 95 % band holds 95 % of random cosines."""
    v = np.stack([d.vector for d in null_directions("random", family(1, 0)[0], n=2000)])
    band = compare(family(1, 0)[0], family(1, 0.1)[0]).analytic_high
    assert np.mean(np.abs(v[:, 0]) < band) == pytest.approx(0.95, abs=0.02)


def test_principal_angles():
    """A shared plane has angle zero and small p; a random one is as far as its null."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2, 40))
    shared = principal_angles(a, np.stack([a[0] + a[1], rng.normal(size=40)]), n_draws=199)
    assert shared.degrees[0] == pytest.approx(0, abs=1e-4)
    assert shared.p[0] == 1 / 200
    assert shared.degrees[1] > shared.null_low[1] - 30


def test_functional_similarity_is_about_effects():
    """Two orthogonal directions that do the same to every item are functionally alike."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=30)
    a, b = Direction(np.eye(4)[0], "resid_post.0"), Direction(np.eye(4)[1], "resid_post.0")
    found = functional_similarity(a, b, lambda d: items + 0.1 * d.vector[0] * rng.normal(size=30))
    assert found.low > 0.9
    with pytest.raises(StatisticsError, match="use more items"):
        functional_similarity(a, b, lambda d: np.ones(30))
