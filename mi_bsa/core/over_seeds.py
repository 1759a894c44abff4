"""A number over seeds: the mean of one value a seed, Student's t over them, and every value beside it.

The law: the seed (a run, an adapter, a base) is the unit of the interval and of the test, whatever stands
behind one seed's value; values that differ by no more than rounding are not tested (what
that is, `probes.statistics.spread` says). Where each seed's value is a mean over items that were drawn too
(wordings, scenarios, training rows), `over_seeds_and_items` takes both as drawn.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from mi_bsa.core.behind import Behind
from mi_bsa.core.results import Null, Place, Result
from mi_bsa.core.tested import UNTESTED, Tested, by_t
from probes import statistics

METHODS = {
    "linear": "t over seeds",
    "logit": "t over seeds, logit scale",
    "fisher": "t over seeds, Fisher z",
}
"""Scale on which the interval is taken -> what it is called."""


def over_seeds(
    name: str,
    where: Mapping[str, Place],
    values: Sequence[float] | np.ndarray,
    seeds: Sequence[int],
    *,
    unit: str,
    scale: str = "linear",
    within: tuple[float, float] | None = None,
    ci: tuple[float, float] | None = None,
    ci_method: str | None = None,
    null: Null | None = None,
    tested: Tested = UNTESTED,
    chance: float | None = None,
    rows: int | None = None,
    notes: str = "",
) -> Result:
    """`name` as the mean of values, one a seed.

    Args:
        name: of the result.
        where: its cell.
        values: one a seed, in the order of `seeds`.
        seeds: which seed each value is of.
        unit: of the value.
        scale: "linear", "logit" for shares, or "fisher" for correlations and cosines; the value is then the
            mean on that scale, turned back.
        within: ends of the scale, beyond which the interval does not go.
        ci: an interval that was made otherwise, such as over wordings x seeds; the value is then the plain
            mean.
        ci_method: how it was made; may also name what is special about seeds, as in "t over seeds, paired".
        null: what the number looks like where there is nothing; the test's own, where it has one.
        tested: the test that was made elsewhere.
        chance: test the mean against this value by t; p is None where all seeds agree.
        rows: answers, items or prompts behind all values.
        notes: what a reader must know.
    """
    each = np.asarray(values, dtype=float)
    if ci is None:
        estimate = statistics.t_interval(each, scale=scale)
        value, low, high = estimate.value, estimate.low, estimate.high
    else:
        value, (low, high) = float(each.mean()), ci
    if within is not None:
        low, high = max(low, within[0]), min(high, within[1])
    if chance is not None:
        tested = by_t(each, chance=chance)
    return Result(
        name=name,
        where=dict(where),
        value=value,
        ci=(low, high),
        ci_method=ci_method or METHODS[scale],
        n=each.size,
        unit=unit,
        rows=rows,
        null=tested.null or null,
        p=tested.p,
        test=tested.test,
        p_floor=tested.floor,
        per_seed=tuple(float(v) for v in each),
        seeds=tuple(int(s) for s in seeds),
        notes=notes,
    )


def over_seeds_and_items(
    name: str,
    where: Mapping[str, Place],
    cells: Float[np.ndarray, "seed item"],
    seeds: Sequence[int],
    *,
    unit: str,
    items: str = "wordings",
    named: Sequence[str] = (),
    kinds: Sequence[Any] | None = None,
    within: tuple[float, float] | None = None,
    scale: str = "linear",
    null: Null | None = None,
    tested: Tested = UNTESTED,
    chance: float | None = None,
    level: float = 0.95,
    rows: int | None = None,
    notes: str = "",
) -> Result:
    """`name` as the mean of seeds x items, both drawn (`probes.statistics.crossed_mean`).

    Args:
        name: of the result.
        where: its cell.
        cells: one row a seed, in the order of `seeds`, one column an item; NaN where a seed was not asked.
        seeds: which seed each row is of.
        unit: of the value.
        items: what the columns are, in words.
        named: their names, kept with the cells (`mi_bsa.core.behind`).
        kinds: kind of each item, within which items were drawn; kinds weigh alike. By default one kind.
        within: ends of the scale, beyond which the interval does not go.
        scale: within them, "linear" (cut off) or "logit".
        null: what the number looks like where there is nothing; the test's own, where it has one.
        tested: the test that was made elsewhere.
        chance: test the mean against this value by t over both.
        level: confidence of the interval; of two one-sided tests at .05, .9.
        rows: answers behind all values.
        notes: what a reader must know.
    """
    y = np.asarray(cells, dtype=float)
    found = statistics.crossed_mean(y, strata=kinds)
    span = found.interval(level=level, bounds=within, scale=scale, rows=rows)
    method = _words(span.method, items) + (f", {100 * level:g} %" if level != 0.95 else "")
    if chance is not None:
        over = _words(found.method, items).removesuffix(", crossed")
        tested = Tested.of(found.p(chance), f"{over} against {chance:g}")
    known = bool(np.isfinite([span.low, span.high]).all())
    return Result(
        name=name,
        where=dict(where),
        value=span.value,
        ci=(span.low, span.high) if known else None,
        ci_method=method,
        n=len(y),
        unit=unit,
        rows=rows,
        null=tested.null or null,
        p=tested.p,
        test=tested.test,
        p_floor=tested.floor,
        per_seed=tuple(float(v) for v in _by_unit(y, kinds)),
        seeds=tuple(int(s) for s in seeds),
        notes=notes,
        behind=Behind(
            y,
            items=tuple(named),
            kinds=() if kinds is None else tuple(map(str, kinds)),
            drawn=items,
            within=within,
        )
        if np.isfinite(y).all()
        else None,
    )


def _words(method: str, items: str) -> str:
    """A method of units x items, said of seeds and of what the items are."""
    one = {"wordings": "wording", "scenarios": "scenario"}.get(items, items)
    said = method.replace("one unit of one item", f"one seed of one {one}")
    return said.replace("units", "seeds").replace("items", items)


def _by_unit(cells: np.ndarray, kinds: Sequence[Any] | None) -> np.ndarray:
    """Mean of each seed, kinds alike."""
    if kinds is None:
        return np.asarray(np.nanmean(cells, axis=1))
    names = np.asarray(kinds)
    return np.nanmean([np.nanmean(cells[:, names == kind], axis=1) for kind in sorted(set(kinds))], axis=0)


def reached_by(values: np.ndarray, seeds: Sequence[int]) -> tuple[np.ndarray, list[Any]]:
    """The values that are there (not NaN), and the seeds that have one."""
    there = ~np.isnan(values)
    return values[there], [seed for seed, ok in zip(seeds, there, strict=True) if ok]
