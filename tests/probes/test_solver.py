"""The batched solver reaches scikit-learn's optimum, in both shapes, and stops by its own rule."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from probes import LabelError, StatisticsError
from probes.solver import solve_many


def problem(n, d, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * np.arange(1, d + 1) ** -0.5 + rng.normal(size=d) * 3
    signal = (x - x.mean(0))[:, 0] * 2
    y = np.stack([signal + rng.normal(size=n) > 0, rng.permutation(n) % 2 == 0], axis=1).astype(int)
    return x, y


@pytest.mark.parametrize(("n", "d"), [(200, 30), (60, 150)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equals_scikit_learn(n, d, dtype):
    """Weights and intercepts are those of a converged scikit-learn, with more rows than dimensions and with
    fewer."""
    x, y = problem(n, d)
    found = solve_many([x], [y], [0.01, 1.0, 10.0], dtype=dtype)[0]
    z = (x - x.mean(0)) / x.std(0)
    for k, c in enumerate((0.01, 1.0, 10.0)):
        for t in range(2):
            reference = LogisticRegression(C=c, tol=1e-10, max_iter=20000).fit(z, y[:, t])
            scale = np.abs(reference.coef_).max()
            np.testing.assert_allclose(found.coef[k, t] * x.std(0), reference.coef_[0], atol=2e-3 * scale)
            mine = x @ found.coef[k, t] + found.intercept[k, t]
            theirs = reference.decision_function(z)
            np.testing.assert_allclose(mine, theirs, atol=3e-3 * np.abs(theirs).max())
    assert found.gradient.max() <= 1e-6


def test_sets_of_unequal_size_are_solved_together():
    """Padding a batch changes no solution."""
    x, y = problem(120, 20)
    x2, y2 = problem(70, 20, seed=1)
    x3, y3 = problem(15, 20, seed=2)
    together = solve_many([x, x2, x3], [y, y2, y3], [0.1, 1.0])
    for (a, b), got in zip([(x, y), (x2, y2), (x3, y3)], together, strict=True):
        (alone,) = solve_many([a], [b], [0.1, 1.0])
        np.testing.assert_allclose(got.coef, alone.coef, atol=2e-4)


def test_constant_feature_gets_no_weight():
    """A feature that never changes is left alone."""
    x, y = problem(80, 5)
    x[:, 3] = 7.0
    (found,) = solve_many([x], [y], [1.0])
    np.testing.assert_allclose(found.coef[0, :, 3], 0, atol=1e-5)


def test_refusals():
    """A constant label, and a stop before the rule is met, are errors with the remedy."""
    x, y = problem(80, 5)
    with pytest.raises(LabelError, match="both classes"):
        solve_many([x], [np.ones((80, 1), dtype=int)], [1.0])
    with pytest.raises(StatisticsError, match="dtype='float64'"):
        solve_many([x], [y], [10.0], max_steps=1)
