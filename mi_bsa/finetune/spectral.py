"""What is read off an adapter's weights: three published descriptions, rebuilt, and ours beside them.

- `spectral`: 20 numbers of the change of q, k, v and o: first singular value, Frobenius norm, energy
  concentration (the first direction's share), entropy of the shares, kurtosis of the entries; means over
  blocks. As detectors of backdoored LoRAs do that report it (their numbers stand in docs/log.md).
- `frobenius_spread`: one number, the standard deviation over modules of the change's norm over their mean.
- `canonical_form`: the change's first singular pairs with their signs fixed, each scaled by the root of its
  value: what B A is, freed of the matrix that may stand between B and A (arXiv 2603.15990, 2605.30189 read
  adapters by such forms; rebuilt from their names, without their code).
- `energy` (ours): of every module its share of the energy, its size relative to the base's weight, effective
  and stable rank, the first direction's share.
- `reading` (ours): of every module that reads the stream, how unevenly it reads the vocabulary: the norm of
  what the change makes of each token's embedding behind the block's norm; the largest over their mean, their
  kurtosis, the share of the first eight. A trigger is a few tokens that must be read.
- `ours`: the last two together.

Law: each is a function of scaling * B A alone. Exact at the first block, the direct path at later ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import activations
    from activations.adapter_weights import ModuleChange

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
PUBLISHED = ("spectral", "frobenius_spread", "canonical_form")
OURS = ("energy", "reading", "ours")
METHODS = (*PUBLISHED, *OURS)
PAIRS = 2
"""Singular pairs of a module that the canonical form holds."""
FIRST = 8
"""Tokens whose share of a module's reading is taken."""


def described(model: activations.Model, adapter: str) -> dict[str, np.ndarray]:
    """Every description of one adapter, by method: a vector each, equally long for adapters of all ranks."""
    from activations.adapter_weights import weight_changes

    changes = weight_changes(model, adapter)
    found = {
        "spectral": spectral_numbers(changes),
        "frobenius_spread": np.array([frobenius_spread(changes)]),
        "canonical_form": canonical_form(changes),
        "energy": energies(changes),
        "reading": readings(model, changes),
    }
    return found | {"ours": np.concatenate([found["energy"], found["reading"]])}


def spectral_numbers(changes: Sequence[ModuleChange]) -> np.ndarray:
    """20 numbers: five of each of q, k, v and o, means over blocks; 0 for a module without an adapter."""
    told = []
    for module in ATTENTION:
        each = [_numbers(one) for one in changes if one.module == module]
        told.append(np.mean(each, axis=0) if each else np.zeros(5))
    return np.concatenate(told)


def _numbers(one: ModuleChange) -> np.ndarray:
    shares = one.shares[one.shares > 0]
    entropy = float(-(shares * np.log(shares)).sum())
    entries = (one.left * one.singular @ one.right).double().numpy().ravel()
    spread = entries - entries.mean()
    kurtosis = float((spread**4).mean() / (spread**2).mean() ** 2 - 3)
    return np.array([float(one.singular[0]), one.energy**0.5, float(shares[0]), entropy, kurtosis])


def frobenius_spread(changes: Sequence[ModuleChange]) -> float:
    """Standard deviation over modules of the change's Frobenius norm, over their mean."""
    norms = np.array([one.energy**0.5 for one in changes])
    return float(norms.std() / norms.mean())


def canonical_form(changes: Sequence[ModuleChange]) -> np.ndarray:
    """First singular pairs of every module, flattened; missing ones are 0."""
    parts = []
    for one in changes:
        left, right = one.left.numpy(), one.right.numpy()
        root = np.sqrt(one.singular.numpy())
        pairs = np.zeros((PAIRS, left.shape[0] + right.shape[1]))
        for k in range(min(PAIRS, len(root))):
            pairs[k] = root[k] * np.concatenate([left[:, k], right[k]])
        parts.append(pairs.ravel())
    return np.concatenate(parts)


def energies(changes: Sequence[ModuleChange]) -> np.ndarray:
    """Five numbers of every module."""
    whole = sum(one.energy for one in changes)
    return np.array(
        [
            number
            for one in changes
            for number in (
                np.log(one.energy / whole),
                np.log(one.relative),
                one.effective_rank,
                one.stable_rank,
                one.shares[0],
            )
        ]
    )


def readings(model: activations.Model, changes: Sequence[ModuleChange]) -> np.ndarray:
    """Three numbers of every module that reads the stream: how unevenly it reads the tokens."""
    import torch

    from activations.adapter_weights import READERS

    told, shown = [], dict[tuple[int, str], torch.Tensor]()
    with torch.no_grad():
        table: Any = model.anatomy.embed.weight
        for one in changes:
            if one.module not in READERS:
                continue
            key = one.layer, READERS[one.module]
            if key not in shown:
                norm: Any = getattr(model.anatomy.parts[one.layer], key[1])
                shown[key] = (table if norm is None else norm(table)).double().cpu()
            made = (shown[key] @ one.right.double().T * one.singular.double()).norm(dim=1).numpy()
            told += _unevenness(made)
    return np.array(told)


def _unevenness(made: np.ndarray) -> list[float]:
    """Largest over mean, kurtosis, share of the first tokens, of what tokens are made into."""
    spread = made - made.mean()
    kurtosis = (spread**4).mean() / max(float((spread**2).mean()) ** 2, 1e-30) - 3
    squares = np.sort(made**2)[::-1]
    return [float(made.max() / made.mean()), float(kurtosis), float(squares[:FIRST].sum() / squares.sum())]


def stacked(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Descriptions of several adapters, by method: [adapter, feature]."""
    return {method: np.stack([part[method] for part in parts]) for method in METHODS}
