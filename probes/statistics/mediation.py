"""Causal mediation with the mediator clamped by intervention (Pearl 2001; Vig et al. 2020, arXiv 2004.12265).

X is the adapter (off, on), M the projection at a site, Y the read-out. Four measured runs give everything,
so no model of the effects is assumed:

    TE  = Y(on,  M as on)  - Y(off, M as off)
    NDE = Y(on,  M as off) - Y(off, M as off)      the adapter's, with the mediator held at its off value
    NIE = Y(off, M as on)  - Y(off, M as off)      what the mediator's on value does alone
    interaction = TE - NDE - NIE                   beside it, so that nothing hides

A correlation of projections is not mediation. NIE needs the null of random directions: clamp those the same
way and pass their NIEs to `probes.statistics.permutation_p`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from probes.errors import StatisticsError
from probes.statistics.crossed import crossed_mean, crossed_ratio
from probes.statistics.intervals import Estimate, t_interval
from probes.statistics.ratios import fieller


@dataclass(frozen=True)
class Mediation:
    """Total, direct and indirect effect, the interaction, and NIE / TE (None with the reason where TE may
    be zero)."""

    te: Estimate
    nde: Estimate
    nie: Estimate
    interaction: Estimate
    proportion: Estimate | None
    proportion_note: str


def mediation(
    off: Float[np.ndarray, "unit item"],
    on: Float[np.ndarray, "unit item"],
    on_mediator_off: Float[np.ndarray, "unit item"],
    off_mediator_on: Float[np.ndarray, "unit item"],
    *,
    items: str = "random",
    level: float = 0.95,
) -> Mediation:
    """Effects over units (seeds) x items, from the four runs.

    Args:
        off, on: read-out with the adapter off and on.
        on_mediator_off: adapter on, mediator clamped to its off value on the same item.
        off_mediator_on: adapter off, mediator clamped to its on value on the same item.
        items: "random" if the claim is about items beyond these (crossed random effects), "fixed" if about
            these items (t over per-unit means).
    """
    runs = [np.asarray(r, dtype=np.float64) for r in (off, on, on_mediator_off, off_mediator_on)]
    if len({r.shape for r in runs}) != 1 or runs[0].ndim != 2:
        raise StatisticsError(
            f"the four runs have shapes {[r.shape for r in runs]}; give [unit, item] with the same items in "
            "each"
        )
    if items not in {"random", "fixed"}:
        raise StatisticsError(f"items is {items!r}; choose 'random' or 'fixed'")
    base, full, direct, indirect = runs

    def interval(effect: np.ndarray) -> Estimate:
        if items == "random":
            return crossed_mean(effect).interval(level=level)
        return t_interval(effect.mean(axis=1), level=level, n=effect.size)

    te, nde, nie = full - base, direct - base, indirect - base
    try:
        if items == "random":
            proportion, note = crossed_ratio(nie, te, level=level), "NIE / TE"
        else:
            proportion, note = fieller(nie.mean(axis=1), te.mean(axis=1), level=level), "NIE / TE"
    except StatisticsError as reason:
        proportion, note = None, f"not reported: {reason}"
    return Mediation(interval(te), interval(nde), interval(nie), interval(te - nde - nie), proportion, note)
