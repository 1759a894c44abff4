"""Shares over seeds: a ratio of means with Fieller's interval, or, where there is none, the shift and the
reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from mi_bsa.core.results import Null, Place, Result
from probes import StatisticsError, statistics


def share(
    name: str,
    where: Mapping[str, Place],
    top: Float[np.ndarray, " seed"],
    bottom: Float[np.ndarray, " seed"],
    *,
    seeds: Sequence[int],
    draws: Float[np.ndarray, "draw seed"] | None = None,
    null_kind: str = "random directions",
    alternative: str = "greater",
    unit: str = "share",
    notes: str = "",
) -> Result:
    """`name` as mean(top) / mean(bottom), paired by seed; `<name>_shift`, mean(top), where the denominator's
    interval holds 0.

    Args:
        name: of the result.
        where: its cell.
        top, bottom: numerators and denominators, one a seed.
        seeds: their seeds.
        draws: numerators of null directions, divided by the same denominators.
        null_kind: what was drawn.
        alternative: `greater` if a null as large speaks against the claim, `less` if one as small.
        unit: of the share.
        notes: what a reader must know.
    """
    shown = np.asarray(top, float)
    try:
        estimate = statistics.fieller(top, bottom)
        factor, method = 1 / float(np.mean(bottom)), "Fieller over seeds"
        ratios = tuple(float(a / b) for a, b in zip(top, bottom, strict=True)) if np.all(bottom) else ()
    except StatisticsError:
        estimate = statistics.t_interval(shown)
        factor, method = 1.0, "t over seeds"
        ratios = tuple(float(a) for a in shown)
        whole = statistics.t_interval(bottom)
        notes = (
            f"no share: the finetuned effect is {whole.value:.3g} [{whole.low:.3g}, {whole.high:.3g}], which "
            f"holds 0; {notes}"
        )
        name, unit = f"{name}_shift", "difference of P(seeking pole)"
    null, p = None, None
    if draws is not None and len(draws):
        spread = draws.mean(1) * factor
        null = Null.of(null_kind, spread)
        p = statistics.permutation_p(estimate.value, spread, alternative=alternative)
    return Result(
        name=name,
        where=dict(where),
        value=estimate.value,
        ci=(estimate.low, estimate.high),
        ci_method=method,
        n=len(shown),
        unit=unit,
        null=null,
        p=p,
        per_seed=ratios,
        seeds=tuple(seeds) if ratios else (),
        notes=notes.rstrip("; "),
    )
