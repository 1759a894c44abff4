"""How well reports agree with weights: correlations that name what they could be fooled by.

Law: the unit is the context (and, over models, the seed): an interval draws whole contexts and whole seeds
with replacement, never single attributes. A report that could not be read is missing and counted, and a
context without any is left out of all numbers alike, with the count beside them. Every measure is a function
of sums over contexts, so draws of contexts are weights of these sums.

    r               pooled Pearson r over context x attribute (Plunkett et al. 2025, arXiv 2505.17120)
    context_r       mean over contexts of r within one context
    magnitude_r     pooled r of sizes: what is left when signs are taken away
    sign_agreement  share of weights, zeros left out, whose signs agree; 0.5 is chance
    partial_r       pooled r of what a straight line on a third array leaves of each: do reports follow the
                    model where it deviates from its target?
    mean            the plain mean of one array, for shares such as choice agreement
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mi_bsa.core.errors import ItemError

MEASURES = {"r": 2, "context_r": 2, "magnitude_r": 2, "sign_agreement": 2, "partial_r": 3, "mean": 1}
"""Name -> how many arrays it takes."""

AttributeWeights = Float[np.ndarray, "context attribute"]


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


def of(name: str, *arrays: AttributeWeights) -> float:
    """One measure of one model; arrays are (context, attribute), without NaN. 0 where a side does not vary
    (signs: 0.5 where all are zero).
    """
    if len(arrays) != MEASURES[name]:
        raise ItemError(f"{name} takes {MEASURES[name]} arrays of weights, not {len(arrays)}")
    return float(_value(name, _sums(name, [np.asarray(a, np.float64) for a in arrays]).sum(-2)))


def measure(
    name: str, models: Sequence[Sequence[AttributeWeights]], *, draws: int = 1000, seed: int = 0
) -> Measured:
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
    return _measured(name, [models], draws=draws, seed=seed)


def difference(
    name: str,
    models: Sequence[Sequence[AttributeWeights]],
    against: Sequence[Sequence[AttributeWeights]],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Measured:
    """A measure of `models` less that of `against`, the same seeds and contexts drawn for both."""
    return _measured(name, [models, against], draws=draws, seed=seed)


def permuted(
    name: str, models: Sequence[Sequence[AttributeWeights]], *, draws: int = 199, seed: int = 0
) -> Float[np.ndarray, " draw"]:
    """The measure where the first array's contexts are permuted, mean over models, (draw,): what weights of
    other contexts would give, signs and sizes being as common as they are.
    """
    rng = np.random.default_rng([seed, 1])
    each = []
    for (first, *rest), *_ in _whole(name, [models]):
        order = rng.permuted(np.tile(np.arange(len(first)), (draws, 1)), axis=1)
        each.append(_value(name, _sums(name, [first[order], *rest]).sum(-2)))
    found: np.ndarray = np.mean(each, axis=0)
    return found


def _measured(
    name: str, sides: Sequence[Sequence[Sequence[AttributeWeights]]], *, draws: int, seed: int
) -> Measured:
    kept = [[_sums(name, arrays) for arrays in model] for model in _whole(name, sides)]
    signs = np.array([1.0, -1.0])[: len(sides)]

    def values(sums: Sequence[np.ndarray]) -> np.ndarray:
        return np.asarray(sum(s * _value(name, one) for s, one in zip(signs, sums, strict=True)))

    each = tuple(float(values([side.sum(0) for side in model])) for model in kept)
    rng = np.random.default_rng(seed)
    seeds = rng.multinomial(len(kept), np.full(len(kept), 1 / len(kept)), size=draws)
    total = np.zeros(draws)
    for k, model in enumerate(kept):
        # A seed that is drawn twice has its contexts drawn twice.
        for again in range(int(seeds[:, k].max(initial=0))):
            n = len(model[0])
            weights = rng.multinomial(n, np.full(n, 1 / n), size=draws)
            total += (seeds[:, k] > again) * values([weights @ side for side in model])
    low, high = np.quantile(total / len(kept), (0.025, 0.975))
    contexts = sum(len(model[0]) for model in kept)
    return Measured(float(np.mean(each)), float(low), float(high), each, contexts)


def _whole(name: str, sides: Sequence[Sequence[Sequence[AttributeWeights]]]) -> list[list[list[np.ndarray]]]:
    """For each model and side its arrays, in the contexts that have weights in all of them."""
    kept = []
    for arrays in zip(*sides, strict=True):
        whole = ~np.any([np.isnan(a).any(1) for side in arrays for a in side], axis=0)
        if whole.sum() < 3:
            raise ItemError(
                f"{name}: {int(whole.sum())} contexts have weights on all sides; at least three are needed"
            )
        kept.append([[np.asarray(a, np.float64)[whole] for a in side] for side in arrays])
    return kept


def _sums(name: str, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """What a measure is a function of, by context: (..., context, statistic)."""
    held = np.broadcast_arrays(*(np.abs(a) for a in arrays) if name == "magnitude_r" else arrays)
    if name == "mean":
        return np.stack([np.ones(held[0].shape[:-1]), held[0].mean(-1)], axis=-1)
    if name == "sign_agreement":
        counted = (held[0] != 0) & (held[1] != 0)
        agree = counted & (np.sign(held[0]) == np.sign(held[1]))
        return np.stack([counted.sum(-1), agree.sum(-1)], axis=-1).astype(np.float64)
    z = np.stack([np.ones_like(held[0]), *held], axis=-1)
    products = np.einsum("...ai,...aj->...ij", z, z)
    if name == "context_r":
        r = _correlation(products)
        return np.stack([np.ones_like(r), r], axis=-1)
    return products.reshape(*products.shape[:-2], -1)


def _value(name: str, sums: np.ndarray) -> np.ndarray:
    """The measure of sums over contexts, (..., statistic) -> (...)."""
    if name in ("mean", "sign_agreement", "context_r"):
        chance = 0.5 if name == "sign_agreement" else 0.0
        found: np.ndarray = np.divide(
            sums[..., 1], sums[..., 0], out=np.full(sums.shape[:-1], chance), where=sums[..., 0] > 0
        )
        return found
    side = round(sums.shape[-1] ** 0.5)
    return _correlation(sums.reshape(*sums.shape[:-1], side, side))


def _correlation(products: np.ndarray) -> np.ndarray:
    """r of the first two variables, the third (if there is one) held fixed, from sums of products of
    [1, first, second, ...], (..., variable, variable) -> (...).
    """
    n = products[..., 0, 0]
    means = products[..., 0, 1:] / n[..., None]
    c = products[..., 1:, 1:] / n[..., None, None] - means[..., :, None] * means[..., None, :]
    scale = np.einsum("...ii->...i", products[..., 1:, 1:]) / n[..., None] + 1e-300
    if c.shape[-1] == 3:
        rest = c[..., 2, 2] + (c[..., 2, 2] <= 1e-12 * scale[..., 2])
        c = c - c[..., :, 2:] * c[..., 2:, :] / rest[..., None, None]
    varies = (c[..., 0, 0] > 1e-12 * scale[..., 0]) & (c[..., 1, 1] > 1e-12 * scale[..., 1])
    spread = np.sqrt(np.where(varies, c[..., 0, 0] * c[..., 1, 1], 1.0))
    found: np.ndarray = np.where(varies, c[..., 0, 1] / spread, 0.0)
    return found
