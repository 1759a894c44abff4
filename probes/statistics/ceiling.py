"""Intervals of a share or an AUROC near 0 or 1, where too few wrong rows are seen for any normal theory.

The law: where less than `RARE` independent rows are wrong, the interval is the exact binomial one over
the *effective* number of independent rows, as Korn and Graubard (1998) do it for surveys. That number is
value (1 - value) / variance, the variance clustered by unit, but never more than the rows that could have
been wrong one by one: a few wrong rows tell too little about the variance, and a perfect score tells
nothing. It is shrunk by (z / t)^2, t with the degrees of freedom of the units. So clusters and few units
widen the interval, it stays inside [0, 1], never begins at the estimate, and exists for a perfect score
too. The studentized bootstrap that is used elsewhere covers as little as .66 here (docs/log.md).
"""

from scipy import stats

from probes.statistics.intervals import Estimate

RARE = 10.0
"""The classical bound under which a count of wrong rows is too small for normal theory (n p >= 10)."""
NEAR = 0.25
"""Only shares at least this near to 0 or 1 count as near: around .5 the studentized bootstrap holds its rate
even over ten units of four rows, with shorter intervals."""


def effective_rows(value: float, variance: float, rows: float) -> float:
    """How many independent rows a clustered estimate is worth; at most `rows`, the rows that can be wrong."""
    spread = value * (1 - value)
    return float(rows) if variance * rows <= spread or spread == 0 else float(spread / variance)


def is_rare(value: float, variance: float, rows: float) -> bool:
    """Is the value near 0 or 1, with fewer than `RARE` effective rows that make the difference?

    Units that do not differ at all (every score tied, say) have no spread to speak of either.
    """
    distance = min(value, 1 - value)
    return variance == 0 or (distance < NEAR and distance * effective_rows(value, variance, rows) < RARE)


def exact_interval(
    value: float, variance: float, *, rows: float, degrees: int, n: int, units: int, level: float
) -> Estimate:
    """The exact (Clopper-Pearson) interval over effective rows.

    Args:
        value: the share or AUROC.
        variance: its variance, clustered by unit.
        rows: how many rows could be wrong one by one (those of the scarcer class, for an AUROC).
        degrees: units that hold the scarcer class, less one.
        n, units: behind the value, for the record.
        level: confidence; one-sided where the value is 0 or 1.
    """
    tail = (1 - level) / 2
    shrink = (stats.norm.isf(tail) / stats.t.isf(tail, max(degrees, 1))) ** 2
    size = effective_rows(value, variance, rows) * shrink
    wrong, right = (1 - value) * size, value * size
    if value in (0.0, 1.0):
        low, high = (float((1 - level) ** (1 / size)), 1.0) if value else (0.0, 1 - (1 - level) ** (1 / size))
    else:
        low, high = stats.beta.ppf(tail, right, wrong + 1), stats.beta.isf(tail, right + 1, wrong)
    method = f"exact over {size:.3g} effective independent rows"
    return Estimate(value, float(low), float(high), n, units, method, level, size)


def few_or_exact(few: Estimate, exact: Estimate, *, near: bool, lost: float) -> Estimate:
    """Over fewer than ten units: the t interval over units, or the exact one.

    Near 0 and 1 (`near`) the exact one is taken where units lost less than a quarter of a row on average,
    since their logits are then those of the half win that was added, and where it is the shorter: a unit
    without a wrong row beside one with some spreads logits over everything. It misses so rarely that the
    choice costs the t interval's coverage nothing to speak of (the rates of both misses add up). It is also
    taken where all units are equal, whose t interval would have no width.
    """
    width = few.high - few.low
    if width <= 1e-12 or (near and (lost < 0.25 * exact.units or exact.high - exact.low < width)):
        return exact
    return few


def exact_p_of_half(estimate: Estimate, *, inflation: float = 1.0) -> float:
    """Two-sided p of value = .5 from the same exact interval, its rows divided by `inflation`.

    It is never below that of as many equal signs as there are units: a few units cannot say more.
    """
    assert estimate.effective is not None
    size = estimate.effective / inflation
    more = max(estimate.value, 1 - estimate.value) * size
    tail = stats.beta.cdf(0.5, more, size - more + 1)
    return float(min(1.0, max(2 * tail, 2.0 ** (1 - estimate.units))))
