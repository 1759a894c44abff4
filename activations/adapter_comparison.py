"""Two read-outs of one adapter: do the modules that move behavior move the self-report?

The law: a module moves one read-out and not the other only where both are known: the interval of its share of
the full effect lies beyond the bound in one and within it in the other. What is neither is called undecided.
Equality of ranks is a correlation with an interval.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from activations.adapter_gates import Profile
from activations.errors import PatchError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """Two profiles of one adapter side by side.

    Attributes:
        spearman: rank correlation of the modules' values in the two read-outs.
        low: lower end of its interval.
        high: upper end.
        table: one row a module: share of the full effect in each read-out with intervals, and what the
            module moves.
        ci_method: how the intervals were made.
    """

    spearman: float
    low: float
    high: float
    table: "pd.DataFrame" = field(repr=False)
    ci_method: str = "percentile bootstrap over examples of both read-outs"


def compare(
    first: Profile,
    second: Profile,
    *,
    method: str = "shapley",
    bound: float = 0.1,
    draws: int = 2000,
    seed: int,
) -> Comparison:
    """Rank correlation of two profiles, and the map of modules that move one read-out but not the other.

    A module moves a read-out where the interval of its share of the full effect lies beyond `bound` on one
    side, and does not move it where the interval lies within -bound and bound; in between it is undecided.
    Columns: layer, module, share and interval of each read-out, and `moves` (`both`, one read-out's name,
    `neither`, `undecided`).

    Raises:
        PatchError: profiles of different adapters, or without this method.
    """
    import pandas as pd

    if first.modules != second.modules or first.read_out == second.read_out:
        raise PatchError(
            "two profiles of the same modules and of different read-outs are compared; make both on one "
            "adapter"
        )
    values = [getattr(one, method) for one in (first, second)]
    keep = ~(np.isnan(values[0]).any(1) | np.isnan(values[1]).any(1))
    if keep.sum() < 3:
        raise PatchError(
            f"method {method!r} is there for {int(keep.sum())} modules in both; at least 3 have ranks to "
            "compare"
        )
    values = [one[keep] for one in values]
    rng = np.random.default_rng(seed)
    shares: list[np.ndarray] = []
    means: list[np.ndarray] = []
    for one, profile in zip(values, (first, second), strict=True):
        pick = rng.integers(0, one.shape[1], (draws, one.shape[1]))
        drawn = one[:, pick].mean(-1)
        means.append(drawn)
        shares.append(drawn / profile.effect[pick].mean(-1))
    low, high = np.nanquantile(_rank_correlations(*means), [0.025, 0.975])
    moves = {
        ("moves", "moves"): "both",
        ("moves", "still"): first.read_out,
        ("still", "moves"): second.read_out,
        ("still", "still"): "neither",
    }
    rows = []
    ends = [np.quantile(share, [0.025, 0.975], axis=1) for share in shares]
    kept = [module for module, ok in zip(first.modules, keep, strict=True) if ok]
    for n, (layer, name) in enumerate(kept):
        row: dict[str, Any] = {"layer": layer, "module": name}
        state = []
        for profile, value, (lower, upper) in zip((first, second), values, ends, strict=True):
            share = float(value[n].mean() / profile.effect.mean())
            row |= {
                f"{profile.read_out}_share": share,
                f"{profile.read_out}_low": float(lower[n]),
                f"{profile.read_out}_high": float(upper[n]),
            }
            moved = lower[n] > bound or upper[n] < -bound
            state.append(
                "moves" if moved else "still" if -bound <= lower[n] and upper[n] <= bound else "undecided"
            )
        rows.append({**row, "moves": moves.get((state[0], state[1]), "undecided")})
    value = float(_rank_correlations(*(one.mean(1, keepdims=True) for one in values))[0])
    return Comparison(value, float(low), float(high), pd.DataFrame(rows))


def _rank_correlations(
    first: Float[np.ndarray, "module draw"], second: Float[np.ndarray, "module draw"]
) -> Float[np.ndarray, " draw"]:
    """Spearman's correlation over modules in every draw; NaN where one side has no spread."""
    from scipy.stats import rankdata

    ranks = [rankdata(side, axis=0) for side in (first, second)]
    a, b = (side - side.mean(0) for side in ranks)
    with np.errstate(invalid="ignore"):
        found: np.ndarray = (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))
    return found
