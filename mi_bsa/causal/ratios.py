"""Shares over seeds, and over the wordings or scenarios that were drawn with them: a ratio of means with
Fieller's interval, or, where there is none, the shift and the reason.

A share is a ratio and not bounded: what overshoots recovers more than 1, what turns round less than 0. So it
has no scale that would keep it in [0, 1]; an interval wider than the whole effect says so in its notes, and
where the denominator is not told from 0 there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from mi_bsa.core.behind import Behind
from mi_bsa.core.results import Null, Place, Result
from mi_bsa.core.tested import UNTESTED, Tested, among
from probes import StatisticsError, statistics
from probes.statistics.spread import ROUNDING

SHIFT = "difference of P(seeking pole)"
"""Unit of what stands in the place of a share."""


def share(
    name: str,
    where: Mapping[str, Place],
    top: Float[np.ndarray, "*layout"],
    bottom: Float[np.ndarray, "*layout"],
    *,
    seeds: Sequence[int],
    items: str = "wordings",
    named: Sequence[str] = (),
    units: str = "seeds",
    draws: Float[np.ndarray, "draw seed"] | None = None,
    null_kind: str = "random directions",
    alternative: str = "greater",
    bar: float | None = None,
    unit: str = "share",
    notes: str = "",
) -> Result:
    """`name` as mean(top) / mean(bottom), paired by seed; `<name>_shift`, mean(top), where the denominator's
    interval holds 0.

    Args:
        name: of the result.
        where: its cell.
        top, bottom: numerators and denominators, one a seed, or (seed, wording); wordings then count as drawn
            too (`probes.statistics.crossed_ratio`).
        seeds: their seeds.
        items: what was drawn beside seeds, in words.
        named: the names of these wordings, kept with the cells (`mi_bsa.core.behind`).
        units: what the rows are, in words.
        draws: numerators of null directions, divided by the same denominators.
        null_kind: what was drawn.
        bar: without draws, test the share against this value by Fieller's t, over what the interval is over.
        alternative: `greater` if a null as large speaks against the claim, `less` if one as small.
        unit: of the share.
        notes: what a reader must know.
    """
    cells, whole = np.asarray(top, float), np.asarray(bottom, float)
    crossed = cells.ndim > 1
    shown, of = (x.mean(1) if crossed else x for x in (cells, whole))
    tested = UNTESTED
    try:
        estimate = (statistics.crossed_ratio if crossed else statistics.fieller)(cells, whole)
        factor = 1 / float(of.mean())
        ratios = tuple(float(a / b) for a, b in zip(shown, of, strict=True)) if np.all(of) else ()
        if bar is not None:
            over = f"{units} x {items}" if crossed else units
            p = (_crossed_test if crossed else statistics.fieller_test)(cells, whole, ratio=bar)
            tested = Tested.of(p, f"Fieller over {over} against {bar:g}")
        if estimate.high - estimate.low > 1 and unit.startswith("share"):
            notes = f"{notes}; the interval is wider than the whole effect: a ratio that says little"
    except StatisticsError:
        estimate, bottom_of = (
            statistics.crossed_mean(x).interval() if crossed else statistics.t_interval(x)
            for x in (cells, whole)
        )
        factor = 1.0
        ratios = tuple(float(a) for a in shown)
        name, unit, notes = f"{name}_shift", SHIFT, _no_share(bottom_of, notes)
    known = bool(np.isfinite(estimate.low)) and estimate.high - estimate.low > ROUNDING
    method = estimate.method if known else "none: numerator and denominator keep one ratio throughout"
    if draws is not None and len(draws):
        spread = draws.mean(1) * factor
        tested = among(estimate.value, spread, null_kind, alternative=alternative)
    kept = [x if crossed else x[:, None] for x in np.broadcast_arrays(cells, whole)]
    behind = Behind(
        kept[0],
        kept[1],
        items=tuple(named),
        drawn=items,
        draws=None if draws is None or not len(draws) else draws.mean(1),
        null_kind=null_kind,
        alternative=alternative,
        bar=bar,
    )
    return Result(
        name=name,
        where=dict(where),
        value=estimate.value,
        ci=(estimate.low, estimate.high) if known else None,
        ci_method=method.replace("units", units).replace("items", items),
        n=len(shown),
        unit=unit,
        null=tested.null,
        p=tested.p,
        test=tested.test,
        p_floor=tested.floor,
        per_seed=ratios,
        seeds=tuple(seeds) if ratios else (),
        notes=notes.strip("; "),
        behind=behind,
    )


def _crossed_test(top: np.ndarray, bottom: np.ndarray, *, ratio: float) -> float | None:
    """`statistics.fieller_test` over seeds x items."""
    return statistics.crossed_mean(top - ratio * bottom).p()


def share_of_draws(
    name: str,
    where: Mapping[str, Place],
    draws: Float[np.ndarray, " draw"],
    bottom: Float[np.ndarray, "*layout"],
    *,
    kind: str,
    unit: str = "share",
    notes: str = "",
) -> Result:
    """The mean of null directions as a share of the same denominators, within the band of these draws.

    Nothing varies over seeds but the denominator, so an interval over seeds would be that of one repeated
    number; what was drawn is directions, and n counts them.

    Args:
        name: of the result; `<name>_shift`, the mean itself, where the denominator's interval holds 0.
        where: its cell.
        draws: the numerator of each null direction.
        bottom: denominators, as `share` takes them.
        kind: what was drawn.
        unit: of the share.
        notes: what a reader must know.
    """
    whole = np.asarray(bottom, float)
    crossed = whole.ndim > 1
    try:
        (statistics.crossed_ratio if crossed else statistics.fieller)(np.ones_like(whole), whole)
        factor = 1 / float(whole.mean())
    except StatisticsError:
        of = statistics.crossed_mean(whole).interval() if crossed else statistics.t_interval(whole)
        factor, name, unit, notes = 1.0, f"{name}_shift", SHIFT, _no_share(of, notes)
    band = Null.of(kind, draws * factor)
    method = f"central 95 % of {band.n} {kind}"
    return Result(
        name, dict(where), band.mean, (band.low, band.high), method, band.n, unit, notes=notes.rstrip("; ")
    )


def _no_share(whole: statistics.Estimate, notes: str) -> str:
    """Why there is no share, before what else a reader must know."""
    span = f"{whole.value:.3g} [{whole.low:.3g}, {whole.high:.3g}]"
    return f"no share: the finetuned effect is {span}, which holds 0; {notes}"
