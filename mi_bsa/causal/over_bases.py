"""Results over bases: of every number that a verdict or the page's first screen reads, one over all bases.

The law: the base is the highest unit that was drawn. Of each base its own number stands, over its seeds, as
the study of that base alone gives it; over k bases the number is their mean and its interval has the k - 1
degrees of Student's t over bases, wider where all bases were asked the same wordings, which were drawn once
and not once a base (`probes.statistics.crossed`). Of a share it is the ratio of the means, with Fieller's
set. How many seeds a base has makes no difference to the degrees. docs/decisions/0027.

A drawn null: draw i of every base is a direction of its own in that base, so the mean over bases of draws i
is a draw of the mean. What a base does not have is not told over bases; what is made of a rule (which kinds
are read, that a part was not measured) is that of the base which has least of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from mi_bsa.causal.handle import HANDLE, ON_REPORT, OTHERS, RIVALS
from mi_bsa.causal.ratios import share
from mi_bsa.core.behind import Behind
from mi_bsa.core.results import Place, Result
from mi_bsa.core.tested import UNTESTED, Tested, among
from mi_bsa.core.variants import POLES
from probes.statistics import CrossedMean, combined, crossed_mean

BASES = "bases"
"""What the rows of a result over bases are, in its `ci_method` and `test`."""
SIDE = 1.959963984540054
"""Standard errors from a mean to the end of its 95 % interval: at most, so that what is read back from an
interval is no smaller than it was."""
RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "behavior.effect": (-1.0, 1.0),
        "self_report.effect": (-1.0, 1.0),
        "self_report.sensitivity": (-1.0, 1.0),
        "self_report.validity": (0.0, 1.0),
        "bridge.transfer.over_neutral": (-1.0, 1.0),
        "bridge.transfer.over_wrong_behavior": (-1.0, 1.0),
        "bridge.transfer.chosen": (0.0, 1.0),
        "steer.effect": (-1.0, 1.0),
    }
)
"""Ends beyond which an interval does not go; other numbers have none."""
CHANCE = MappingProxyType({"bridge.transfer.chosen": 0.5})
"""What a number is tested against where that is not 0."""
COUNT = "none: a count"
"""The `ci_method` of what is counted: over bases, the least."""
TOLD = ("self_report.validity", "self_report.kinds_read")
"""Results whose notes a verdict reads: those of every base are kept."""


@dataclass(frozen=True)
class Read:
    """Which result of a base: its name, and values that its place has."""

    name: str
    where: Mapping[str, Place]

    def of(self, results: Sequence[Result]) -> Result | None:
        """The one that a verdict would read, or what stands in its place where there is no share."""
        found = [
            r
            for r in results
            if r.name in (self.name, f"{self.name}_shift")
            and r.where.get("split", "test") == "test"
            and r.where.get("position") != "everywhere"
            and all(r.where.get(key) == value for key, value in self.where.items())
        ]
        return min(found, key=lambda r: len(r.where), default=None)


def reads(results: Sequence[Result]) -> Iterator[Read]:
    """What is told over bases, by the results of one of them."""
    yield Read("behavior.effect", {})
    yield Read("self_report.effect", {"kind": "all"})
    yield Read("self_report.kinds_read", {})
    yield Read("self_report.sensitivity", {"kind": "all"})
    for result in results:
        if result.name == "self_report.validity":
            yield Read(result.name, {"kind": result.where["kind"]})
    for name in ("over_neutral", "over_wrong_behavior"):
        yield Read(f"bridge.transfer.{name}", {})
    yield Read("bridge.transfer.chosen", {"kind": "self_report"})
    for method in (HANDLE, *OTHERS, ON_REPORT):
        for arm in POLES:
            for name in ("behavior", "self_report"):
                yield Read(f"bridge.recovery.{name}", {"method": method, "arm": arm})
    for kind in ("behavior", "self_report"):
        yield Read("bridge.recovery.apart", {"method": HANDLE, "kind": kind})
    for method in RIVALS:
        yield Read("bridge.rival.self_report", {"method": method})
    for name in ("nie", "proportion"):
        yield Read(f"bridge.mediation.{name}", {"kind": "self_report", "method": f"behavior:{HANDLE}"})
    yield Read("bridge.necessity.self_report", {"method": HANDLE})
    named = [r for r in results if r.name.startswith("bridge.attribution.observed")]
    whole = {"variant": "all"} if any(r.where.get("variant") == "all" for r in named) else {}
    yield Read("bridge.attribution.observed", {"kind": "self_report", **whole})
    yield Read("bridge.words.in_context", {})
    bags = [r.where for r in results if r.name.startswith("bridge.words.bag")]
    for where in bags:
        yield Read("bridge.words.bag", {k: v for k, v in where.items() if k == "method"})
    yield Read("bridge.state_or_prompt.counter", {})
    yield Read("steer.effect", {"kind": "self_report", "method": "mean_difference"})


def over_bases(each: Mapping[str, Sequence[Result]]) -> tuple[list[Result], list[Result]]:
    """The results over bases, and those of every base that they are of, told with their base.

    Args:
        each: base -> its results, those of steps with what they were made of (`Result.behind`).
    """
    told, own = [], []
    for read in reads(next(iter(each.values()))):
        found = [read.of(results) for results in each.values()]
        there = [one for one in found if one is not None]
        own += [
            replace(one, where={**one.where, "base": base}, behind=None)
            for base, one in zip(each, found, strict=True)
            if one is not None
        ]
        alike = len({one.name for one in there}) == 1 or all(one.behind is not None for one in there)
        if len(there) == len(each) and alike:
            told.append(join(dict(zip(each, there, strict=True))))
    return told, own


def join(each: Mapping[str, Result]) -> Result:
    """One result of those of several bases."""
    found = list(each.values())
    first, behind = found[0], [one.behind for one in found if one.behind is not None]
    where = {k: v for k, v in first.where.items() if all(r.where.get(k) == v for r in found)}
    rows = sum(r.rows or r.n for r in found)
    notes = f"{len(each)} bases: " + ", ".join(f"{base} {one.value:.2g}" for base, one in each.items())
    if first.name in TOLD:
        notes += "; " + "; ".join(dict.fromkeys(one.notes for one in found if one.notes))
    if len(behind) == len(found) and behind[0].bottom is not None:
        return replace(_share(first, where, behind, notes), rows=rows)
    if all(one.ci_method == COUNT for one in found):
        least = min(found, key=lambda one: one.value)
        return replace(least, where=where, n=len(found), rows=rows, notes=notes, per_seed=(), seeds=())
    own = ""
    if len(behind) == len(found):
        cells, kinds, items = _rows([b.top for b in behind], behind)
        mean, draws = crossed_mean(cells, strata=kinds or None), _draws(behind)
    else:
        mean, items, draws = _with_errors(found), "", None
        own = ", each base's own error added" if all(map(_has_items, found)) else ""
    tested = _tested(first, mean, items, draws, behind[0] if behind else None)
    low, high, method = _interval(_range(found), mean, items, rows)
    return replace(
        first,
        where=where,
        value=mean.value,
        ci=(low, high),
        ci_method=f"{method}{own}",
        n=len(found),
        rows=rows,
        null=tested.null,
        p=tested.p,
        q=None,
        test=tested.test,
        p_floor=tested.floor,
        per_seed=tuple(one.value for one in found),
        seeds=tuple(range(len(found))),
        notes=notes,
        behind=None,
    )


def _share(first: Result, where: Mapping[str, Place], behind: Sequence[Behind], notes: str) -> Result:
    """A share over bases: the ratio of the means, bases paired with their own denominators."""
    tops, _, items = _rows([b.top for b in behind], behind)
    bottoms, _, _ = _rows([b.bottom for b in behind if b.bottom is not None], behind)
    draws = _draws(behind)
    one = behind[0]
    return share(
        first.name.removesuffix("_shift"),
        where,
        tops if items else tops[:, 0],
        bottoms if items else bottoms[:, 0],
        seeds=range(len(behind)),
        items=items,
        units=BASES,
        draws=draws,
        null_kind=f"{one.null_kind}, mean over bases",
        alternative=one.alternative,
        bar=one.bar,
        unit=first.unit if not first.name.endswith("_shift") else "share",
        notes=notes,
    )


def _rows(
    cells: Sequence[Float[np.ndarray, "_ _"]], behind: Sequence[Behind]
) -> tuple[Float[np.ndarray, "base column"], tuple[str, ...], str]:
    """One row a base, the mean over its seeds; kinds of the columns, and what those are ("" where bases were
    not asked the same: then each has one column, its mean over items with kinds alike).
    """
    one = behind[0]
    if one.items and all(b.items == one.items and b.kinds == one.kinds for b in behind):
        return np.stack([c.mean(0) for c in cells]), one.kinds, one.drawn
    own = []
    for c, b in zip(cells, behind, strict=True):
        names = np.asarray(b.kinds or ["all"] * c.shape[1])
        own.append(np.mean([c[:, names == kind].mean() for kind in dict.fromkeys(names.tolist())]))
    return np.array(own)[:, None], (), ""


def _draws(behind: Sequence[Behind]) -> Float[np.ndarray, "draw base"] | None:
    """The bases' draws beside each other; None where one of them has none."""
    drawn = [b.draws for b in behind if b.draws is not None]
    if len(drawn) < len(behind):
        return None
    count = min(len(d) for d in drawn)
    return np.stack([d[:count] for d in drawn], 1)


def _with_errors(found: Sequence[Result]) -> CrossedMean:
    """The mean of numbers whose cells are not at hand: what varies between bases, and what each base's own
    interval has of wordings that all of them were asked. Seeds are in both, which errs on the wide side.
    """
    values = np.array([one.value for one in found])
    between = (float(values.var(ddof=1) / len(values)), len(values) - 1.0)
    wide = [one.ci for one in found if one.ci is not None]
    if len(wide) < len(found) or not all(map(_has_items, found)):
        return CrossedMean(float(values.mean()), *between, len(found), len(found), 1)
    own = float(np.mean([((high - low) / 2 / SIDE) ** 2 for low, high in wide]))
    degrees = max(min(one.n for one in found) - 1.0, 1.0)
    variance, freedom = combined([between, (own, degrees)])
    return CrossedMean(float(values.mean()), float(variance), float(freedom), len(found), len(found), 1)


def _has_items(result: Result) -> bool:
    """Whether it has an interval, and that is over wordings or scenarios too."""
    return result.ci is not None and any(
        word in result.ci_method for word in ("wording", "scenario", "bootstrap", "classes")
    )


def _range(found: Sequence[Result]) -> tuple[float, float] | None:
    """The ends of a number's scale."""
    behind = found[0].behind
    known = None if behind is None else behind.within
    return known or RANGES.get(found[0].name)


def _interval(
    ends: tuple[float, float] | None, mean: CrossedMean, items: str, rows: int
) -> tuple[float, float, str]:
    """The interval of a mean over bases, within its range, and how it was made."""
    found = mean.interval(bounds=ends, scale="linear", rows=rows)
    return found.low, found.high, found.method.replace("units", BASES).replace("items", items)


def _tested(
    first: Result,
    mean: CrossedMean,
    items: str,
    draws: Float[np.ndarray, "draw base"] | None,
    one: Behind | None,
) -> Tested:
    """Against the bases' draws where there are any; else by t against what a base was tested against."""
    if draws is not None and one is not None:
        kind = f"{one.null_kind}, mean over bases"
        return among(mean.value, draws.mean(1), kind, alternative=one.alternative)
    if all(r is None for r in (first.p, first.test)):
        return UNTESTED
    chance = CHANCE.get(first.name, 0.0)
    over = f"{BASES} x {items}" if items else BASES
    return Tested.of(mean.p(chance), f"t over {over} against {chance:g}")
