"""How well reports agree with weights: correlations that name what they could be fooled by.

Law: the unit is the context (and, over models, the seed): an interval draws whole contexts and whole seeds
with replacement, never single attributes. A report that could not be read is missing and counted, and a
context without any is left out of all numbers alike, with the count beside them.
Pooled r: Plunkett et al. 2025 (arXiv 2505.17120); r of magnitudes and sign agreement take it apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mi_bsa.errors import ItemError

Weights = Float[np.ndarray, "context attribute"]
Measure = Callable[..., float]


def pooled_r(first: Weights, second: Weights) -> float:
    """Pearson's r over context x attribute; 0 where one side does not vary."""
    return _r(first.ravel(), second.ravel())


def context_r(first: Weights, second: Weights) -> float:
    """Mean over contexts of r over the attributes of one context."""
    a, b = (w - w.mean(1, keepdims=True) for w in (first, second))
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return float(np.divide((a * b).sum(1), scale, out=np.zeros(len(a)), where=scale > 1e-12).mean())


def magnitude_r(first: Weights, second: Weights) -> float:
    """Pooled r of sizes: what is left when signs are taken away."""
    return pooled_r(np.abs(first), np.abs(second))


def sign_agreement(first: Weights, second: Weights) -> float:
    """Share of weights, zeros left out, whose signs agree; 0.5 is chance."""
    counted = (first != 0) & (second != 0)
    if not counted.any():
        return 0.5
    return float((np.sign(first) == np.sign(second))[counted].mean())


def partial_r(first: Weights, second: Weights, given: Weights) -> float:
    """Pooled r of what a straight line on `given` leaves of each: do reports follow the model where it
    deviates from its target?
    """
    line = np.column_stack([np.ones(given.size), given.ravel()])
    rest = [w.ravel() - line @ np.linalg.lstsq(line, w.ravel(), rcond=None)[0] for w in (first, second)]
    return _r(*rest)


def mean(values: Weights) -> float:
    """The plain mean, for shares such as choice agreement."""
    return float(values.mean())


MEASURES: Mapping[str, Measure] = {
    "r": pooled_r,
    "context_r": context_r,
    "magnitude_r": magnitude_r,
    "sign_agreement": sign_agreement,
    "partial_r": partial_r,
    "mean": mean,
}
"""Name -> measure of two arrays of weights; `partial_r` takes three, `mean` one."""


@dataclass(frozen=True)
class Measured:
    """A measure over models: mean over seeds, 95 % interval over contexts and seeds, and each seed's value.

    `contexts`: how many contexts had weights on all sides, summed over seeds.
    """

    value: float
    low: float
    high: float
    per_seed: tuple[float, ...]
    contexts: int


def measure(name: str, models: Sequence[Sequence[Weights]], *, draws: int = 1000, seed: int = 0) -> Measured:
    """One measure over several models.

    Args:
        name: a key of `MEASURES`.
        models: for each seed the arrays that the measure takes, contexts in the same order; rows with NaN
            are left out.
        draws: bootstrap draws of seeds and, within each, of contexts.
        seed: of the draws.

    Raises:
        ItemError: a model with fewer than three contexts left.
    """
    return difference(name, models, None, draws=draws, seed=seed)


def difference(
    name: str,
    models: Sequence[Sequence[Weights]],
    against: Sequence[Sequence[Weights]] | None,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Measured:
    """A measure of `models` less that of `against`, the same seeds and contexts drawn for both."""
    function = MEASURES[name]
    sides = [models] if against is None else [models, against]
    kept = []
    for arrays in zip(*sides, strict=True):
        whole = ~np.any([np.isnan(a).any(1) for side in arrays for a in side], axis=0)
        if whole.sum() < 3:
            raise ItemError(
                f"{name}: {int(whole.sum())} contexts have weights on all sides; at least three are needed"
            )
        kept.append([[np.asarray(a, np.float64)[whole] for a in side] for side in arrays])

    def of(model: int, rows: np.ndarray) -> float:
        values = [function(*(a[rows] for a in side)) for side in kept[model]]
        return values[0] - (values[1] if against is not None else 0.0)

    sizes = [len(sides[0][0]) for sides in kept]
    each = tuple(of(k, np.arange(n)) for k, n in enumerate(sizes))
    rng = np.random.default_rng(seed)
    drawn = [
        np.mean([of(k, rng.integers(0, sizes[k], sizes[k])) for k in rng.integers(0, len(kept), len(kept))])
        for _ in range(draws)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Measured(float(np.mean(each)), float(low), float(high), each, sum(sizes))


def permuted(
    name: str, models: Sequence[Sequence[Weights]], *, draws: int = 199, seed: int = 0
) -> Float[np.ndarray, " draw"]:
    """The measure where the first array's contexts are permuted, mean over models, (draw,): what weights of
    other contexts would give, signs and sizes being as common as they are.
    """
    function, rng = MEASURES[name], np.random.default_rng([seed, 1])
    kept = []
    for arrays in models:
        whole = ~np.any([np.isnan(a).any(1) for a in arrays], axis=0)
        kept.append([np.asarray(a, np.float64)[whole] for a in arrays])
    return np.array(
        [
            np.mean([function(first[rng.permutation(len(first))], *rest) for first, *rest in kept])
            for _ in range(draws)
        ]
    )


def _r(first: np.ndarray, second: np.ndarray) -> float:
    a, b = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / scale) if scale > 1e-9 else 0.0
