"""Coverage of means, shares and levels over units x items, over three simulation seeds.

Judged by the exact interval of the rate, not by the rate: a line holds where that interval lies within .93 to
.98. "Varies" is what differs from study to study; what is left in a cell has half its standard deviation.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import expit

from probes.errors import StatisticsError
from probes.statistics.crossed import crossed_difference, crossed_mean, crossed_ratio
from probes.statistics.intervals import Estimate, t_interval
from probes.statistics.ratios import fieller
from probes.validity.law import BAR, SEEDS, Rng, coverage_in_words, covers, exact

BOTH = (1.0, 1.0)
VARIES = {"units": (1.0, 0.0), "items": (0.0, 1.0), "both": BOTH}
UNITS, ITEMS = (3, 5, 10), (4, 8, 16)


@dataclass(frozen=True)
class CrossedLaw:
    """A line: whether one drawn study's interval holds the truth, and whether it is used."""

    name: str
    one: Callable[[Rng], bool]
    used: bool = True
    part: int = 1
    """One in so many of the simulations: fewer of what takes long."""


@dataclass(frozen=True)
class CrossedLine:
    """How often an interval held, with the exact interval of that rate."""

    law: CrossedLaw
    rate: float
    low: float
    high: float
    n: int

    @property
    def verdict(self) -> str:
        """Whether it keeps within the bar, by the interval of its rate."""
        said = coverage_in_words(self.low, self.high)
        return said if self.law.used else f"not used here: {said}"

    @property
    def fails(self) -> bool:
        """Whether an interval that is used covers less than it says."""
        return self.law.used and self.high < BAR[0]


def layout(rng: Rng, units: int, items: int, spread: tuple[float, float], rest: float = 0.5) -> np.ndarray:
    """Deviations of units x items with standard deviations of units, of items and of what is left."""
    return np.asarray(
        spread[0] * rng.normal(size=(units, 1))
        + spread[1] * rng.normal(size=(1, items))
        + rest * rng.normal(size=(units, items))
    )


def mean_holds(
    units: int, items: int, spread: tuple[float, float], rest: float = 0.5
) -> Callable[[Rng], bool]:
    """A mean of 0."""
    return lambda rng: covers(crossed_mean(layout(rng, units, items, spread, rest)).interval(), 0.0)


def bootstrap_holds(units: int, items: int, spread: tuple[float, float]) -> Callable[[Rng], bool]:
    """The same by percentiles of a bootstrap that draws units and items with replacement."""

    def one(rng: Rng) -> bool:
        y = layout(rng, units, items, spread)
        rows, columns = (rng.multinomial(n, np.full(n, 1 / n), size=400) / n for n in (units, items))
        low, high = np.quantile(np.einsum("bu,ui,bi->b", rows, y, columns), [0.025, 0.975])
        return bool(low <= 0 <= high)

    return one


def share_layouts(
    rng: Rng, units: int, items: int, spread: tuple[float, float], share: float = 0.95
) -> tuple[np.ndarray, ...]:
    """Numerators and denominators whose means have this ratio; the share itself varies too."""
    whole = 0.6 + 0.06 * layout(rng, units, items, spread)
    return share * whole + 0.06 * layout(rng, units, items, spread), whole


def share_holds(
    units: int, items: int, spread: tuple[float, float], *, share: float = 0.95, over_items: bool = True
) -> Callable[[Rng], bool]:
    """A share, by Fieller's set over units x items, or by his interval over units alone."""

    def one(rng: Rng) -> bool:
        top, bottom = share_layouts(rng, units, items, spread, share)
        try:
            found = crossed_ratio(top, bottom) if over_items else fieller(top.mean(1), bottom.mean(1))
        except StatisticsError:
            return True  # no bounded set: the share is not told
        return covers(found, share)

    return one


def level_holds(units: int, items: int, at: float, spread: tuple[float, float]) -> Callable[[Rng], bool]:
    """A level of probabilities, logit-normal over units and items."""
    grid = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    truth = float(expit(at + np.sqrt(spread[0] ** 2 + spread[1] ** 2 + 0.25) * grid).mean())

    def one(rng: Rng) -> bool:
        y = expit(at + layout(rng, units, items, spread))
        return covers(crossed_mean(y).interval(bounds=(0.0, 1.0)), truth)

    return one


def rare_holds(units: int, items: int) -> Callable[[Rng], bool]:
    """A share of answers of which one in 40 is flagged, each by itself: most items have none."""

    def one(rng: Rng) -> bool:
        found = crossed_mean((rng.random((units, items)) < 1 / 40).astype(float))
        return covers(found.interval(bounds=(0.0, 1.0)), 1 / 40)

    return one


def rival_holds(units: int, items: int, spread: tuple[float, float]) -> Callable[[Rng], bool]:
    """What a vector moves (.3) less what a rival moves (.1 one way in half of the units, the other way in the
    rest), which is turned round as a whole; the truth holds what turning adds by noise."""
    turned = np.where(np.arange(units) % 2 == 0, 1.0, -1.0)[:, None]
    noise = 0.04 * np.sqrt(spread[0] ** 2 + (spread[1] ** 2 + 0.25) / items)
    # mean of the absolute value of a normal
    either = noise * np.sqrt(2 / np.pi) * np.exp(-((0.1 / noise) ** 2) / 2)
    either += 0.1 * (1 - 2 * stats.norm.cdf(-0.1 / noise))

    def one(rng: Rng) -> bool:
        own = 0.3 + 0.08 * layout(rng, units, items, spread)
        rival = turned * (0.1 + 0.04 * layout(rng, units, items, spread))
        rival = np.where(rival.mean(1, keepdims=True) < 0, -rival, rival)
        return covers(crossed_mean(own - rival).interval(bounds=(-1.0, 0.5), scale="linear"), 0.3 - either)

    return one


def gap_holds(units: int, items: int, spread: tuple[float, float]) -> Callable[[Rng], bool]:
    """The difference of two arms that share items in three kinds and have units of their own."""
    kinds = np.arange(items) % 3

    def one(rng: Rng) -> bool:
        item = spread[1] * rng.normal(size=items)
        arms = [layout(rng, units, items, (spread[0], 0.0)) + kinds + side * item / 2 for side in (1, -1)]
        return covers(crossed_difference(arms[0], arms[1], strata=kinds).interval(), 0.0)

    return one


def bases_hold(
    bases: int, units: int, items: int, *, apart: float = 1.0, item: float = 0.5, how: str = "nested"
) -> Callable[[Rng], bool]:
    """A mean over adapters of several bases.

    Args:
        bases, units, items: how many, units within each base.
        apart, item: standard deviations of bases and of items.
        how: "nested" in bases; "loose", as if adapters of one base knew nothing of it; "alone", by t over
            the means of bases, as if each had been asked items of its own.
    """
    names = np.repeat(np.arange(bases), units)

    def one(rng: Rng) -> bool:
        y = layout(rng, bases * units, items, (0.5, item)) + apart * rng.normal(size=bases)[names][:, None]
        if how == "alone":
            return covers(t_interval(y.reshape(bases, -1).mean(1)), 0.0)
        return covers(crossed_mean(y, blocks=names if how == "nested" else None).interval(), 0.0)

    return one


def share_of_bases(bases: int, units: int, items: int, spread: tuple[float, float]) -> Callable[[Rng], bool]:
    """A share of .95 of bases x items, `spread` theirs, each base the mean of its adapters."""
    names = np.repeat(np.arange(bases), units)

    def one(rng: Rng) -> bool:
        whole, own = ((0.6, 0.06), (0.0, 0.06))
        top, bottom = (
            at
            + size
            * (layout(rng, bases, items, spread, 0.0)[names] + 0.5 * rng.normal(size=(names.size, items)))
            for at, size in (own, whole)
        )
        try:
            return covers(crossed_ratio(0.95 * bottom + top, bottom, blocks=names), 0.95)
        except StatisticsError:
            return True

    return one


def units_alone(units: int, items: int, spread: tuple[float, float]) -> Callable[[Rng], bool]:
    """A mean by t over units alone."""

    def one(rng: Rng) -> bool:
        found: Estimate = t_interval(layout(rng, units, items, spread).mean(1))
        return covers(found, 0.0)

    return one


def crossed_laws() -> Iterator[CrossedLaw]:
    """Every line, in the order of the table."""
    for kind, spread in VARIES.items():
        for units in UNITS:
            for items in ITEMS:
                design = f"{units} units x {items} items, {kind} vary"
                yield CrossedLaw(f"mean, {design}", mean_holds(units, items, spread))
    yield CrossedLaw("mean, 3 units x 4 items, what is left 3 x as much", mean_holds(3, 4, BOTH, 3.0))
    for units in UNITS:
        yield CrossedLaw(f"gap of two arms, 3 kinds, {units} units x 12 items", gap_holds(units, 12, BOTH))
    for kind, spread in VARIES.items():
        for units in UNITS:
            for items in (4, 16):
                yield CrossedLaw(
                    f"share of .95, {units} units x {items} items, {kind} vary",
                    share_holds(units, items, spread),
                    part=2,
                )
    for units, items in ((3, 8), (5, 8), (10, 16)):
        yield CrossedLaw(
            f"share kept of .2 (necessity), {units} units x {items} items, both vary",
            share_holds(units, items, BOTH, share=0.2),
            part=2,
        )
    for units in UNITS:
        yield CrossedLaw(
            f"what a vector moves less what its rival moves either way, {units} units x 8 items",
            rival_holds(units, 8, BOTH),
        )
    for units in UNITS:
        for at, said in ((0.0, ".5"), (2.0, ".85"), (4.0, ".97")):
            name = f"level near {said}, {units} units x 8 items, both vary by .5 logits: logit scale"
            yield CrossedLaw(name, level_holds(units, 8, at, (0.5, 0.5)))
    for units, items in ((3, 8), (5, 8), (10, 8), (5, 30)):
        name = f"level near .97, {units} units x {items} items, items vary by 1 logit (skewed): logit scale"
        yield CrossedLaw(name, level_holds(units, items, 4.0, (0.2, 1.0)))
    name = "level near .97, 5 units x 8 items, units vary by 1 logit (skewed): logit scale"
    yield CrossedLaw(name, level_holds(5, 8, 4.0, (1.0, 0.2)))
    yield CrossedLaw("share of 1 in 40 answers flagged, 5 units x 40 items: logit scale", rare_holds(5, 40))
    yield CrossedLaw("mean over 4 bases x 3 units x 8 items", bases_hold(4, 3, 8))
    yield CrossedLaw("the same, bases not minded", bases_hold(4, 3, 8, how="loose"), used=False)
    for apart, item in ((1.0, 0.5), (0.5, 0.5), (0.3, 1.0)):
        name = f"3 bases x 5 units x 8 items, bases vary by {apart:g}, units by .5, items by {item:g}"
        yield CrossedLaw(f"mean over {name}", bases_hold(3, 5, 8, apart=apart, item=item))
    name = "the last, by t over the means of bases"
    yield CrossedLaw(name, bases_hold(3, 5, 8, apart=0.3, item=1.0, how="alone"), used=False)
    for kind, spread in VARIES.items():
        name = f"share of .95 over 3 bases x 5 units x 8 items, {kind} vary".replace(
            "units vary", "bases vary"
        )
        yield CrossedLaw(name, share_of_bases(3, 5, 8, spread))
    for kind, spread in VARIES.items():
        for units in (3, 10):
            name = f"mean, {units} units x 8 items, {kind} vary: two-way percentile bootstrap"
            yield CrossedLaw(name, bootstrap_holds(units, 8, spread), used=False)
    yield CrossedLaw(
        "mean, 5 units x 8 items, items vary: t over units", units_alone(5, 8, VARIES["items"]), used=False
    )
    yield CrossedLaw(
        "share of .95, 5 units x 8 items, items vary: Fieller over units",
        share_holds(5, 8, VARIES["items"], over_items=False),
        used=False,
    )


def rate_of(law: CrossedLaw, sims: int) -> CrossedLine:
    """A law over all simulation seeds, `sims` studies in all."""
    hits: list[bool] = []
    for seed in SEEDS:
        rng = np.random.default_rng([seed, int.from_bytes(law.name.encode(), "little") % 2**63])
        hits += [law.one(rng) for _ in range(-(-sims // len(SEEDS) // law.part))]
    return CrossedLine(law, *exact(np.array(hits)), len(hits))


def crossed_lines(sims: int) -> list[CrossedLine]:
    """Every line, measured."""
    return [rate_of(law, sims) for law in crossed_laws()]


def crossed_section(lines: list[CrossedLine]) -> list[str]:
    """The table as lines of Markdown."""
    return [
        "## Units x items: seeds x wordings, adapters x scenarios",
        "",
        f"Both are drawn (`probes.statistics.crossed`). Over {len(SEEDS)} simulation seeds; a line holds",
        "where the exact interval of its rate lies within .93 to .98. What is left in a cell has half the",
        "standard deviation of what varies, where nothing else is said. A share that is refused, its",
        "denominator not being told from 0, counts as held.",
        "",
        "| interval | covered | simulations | verdict |",
        "| --- | --- | --- | --- |",
        *(
            f"| {one.law.name} | {one.rate:.3f} [{one.low:.3f}, {one.high:.3f}] | {one.n} | {one.verdict} |"
            for one in lines
        ),
        "",
    ]
