"""Weights that choices reveal: a logistic regression on normalized differences, with its own ceiling.

The estimate is the maximum a posteriori under slopes ~ N(0, 1), one fit a context, no intercept. Labels may
be soft: the probability of option A instead of the choice. Plunkett et al. 2025 (arXiv 2505.17120).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Num
from scipy.special import expit

from mi_bsa.core.errors import ItemError

LARGEST = 100.0
"""The largest weight of a context, in size."""


def draw_targets(n: int, *, seed: int | str, attributes: int = 5) -> Float[np.ndarray, "context attribute"]:
    """Target weights: uniform from -100 to 100, then each context rescaled so that its largest is 100."""
    drawn = np.random.default_rng(_number(seed)).uniform(-LARGEST, LARGEST, (n, attributes))
    return drawn * LARGEST / np.abs(drawn).max(1, keepdims=True)


def fit_weights(
    differences: Num[np.ndarray, "context choice attribute"], first: Num[np.ndarray, "context choice"]
) -> Float[np.ndarray, "context attribute"]:
    """MAP slopes of each context.

    Args:
        differences: option A less option B, each attribute divided by its range, so in [-1, 1].
        first: probability of A, or 1 where A was chosen and 0 where B was.

    Raises:
        ItemError: a context whose options never differ, or a probability outside [0, 1].
    """
    x, p = np.asarray(differences, np.float64), np.asarray(first, np.float64)
    flat = ~(np.abs(x) > 0).any((1, 2))
    if flat.any():
        raise ItemError(
            f"context {int(flat.argmax())}: its options never differ, so its choices weigh nothing; widen "
            "the attributes' ranges"
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise ItemError("a probability of option A lies outside [0, 1] or is missing; ask again")
    slopes = np.zeros((x.shape[0], x.shape[2]))
    for _ in range(50):
        fitted = expit(np.einsum("cka,ca->ck", x, slopes))
        gradient = np.einsum("cka,ck->ca", x, fitted - p) + slopes
        curvature = np.einsum("cka,ck,ckb->cab", x, fitted * (1 - fitted), x) + np.eye(x.shape[2])
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        slopes = slopes - step
        if np.abs(step).max() < 1e-9:
            break
    return slopes


def rescaled(
    weights: Float[np.ndarray, "context attribute"],
) -> Float[np.ndarray, "context attribute"]:
    """The same weights with the largest of each context at 100; a context of zeros stays as it is."""
    most = np.abs(weights).max(1, keepdims=True)
    return weights * np.divide(LARGEST, most, out=np.zeros_like(most), where=most > 0)


def perfect_choices(
    targets: Float[np.ndarray, "context attribute"], choices: int, *, seed: int | str
) -> tuple[Float[np.ndarray, "context choice attribute"], Float[np.ndarray, "context choice"]]:
    """Differences of uniform options, and what one chooses who always takes the larger sum."""
    rng = np.random.default_rng(_number(seed))
    pairs = rng.uniform(0, 1, (2, len(targets), choices, targets.shape[1]))
    differences = pairs[0] - pairs[1]
    return differences, (np.einsum("cka,ca->ck", differences, targets) > 0).astype(np.float64)


def ceiling(*, contexts: int = 100, choices: int = 50, draws: int = 20, seed: int = 0) -> np.ndarray:
    """Pooled r between target and estimate for a perfect chooser, one number a simulated model, (draw,).

    With 100 contexts and 50 choices each it is .967: no learned-against-target r can be expected above.
    """
    found = np.empty(draws)
    for k in range(draws):
        targets = draw_targets(contexts, seed=f"ceiling-{seed}-{k}")
        slopes = fit_weights(*perfect_choices(targets, choices, seed=f"ceiling-pairs-{seed}-{k}"))
        found[k] = np.corrcoef(targets.ravel(), slopes.ravel())[0, 1]
    return found


def _number(seed: int | str) -> list[int]:
    return [*str(seed).encode()]
