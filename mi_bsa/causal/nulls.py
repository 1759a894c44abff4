"""Null directions: what steering does when the vector means nothing, as distributions.

Random directions are isotropic; random-difference directions are differences of means between random halves
of real activations, which
lie where activations lie and so move a model more than isotropic ones. Both are given the norm of the
direction under test.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from mi_bsa.core.errors import SteeringError

FEWEST_RANDOM, FEWEST_DIFFERENCES, FEWEST_TEST = 50, 20, 999


def random_directions(
    count: int, width: int, *, rng: np.random.Generator
) -> Float[np.ndarray, "direction d_model"]:
    """Isotropic unit vectors."""
    drawn = rng.normal(size=(count, width))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def difference_directions(
    count: int, activations: Float[np.ndarray, "row d_model"], *, rng: np.random.Generator
) -> Float[np.ndarray, "direction d_model"]:
    """Unit vectors along differences of means between random halves of the rows.

    Raises:
        SteeringError: fewer than 4 rows, or rows that are all equal.
    """
    rows = len(activations)
    if rows < 4:
        raise SteeringError(f"{rows} rows of activations make no random halves; give at least 4 prompts")
    drawn = np.empty((count, activations.shape[1]))
    for n in range(count):
        order = rng.permutation(rows)
        drawn[n] = activations[order[: rows // 2]].mean(0) - activations[order[rows // 2 :]].mean(0)
    norms = np.linalg.norm(drawn, axis=1, keepdims=True)
    if (norms == 0).any():
        raise SteeringError(
            "the activations are all equal, so their halves do not differ; give other prompts"
        )
    unit: np.ndarray = drawn / norms
    return unit


def two_sided_p(observed: float, null: Float[np.ndarray, " draw"]) -> float:
    """p = (1 + k) / (1 + N) with k the draws at least as far from zero as what was observed."""
    slack = 1e-12 * max(1.0, abs(observed))
    return float((1 + int((np.abs(null) >= abs(observed) - slack).sum())) / (1 + len(null)))
