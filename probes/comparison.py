"""Are two directions the same? Signed cosine with its nulls and its ceiling, principal angles, functional
similarity.

A cosine alone says little: in d dimensions random directions have cosine 0 +- 1/sqrt(d), while directions
fitted twice on different seeds reach only their seed ceiling. Directions that do the same thing may have
cosine near 0 (cos(B, mean difference) = .04 was seen where ablating either removes the behavior), so the
last word is what they do:
`functional_similarity` takes any effect that a caller can measure (steering each, projecting each out).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Num
from scipy import stats
from scipy.linalg import subspace_angles

from probes.directions import Direction
from probes.errors import DirectionError, StatisticsError
from probes.statistics.intervals import Estimate, t_interval
from probes.statistics.permutation import permutation_p


@dataclass(frozen=True)
class Comparison:
    """Signed cosine of two directions.

    `analytic_*`: of uniformly random directions. `null_*`: of the given null directions (shuffled labels,
    random differences), NaN where none were given. `ceiling`: cosine of the same direction between seeds,
    None without seeds. p values are two-sided.
    """

    cosine: Estimate | None
    value: float
    d_model: int
    analytic_low: float
    analytic_high: float
    analytic_p: float
    null_mean: float
    null_low: float
    null_high: float
    null_p: float
    n_null: int
    ceiling: float | None


def _several(x: Direction | Sequence[Direction]) -> list[Direction]:
    found = [x] if isinstance(x, Direction) else list(x)
    if not found:
        raise DirectionError("an empty list of directions was given; pass one direction, or one a seed")
    return found


def compare(
    first: Direction | Sequence[Direction],
    second: Direction | Sequence[Direction],
    *,
    null: Sequence[Direction] | Float[np.ndarray, "draw d_model"] | None = None,
    level: float = 0.95,
) -> Comparison:
    """Signed cosine of two directions, or of two families with one direction a seed (paired in order).

    Args:
        first, second: at the same site. With several seeds the cosine has a t interval over seeds (Fisher's
            z), and the ceiling is the geometric mean of both families' mean cosine between seeds.
        null: directions that `second` could have been by chance, see `probes.nulls`; compared with `first`.

    Raises:
        DirectionError: other sites or widths. StatisticsError: families of unequal length.
    """
    a, b = _several(first), _several(second)
    if len(a) != len(b):
        raise StatisticsError(
            f"{len(a)} directions against {len(b)}; give one a seed in both families, in the same order"
        )
    cosines = np.array([x.cosine(y) for x, y in zip(a, b, strict=True)])
    d = a[0].d_model
    value = float(cosines.mean())
    estimate, ceiling = None, None
    if len(a) > 1:
        z = t_interval(cosines, level=level, scale="fisher")
        value, estimate = z.value, replace(z, method="t over seeds, Fisher z")
        # two noisy copies of one direction meet in the product of their reliabilities (Spearman's
        # attenuation)
        ceiling = float(np.sqrt(max(between_seeds(a), 0.0) * max(between_seeds(b), 0.0)))
    shape = (d - 1) / 2  # (1 + cos) / 2 of random directions is Beta((d-1)/2, (d-1)/2)
    beta = stats.beta(shape, shape)
    edge = float(2 * beta.ppf(0.5 + level / 2) - 1)
    analytic = float(min(1.0, 2 * beta.sf((1 + abs(value)) / 2)))
    middle = low = high = p = float("nan")
    count = 0
    if null is not None:
        rows = np.stack([n.vector for n in null]) if not isinstance(null, np.ndarray) else null
        if rows.ndim != 2 or rows.shape[1] != d or len(rows) < 20:
            raise DirectionError(f"the null has shape {rows.shape}; give at least 20 directions of width {d}")
        mean = np.mean([x.vector for x in a], axis=0)
        drawn = (rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ (mean / np.linalg.norm(mean))
        low, high = (float(q) for q in np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2]))
        middle = float(drawn.mean())
        p, count = permutation_p(value, drawn, alternative="two-sided"), len(drawn)
    return Comparison(estimate, value, d, -edge, edge, analytic, middle, low, high, p, count, ceiling)


def between_seeds(directions: Sequence[Direction]) -> float:
    """Mean signed cosine between all pairs of one family."""
    if len(directions) < 2:
        raise StatisticsError("one direction has no cosine between seeds; fit one a seed")
    v = np.stack([d.vector for d in directions])
    gram = v @ v.T
    return float(gram[np.triu_indices(len(v), 1)].mean())


@dataclass(frozen=True, eq=False)
class Angles:
    """Principal angles in degrees, smallest first, and what random subspaces of the same sizes give (2.5 %
    quantile)."""

    degrees: np.ndarray
    null_low: np.ndarray
    p: np.ndarray


def principal_angles(
    first: Float[np.ndarray, "row d_model"],
    second: Float[np.ndarray, "other d_model"],
    *,
    n_draws: int = 999,
    seed: int = 0,
) -> Angles:
    """Angles between the spans of two sets of vectors, with the null of random subspaces; p is one-sided
    (closer)."""
    degrees = np.rad2deg(subspace_angles(first.T, second.T))[::-1]
    rng = np.random.default_rng(seed)
    fixed = np.linalg.qr(first.T)[0]
    drawn = np.empty((n_draws, len(degrees)))
    for k in range(n_draws):
        other = np.linalg.qr(rng.normal(size=second.T.shape))[0]
        cosines = np.clip(np.linalg.svd(fixed.T @ other, compute_uv=False), 0, 1)
        drawn[k] = np.rad2deg(np.arccos(cosines))[: len(degrees)]
    p = np.array([permutation_p(a, drawn[:, i], alternative="less") for i, a in enumerate(degrees)])
    return Angles(degrees, np.quantile(drawn, 0.025, axis=0), p)


def functional_similarity(
    first: Direction,
    second: Direction,
    effect: Callable[[Direction], Num[np.ndarray, " item"]],
    *,
    level: float = 0.95,
) -> Estimate:
    """Correlation over items of what two directions do; `effect` steers (or erases) one and returns the
    change an item.

    The interval is Fisher's z over items.
    """
    a, b = (np.asarray(effect(d), dtype=np.float64).ravel() for d in (first, second))
    if a.shape != b.shape or a.size < 5:
        raise StatisticsError(
            f"effects of {a.size} and {b.size} items; measure the same 5 items or more for both"
        )
    if a.std() == 0 or b.std() == 0:
        raise StatisticsError(
            "one direction changes every item equally, so a correlation over items is undefined; use more "
            "items"
        )
    r = float(np.corrcoef(a, b)[0, 1])
    z = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
    reach = stats.norm.ppf(0.5 + level / 2) / np.sqrt(a.size - 3)
    low, high = float(np.tanh(z - reach)), float(np.tanh(z + reach))
    return Estimate(r, low, high, a.size, a.size, "Fisher z over items", level)
