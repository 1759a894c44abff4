"""Intervals of what is no mean over seeds: shares of what was counted, numbers that may have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mi_bsa.core.results import Place, Result
from mi_bsa.core.tested import UNTESTED, Tested
from probes.errors import StatisticsError

if TYPE_CHECKING:
    from probes.statistics import Estimate


def share(
    name: str,
    where: Mapping[str, Place],
    hits: int,
    n: int,
    *,
    ci_method: str,
    unit: str = "share",
    tested: Tested = UNTESTED,
    units: int | None = None,
    notes: str = "",
) -> Result:
    """`hits` of `n` with the exact (Clopper-Pearson) interval over what was drawn.

    Counted ones that come in groups (models of one trigger) count as their group: as many hits of so many
    groups as have the same share, which holds where all of a group agree and errs on the wide side elsewhere.

    Args:
        name: of the result.
        where: its cell.
        hits: how many are so.
        n: how many there are.
        ci_method: says over what, as in "exact over models".
        unit: of the value.
        tested: the test against what the share is where there is nothing.
        units: how many groups were drawn, where the counted ones come in some; they are then the result's n,
            and the counted ones its rows.
        notes: what a reader must know; how many of how many if empty.
    """
    from scipy.stats import beta

    drawn = n if units is None else units
    k = hits / n * drawn
    low = float(beta.ppf(0.025, k, drawn - k + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, k + 1, drawn - k)) if hits < n else 1.0
    ends, said = (low, high), notes or f"{hits} of {n}"
    return Result(
        name,
        where,
        hits / n,
        ends,
        ci_method,
        drawn,
        unit,
        rows=None if units is None else n,
        null=tested.null,
        p=tested.p,
        test=tested.test,
        p_floor=tested.floor,
        notes=said,
    )


def interval_of(estimate: Callable[[], Estimate]) -> tuple[tuple[float, float] | None, str]:
    """The interval and its method, or None and the reason: few units, or units of one class."""
    try:
        found = estimate()
    except StatisticsError as reason:
        return None, f"none: {reason}"
    return (found.low, found.high), found.method
