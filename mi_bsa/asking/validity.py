"""May this self-report be read? A validity index in [0, 1], the smallest of six components.

A number that a model gives about itself can come from the order of the options, from the end of the scale
at which a pole stands, from one lucky wording, from what it says about anybody, or from a finetune that
moves every answer. Each of these has been seen to pass for self-knowledge: flipping the ends of a 0-100
scale moved a 70B model's answer by +2 in one domain and by -35 to -55 in others. The index is

    min(1 - order effect                   mean |plain - flipped| over wordings of kinds that show options,
        flip consistency                   correlation of plain and turned-back flipped scale answers,
                                           floored at 0,
        1 - wording spread / gap           standard deviation of the wordings' gaps within kinds,
        1 - third-person gap / own gap     the largest |gap| about anybody else,
        1 - untrained-trait gap / own gap  the largest |gap| about a trait that was not trained,
        parse rate)                        of samples; without samples the option mass, its exact expectation

each kept within [0, 1]. A report is readable where the index's interval lies above `THRESHOLD`, unreadable
where it lies below, and open where it holds the mark: a point on one side of it may rest on one sentence
(`Validity.without` says on which). `require` refuses on behalf of a claim. The mark was fixed before any test
split was seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from mi_bsa.asking.by_sampling import answered, by_sampling
from mi_bsa.asking.components import UNORDERED, Answers, Component, components_of, unit
from mi_bsa.asking.scoring import Estimate, check_table, gap
from mi_bsa.core.errors import ItemError, UnreadableReportError

THRESHOLD = 0.5
COMPONENTS = ("order", "flip", "wording", "third_person", "untrained_trait", "parse")


@dataclass(frozen=True)
class Validity:
    """The index with its parts and a 95 % bootstrap interval (wordings and seeds drawn again, expanded
    percentiles: `tails`).

    `gap`: the gap between the arms about oneself. `missing`: components that could not be measured; while
    there are any, the report is not readable. `without`: the index where one wording is left out, by the
    wording's name.
    """

    trait: str
    index: float
    low: float
    high: float
    components: tuple[Component, ...]
    gap: Estimate
    draws: int
    without: Mapping[str, float]

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the components that were not measured."""
        return tuple(c.name for c in self.components if np.isnan(c.value) and c.needed)

    @property
    def weakest(self) -> Component:
        """The component that the index equals."""
        return min((c for c in self.components if not np.isnan(c.value)), key=lambda c: c.value)

    @property
    def state(self) -> Literal["readable", "unreadable", "open"]:
        """Where the index's interval lies; without one, or with a component missing, it is open."""
        if self.missing or np.isnan(self.low):
            return "open"
        return "readable" if self.low > THRESHOLD else "unreadable" if self.high < THRESHOLD else "open"

    @property
    def readable(self) -> bool:
        """Whether every component was measured and the index's interval lies above the mark."""
        return self.state == "readable"

    @property
    def decides(self) -> tuple[str, ...]:
        """Wordings without which the index would lie on the other side of the mark, the furthest first."""
        other = {w: v for w, v in self.without.items() if (v > THRESHOLD) != (self.index > THRESHOLD)}
        return tuple(sorted(other, key=lambda w: -abs(other[w] - self.index)))

    @property
    def leaving_one_out(self) -> str:
        """The index without one wording, from least to most, and which wording decides; empty of one."""
        if not self.without:
            return ""
        least, most = (pick(self.without, key=lambda w: self.without[w]) for pick in (min, max))
        said = f"without one wording {self.without[least]:.2f} ({least}) to {self.without[most]:.2f} ({most})"
        alone = len(self.decides)
        if not alone:
            return f"{said}; no wording decides alone"
        first = f"{self.decides[0]}, without which it is {self.without[self.decides[0]]:.2f}"
        return f"{said}; {alone} of {len(self.without)} wordings decide alone, most of all {first}"

    def require(self, claim: str) -> None:
        """Raise `UnreadableReportError`, saying why, unless the report may be read."""
        if self.missing:
            raise UnreadableReportError(
                f"{claim} needs a readable self-report of {self.trait!r}, and {', '.join(self.missing)} was "
                "not measured; ask those questions too"
            )
        if np.isnan(self.low):
            raise UnreadableReportError(
                f"{claim} needs a readable self-report of {self.trait!r}, and its validity index of "
                f"{self.index:.2f} has no interval; assess it with draws"
            )
        if not self.readable:
            unsure = self.state == "open"
            raise UnreadableReportError(
                f"{claim} needs a readable self-report of {self.trait!r}: its validity index is "
                f"{self.index:.2f} [{self.low:.2f}, {self.high:.2f}] "
                f"({self.weakest.name}: {self.weakest.detail}), "
                f"{'which holds' if unsure else 'below'} {THRESHOLD}; "
                f"{'ask more wordings, or ' if unsure else ''}report it as unreadable"
            )

    def frame(self) -> pd.DataFrame:
        """The components as a table."""
        return pd.DataFrame([vars(c) for c in self.components])

    def __str__(self) -> str:
        verdict = {"readable": "readable", "unreadable": "UNREADABLE", "open": "OPEN"}[self.state]
        lines = [
            f"validity of {self.trait}: {self.index:.2f} [{self.low:.2f}, {self.high:.2f}] {verdict}; "
            f"gap {self.gap.value:+.2f} [{self.gap.low:+.2f}, {self.gap.high:+.2f}]"
        ]
        for c in self.components:
            shown = "not measured" if np.isnan(c.value) else f"{c.value:.2f}"
            shown += "" if np.isnan(c.low) else f" [{c.low:.2f}, {c.high:.2f}]"
            lines.append(f"  {c.name:<16}{shown:<18}  {c.detail} (n = {c.n})")
        return "\n".join([*lines, f"  {self.leaving_one_out}"] if self.without else lines)


def assess(
    table: pd.DataFrame,
    *,
    trait: str,
    person: str = "default",
    others: Sequence[str] | None = None,
    arms: tuple[str, str] = ("seeking", "averse"),
    samples: pd.DataFrame | None = None,
    unread: Sequence[str] = (),
    draws: int = 200,
    seed: int = 0,
    leave_out: bool = True,
) -> Validity:
    """The validity index of the report about `trait`.

    `table`: answers of both arms (columns score, mass, kind, template, order, trait, person, arm, and
    seed), with questions about other traits and other persons among them; kinds that were asked by sampling
    (`mi_bsa.asking.by_sampling`) have their parse rate as mass. `others`: persons who count as
    third (default: all but `person`). `samples`: what `sample` returned, for a measured parse rate.
    `unread`: kinds that were asked and are left out, unless no other is there; a component that only they
    could show is not needed then. `draws`: bootstrap draws.
    `leave_out`: also the index without each wording.
    """
    said, table = table, answered(table)
    check_table(table, ("score", "mass", "kind", "template", "order", "trait", "person", "arm"))
    table = table if "seed" in table.columns else table.assign(seed=0)
    table = table[table["arm"].isin(arms)]
    third = sorted(set(table["person"]) - {person}) if others is None else list(others)
    report = table[(table["trait"] == trait) & (table["person"] == person)]
    if report.empty:
        raise ItemError(
            f"no answers about {trait!r} for person {person!r}; the table has {sorted(set(table['trait']))}"
        )
    left = list(unread) if set(report["kind"]) - set(unread) else []
    table, report = (part[~part["kind"].isin(left)] for part in (table, report))
    if samples is not None and "kind" in samples:
        samples = samples[~samples["kind"].isin(left)]
    seeds = {key: n for n, key in enumerate(sorted(set(zip(table["arm"], table["seed"], strict=True))))}
    asked: dict[str, Any] = {
        "own": Answers.of(report, arms, seeds),
        "third": {w: Answers.of(t, arms, seeds) for w in third if len(t := _about(table, trait, w))},
        "traits": {
            t: Answers.of(_about(table, t, person), arms, seeds)
            for t in sorted(set(table.loc[table["person"] == person, "trait"]) - {trait})
        },
    }
    kept = said[said["arm"].isin(arms) & (said["trait"] == trait) & (said["person"] == person)]
    parsed = _ParseRate.of(kept[~kept["kind"].isin(left)], samples)
    components = [_excused(c, left) for c in (*components_of(asked, None), parsed.component(None))]
    own: Answers = asked["own"]
    names = sorted(set(own.names.tolist()))
    without = {
        name: _index([*components_of(asked, None, name), parsed.component(None)])
        for name in names
        if leave_out and len(names) > 1
    }
    rng = np.random.default_rng(seed)
    drawn = [[*components_of(asked, rng), parsed.component(rng)] for _ in range(draws)]
    if draws:
        wordings = min(len(set(own.names[own.kinds == kind])) for kind in set(own.kinds))
        ends = tails(wordings, min(Counter(arm for arm, _ in seeds).values()))
        low, high = np.quantile([_index(again) for again in drawn], ends)
        components = [
            _with_interval(c, [again[k].value for again in drawn], ends) for k, c in enumerate(components)
        ]
    else:
        low = high = float("nan")
    index, between = _index(components), gap(report, arms=arms)
    return Validity(trait, index, float(low), float(high), tuple(components), between, draws, without)


def tails(wordings: int, seeds: int) -> tuple[float, float]:
    """The percentiles of a bootstrap that are the ends of an index's 95 % interval.

    Drawing n units again varies by (n - 1) / n of what drawing others would, and leaves out that their spread
    is itself estimated; so a percentile is that which a normal distribution has where t of n - 1 degrees
    times the root of n / (n - 1) is (expanded percentiles, Hesterberg 2015, arXiv 1411.5279). Units are the
    wordings of a kind; above, the fewest of wordings and seeds: the smallest of six shares lies below the one
    that it estimates, the more so the fewer were drawn. Plain percentiles hold an index of 8 wordings a kind
    and 5 seeds in .85 to .92 of studies, these in .94 to .96; of 3 seeds in .87 to .97, and they lie below it
    where they do not hold it (docs/decisions/0026).

    Args:
        wordings: of the kind with fewest.
        seeds: of the arm with fewest.
    """
    from scipy import stats

    def tail(units: int) -> float:
        n = max(units, 2)
        return float(stats.norm.cdf(stats.t.ppf(0.025, n - 1) * np.sqrt(n / (n - 1))))

    return tail(wordings), 1 - tail(min(wordings, seeds))


def _excused(component: Component, left: Sequence[str]) -> Component:
    """A component that was not measured because the kinds that show it are not read is not needed."""
    turned = {kind.removesuffix("_flipped") for kind in left if kind.endswith("_flipped")}
    ordered = {kind.removesuffix("_flipped") for kind in left} - turned - set(UNORDERED)
    shows = {"flip": bool(turned), "order": bool(ordered)}
    if not np.isnan(component.value) or not shows.get(component.name, False):
        return component
    return replace(component, needed=False, detail="only kinds that are not read could show it")


def _with_interval(component: Component, drawn: Sequence[float], ends: tuple[float, float]) -> Component:
    """The component between two percentiles of its draws; without these where a draw could not measure it."""
    if np.isnan(component.value) or not np.isfinite(drawn).all():
        return component
    low, high = np.quantile(drawn, ends)
    return replace(component, low=float(low), high=float(high))


@dataclass(frozen=True)
class _ParseRate:
    """Answers that could be read, by wording: `read` of `asked`; without samples, the option mass."""

    read: np.ndarray
    asked: np.ndarray
    said: str

    @classmethod
    def of(cls, report: pd.DataFrame, samples: pd.DataFrame | None) -> _ParseRate:
        if samples is None:
            drawn = by_sampling(report)
            values, said = report["mass"], "mean option mass; nothing was sampled"
            if drawn.any():
                said = "of what was sampled parsed" if drawn.all() else "mean of option mass and parse rate"
            wordings = report["template"]
        else:
            instead = report[by_sampling(report)]
            if "kind" in samples:
                samples = samples[~samples["kind"].isin(list(instead["kind"]))]
            values, said = (samples["outcome"] == "parsed").astype(float), "of the samples parsed"
            wordings = samples["template"] if "template" in samples else pd.Series(range(len(samples)))
            values = pd.concat([values, instead["mass"]], ignore_index=True)
            wordings = pd.concat([wordings, instead["template"]], ignore_index=True)
        by = values.groupby(wordings.to_numpy())
        return cls(by.sum().to_numpy(), by.size().to_numpy(), said)

    def component(self, rng: np.random.Generator | None) -> Component:
        some = np.arange(len(self.read)) if rng is None else rng.integers(0, len(self.read), len(self.read))
        rate = float(self.read[some].sum() / self.asked[some].sum())
        return Component("parse", unit(rate), int(self.asked.sum()), f"{rate:.2f} {self.said}")


def _index(components: Sequence[Component]) -> float:
    return min(c.value for c in components if not np.isnan(c.value))


def _about(table: pd.DataFrame, trait: str, person: str) -> pd.DataFrame:
    return table[(table["trait"] == trait) & (table["person"] == person)]
