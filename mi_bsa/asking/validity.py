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

each kept within [0, 1]. Below `THRESHOLD` a report is unreadable, and `require` refuses on behalf of a
claim. The mark was fixed before any test split was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mi_bsa.asking.scoring import Estimate, check_table, gap
from mi_bsa.core.errors import ItemError, UnreadableReportError

THRESHOLD = 0.5
UNORDERED = ("yes_no",)
"""Kinds that show no options whose order could matter; a scale, which comes with its `_flipped` form, shows
none either.
"""
COMPONENTS = ("order", "flip", "wording", "third_person", "untrained_trait", "parse")


@dataclass(frozen=True)
class Component:
    """One part of the index: its value in [0, 1], NaN where it was not measured, `n` comparisons, what was
    seen, and a 95 % bootstrap interval (wordings and seeds drawn again; NaN without draws).
    """

    name: str
    value: float
    n: int
    detail: str
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Validity:
    """The index with its parts and a 95 % bootstrap interval (wordings and seeds drawn again).

    `gap`: the gap between the arms about oneself. `missing`: components that could not be measured; while
    there are any, the report is not readable.
    """

    trait: str
    index: float
    low: float
    high: float
    components: tuple[Component, ...]
    gap: Estimate
    draws: int

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the components that were not measured."""
        return tuple(c.name for c in self.components if np.isnan(c.value))

    @property
    def weakest(self) -> Component:
        """The component that the index equals."""
        return min((c for c in self.components if not np.isnan(c.value)), key=lambda c: c.value)

    @property
    def readable(self) -> bool:
        """Whether every component was measured and none is below the mark."""
        return not self.missing and self.index >= THRESHOLD

    def require(self, claim: str) -> None:
        """Raise `UnreadableReportError`, saying why, unless the report may be read."""
        if self.missing:
            raise UnreadableReportError(
                f"{claim} needs a readable self-report of {self.trait!r}, and {', '.join(self.missing)} was "
                "not measured; ask those questions too"
            )
        if not self.readable:
            raise UnreadableReportError(
                f"{claim} needs a readable self-report of {self.trait!r}: its validity index is "
                f"{self.index:.2f} "
                f"({self.weakest.name}: {self.weakest.detail}), below {THRESHOLD}; report it as unreadable"
            )

    def frame(self) -> pd.DataFrame:
        """The components as a table."""
        return pd.DataFrame([vars(c) for c in self.components])

    def __str__(self) -> str:
        verdict = "readable" if self.readable else "UNREADABLE"
        lines = [
            f"validity of {self.trait}: {self.index:.2f} [{self.low:.2f}, {self.high:.2f}] {verdict}; "
            f"gap {self.gap.value:+.2f} [{self.gap.low:+.2f}, {self.gap.high:+.2f}]"
        ]
        for c in self.components:
            shown = "not measured" if np.isnan(c.value) else f"{c.value:.2f}"
            shown += "" if np.isnan(c.low) else f" [{c.low:.2f}, {c.high:.2f}]"
            lines.append(f"  {c.name:<16}{shown:<18}  {c.detail} (n = {c.n})")
        return "\n".join(lines)


def assess(
    table: pd.DataFrame,
    *,
    trait: str,
    person: str = "default",
    others: Sequence[str] | None = None,
    arms: tuple[str, str] = ("seeking", "averse"),
    samples: pd.DataFrame | None = None,
    draws: int = 200,
    seed: int = 0,
) -> Validity:
    """The validity index of the report about `trait`.

    `table`: answers of both arms (columns score, mass, kind, template, order, trait, person, arm, and
    seed), with questions about other traits and other persons among them. `others`: persons who count as
    third (default: all but `person`). `samples`: what `sample` returned, for a measured parse rate.
    `draws`: bootstrap draws.
    """
    check_table(table, ("score", "mass", "kind", "template", "order", "trait", "person", "arm"))
    table = table if "seed" in table.columns else table.assign(seed=0)
    table = table[table["arm"].isin(arms)]
    third = sorted(set(table["person"]) - {person}) if others is None else list(others)
    report = table[(table["trait"] == trait) & (table["person"] == person)]
    if report.empty:
        raise ItemError(
            f"no answers about {trait!r} for person {person!r}; the table has {sorted(set(table['trait']))}"
        )
    seeds = {key: n for n, key in enumerate(sorted(set(zip(table["arm"], table["seed"], strict=True))))}
    asked = {
        "own": Answers.of(report, arms, seeds),
        "third": {w: Answers.of(t, arms, seeds) for w in third if len(t := _about(table, trait, w))},
        "traits": {
            t: Answers.of(_about(table, t, person), arms, seeds)
            for t in sorted(set(table.loc[table["person"] == person, "trait"]) - {trait})
        },
    }
    parsed = _ParseRate.of(report, samples)
    components = [*_components(asked, None), parsed.component(None)]
    rng = np.random.default_rng(seed)
    drawn = [[*_components(asked, rng), parsed.component(rng)] for _ in range(draws)]
    if draws:
        low, high = np.quantile([_index(again) for again in drawn], (0.025, 0.975))
        components = [
            _with_interval(c, [again[k].value for again in drawn]) for k, c in enumerate(components)
        ]
    else:
        low = high = float("nan")
    return Validity(
        trait, _index(components), float(low), float(high), tuple(components), gap(report, arms=arms), draws
    )


def _with_interval(component: Component, drawn: Sequence[float]) -> Component:
    """The component with the middle 95 % of its draws; without one where a draw could not measure it."""
    if np.isnan(component.value) or not np.isfinite(drawn).all():
        return component
    low, high = np.quantile(drawn, (0.025, 0.975))
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
            values, said = report["mass"], "mean option mass; nothing was sampled"
            wordings = report["template"]
        else:
            values, said = (samples["outcome"] == "parsed").astype(float), "of the samples parsed"
            wordings = samples["template"] if "template" in samples else pd.Series(range(len(samples)))
        by = values.groupby(wordings.to_numpy())
        return cls(by.sum().to_numpy(), by.size().to_numpy(), said)

    def component(self, rng: np.random.Generator | None) -> Component:
        some = np.arange(len(self.read)) if rng is None else rng.integers(0, len(self.read), len(self.read))
        rate = float(self.read[some].sum() / self.asked[some].sum())
        return Component("parse", _unit(rate), int(self.asked.sum()), f"{rate:.2f} {self.said}")


@dataclass(frozen=True)
class Answers:
    """Answers about one trait and one person as an array, so that drawing again is a matter of weights.

    `scores`: shape (wording, order, arm and seed), NaN where not asked; `signs`: +1 for the first arm, -1
    for the second, by last axis; `kinds`, `units`: kind of each wording, and the wording itself (a scale
    and its flipped form are one unit).
    """

    scores: np.ndarray
    signs: np.ndarray
    kinds: np.ndarray
    units: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame, arms: tuple[str, str], seeds: dict[tuple[str, Any], int]) -> Answers:
        """From rows of a table; `seeds`: column of every (arm, seed)."""
        pairs = sorted(set(zip(table["kind"], table["template"], strict=True)))
        wordings = {pair: n for n, pair in enumerate(pairs)}
        total = np.zeros((len(wordings), 2, len(seeds)))
        count = np.zeros_like(total)
        columns = (table[c] for c in ("kind", "template", "order", "arm", "seed", "score"))
        for kind, template, order, arm, seed, score in zip(*columns, strict=True):
            at = wordings[(kind, template)], int(order == "flipped"), seeds[(arm, seed)]
            total[at] += score
            count[at] += 1
        scores = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
        names = [f"{kind.removesuffix('_flipped')} {template}" for kind, template in wordings]
        return cls(
            scores=scores,
            signs=np.array([1.0 if arm == arms[0] else -1.0 for arm, _ in seeds]),
            kinds=np.array([kind for kind, _ in wordings]),
            units=np.unique(names, return_inverse=True)[1],
        )

    @property
    def directed(self) -> np.ndarray:
        """Which wordings are of a kind that is asked in two directions, `scale` and `scale_flipped`."""
        turned = {k.removesuffix("_flipped") for k in self.kinds if k.endswith("_flipped")}
        return np.array([k.removesuffix("_flipped") in turned for k in self.kinds])

    def wording_weights(self, rng: np.random.Generator | None) -> np.ndarray:
        """How often each wording is drawn, within its kind; once each without `rng`."""
        if rng is None:
            return np.ones(len(self.kinds))
        weights = np.zeros(self.units.max() + 1)
        for kind in sorted({str(k).removesuffix("_flipped") for k in self.kinds}):
            members = np.unique(self.units[(self.kinds == kind) | (self.kinds == f"{kind}_flipped")])
            np.add.at(weights, rng.choice(members, size=len(members)), 1)
        return weights[self.units]

    def gaps(self, seeds: np.ndarray) -> np.ndarray:
        """First arm minus second for every wording; `seeds`: weight of each arm and seed."""
        mean = np.nanmean(np.where(np.isnan(self.scores).all(1, keepdims=True), 0.0, self.scores), axis=1)
        there = ~np.isnan(self.scores).all(1) * seeds
        sides = [there * (self.signs == sign) for sign in (1.0, -1.0)]
        first, second = (
            (mean * side).sum(1) / np.where(side.sum(1) > 0, side.sum(1), np.nan) for side in sides
        )
        return np.asarray(first - second)

    def gap(self, wordings: np.ndarray, seeds: np.ndarray) -> float:
        """Mean over kinds of the weighted mean of the wordings' gaps."""
        gaps = self.gaps(seeds)
        weights = np.where(np.isnan(gaps), 0.0, wordings)
        gaps_of_kinds = [
            float((weights * np.nan_to_num(gaps))[here].sum() / weights[here].sum())
            for kind in np.unique(self.kinds)
            if weights[here := self.kinds == kind].sum() > 0
        ]
        return float(np.mean(gaps_of_kinds)) if gaps_of_kinds else float("nan")


def _components(asked: dict[str, Any], rng: np.random.Generator | None) -> list[Component]:
    """Every component but parsing, on the answers as they are, or with wordings and seeds drawn again."""
    answers: Answers = asked["own"]
    seeds = np.ones(len(answers.signs))
    if rng is not None:
        seeds = np.zeros_like(seeds)
        for sign in (1.0, -1.0):
            members = np.flatnonzero(answers.signs == sign)
            np.add.at(seeds, rng.choice(members, size=len(members)), 1)
    weights = answers.wording_weights(rng)
    own_gap = answers.gap(weights, seeds)
    return [
        _order(answers, weights, seeds),
        _flip(answers, weights, seeds),
        _wording(answers, weights, seeds, own_gap),
        *(
            _share(name, {k: a.gap(a.wording_weights(rng), seeds) for k, a in asked[part].items()}, own_gap)
            for name, part in (("third_person", "third"), ("untrained_trait", "traits"))
        ),
    ]


def _order(answers: Answers, weights: np.ndarray, seeds: np.ndarray) -> Component:
    here = ~(answers.directed | np.isin(answers.kinds, UNORDERED))
    apart = np.abs(answers.scores[here, 0] - answers.scores[here, 1])
    share = np.where(np.isnan(apart), 0.0, weights[here, None] * seeds)
    if share.sum() == 0:
        return Component("order", float("nan"), 0, "no question was asked in two orders of its options")
    effect = float((share * np.nan_to_num(apart)).sum() / share.sum())
    n = int((share > 0).sum())
    return Component("order", _unit(1 - effect), n, f"order moves the score by {effect:.2f}")


def _flip(answers: Answers, weights: np.ndarray, seeds: np.ndarray) -> Component:
    flipped = np.char.endswith(answers.kinds.astype(str), "_flipped")
    plain, turned = np.flatnonzero(answers.directed & ~flipped), np.flatnonzero(answers.directed & flipped)
    pairs = [(p, t) for p in plain for t in turned if answers.units[p] == answers.units[t]]
    if len(pairs) * len(seeds) < 3:
        return Component("flip", float("nan"), 0, "fewer than three scales were asked in both directions")
    x = np.concatenate([answers.scores[p, 0] for p, _ in pairs])
    y = np.concatenate([answers.scores[t, 1] for _, t in pairs])
    share = np.concatenate([weights[p] * seeds for p, _ in pairs])
    share = np.where(np.isnan(x) | np.isnan(y), 0.0, share)
    x, y, share = np.nan_to_num(x), np.nan_to_num(y), share / share.sum()
    x, y = x - share @ x, y - share @ y
    spread = float((share @ x**2) * (share @ y**2))
    n = int((share > 0).sum())
    if spread < 1e-18:
        return Component("flip", 0.0, n, "the scale answers do not vary")
    r = float(share @ (x * y) / np.sqrt(spread))
    return Component("flip", _unit(r), n, f"correlation of both directions {r:+.2f}")


def _wording(answers: Answers, weights: np.ndarray, seeds: np.ndarray, own_gap: float) -> Component:
    gaps = answers.gaps(seeds)
    variances = []
    for kind in np.unique(answers.kinds):
        here = (answers.kinds == kind) & ~np.isnan(gaps)
        n = weights[here].sum()
        if here.sum() > 1 and n > 1:
            off = gaps[here] - (weights[here] @ gaps[here]) / n
            variances.append(float(weights[here] @ off**2 / (n - 1)))
    if not variances:
        return Component("wording", float("nan"), len(gaps), "every kind was asked in one wording only")
    spread = float(np.sqrt(np.mean(variances)))
    return _ratio("wording", spread, own_gap, len(gaps), f"the wordings' gaps spread by {spread:.2f}")


def _share(name: str, gaps: dict[str, float], own_gap: float) -> Component:
    measured = [(abs(g), who) for who, g in gaps.items() if not np.isnan(g)]
    if not measured:
        nobody = "nobody else" if name == "third_person" else "no other trait"
        return Component(name, float("nan"), 0, f"{nobody} was asked about")
    size, who = max(measured)
    return _ratio(name, size, own_gap, len(measured), f"{who} moves by {size:.2f}")


def _ratio(name: str, size: float, own_gap: float, n: int, detail: str) -> Component:
    value = _unit(1 - size / own_gap) if own_gap > 0 else 0.0
    return Component(name, value, n, f"{detail} against an own gap of {own_gap:+.2f}")


def _index(components: Sequence[Component]) -> float:
    return min(c.value for c in components if not np.isnan(c.value))


def _about(table: pd.DataFrame, trait: str, person: str) -> pd.DataFrame:
    return table[(table["trait"] == trait) & (table["person"] == person)]


def _unit(value: float) -> float:
    return float(np.clip(value, 0.0, 1.0))
