"""The components of a validity index, from answers as an array: drawing again is a matter of weights.

Law: every component is in [0, 1], NaN where it was not measured; what drawn wordings and seeds would have
given, and what leaving one wording out gives, are the same functions with other weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

UNORDERED = ("yes_no",)
"""Kinds that show no options whose order could matter; a scale, which comes with its `_flipped` form, shows
none either.
"""


@dataclass(frozen=True)
class Component:
    """One part of the index: its value in [0, 1], NaN where it was not measured, `n` comparisons, what was
    seen, and a 95 % bootstrap interval (wordings and seeds drawn again; NaN without draws). `needed`: False
    where only kinds that are not read could show it.
    """

    name: str
    value: float
    n: int
    detail: str
    low: float = float("nan")
    high: float = float("nan")
    needed: bool = True


@dataclass(frozen=True)
class Answers:
    """Answers about one trait and one person as an array, so that drawing again is a matter of weights.

    `scores`: shape (wording, order, arm and seed), NaN where not asked; `signs`: +1 for the first arm, -1
    for the second, by last axis; `kinds`, `units`, `names`: kind of each wording, and the wording itself as
    a number and by name (a scale and its flipped form are one unit).
    """

    scores: np.ndarray
    signs: np.ndarray
    kinds: np.ndarray
    units: np.ndarray
    names: np.ndarray

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
        names = np.array([wording_name(kind, template) for kind, template in wordings])
        return cls(
            scores=scores,
            signs=np.array([1.0 if arm == arms[0] else -1.0 for arm, _ in seeds]),
            kinds=np.array([kind for kind, _ in wordings]),
            units=np.unique(names, return_inverse=True)[1],
            names=names,
        )

    @cached_property
    def directed(self) -> np.ndarray:
        """Which wordings are of a kind that is asked in two directions, `scale` and `scale_flipped`."""
        turned = {k.removesuffix("_flipped") for k in self.kinds if k.endswith("_flipped")}
        return np.array([k.removesuffix("_flipped") in turned for k in self.kinds])

    def wording_weights(self, rng: np.random.Generator | None, without: str = "") -> np.ndarray:
        """How often each wording is drawn, within its kind; once each without `rng`, but for `without`."""
        if rng is None:
            return (self.names != without).astype(float)
        weights = np.zeros(self.units.max() + 1)
        for kind in sorted({str(k).removesuffix("_flipped") for k in self.kinds}):
            members = np.unique(self.units[(self.kinds == kind) | (self.kinds == f"{kind}_flipped")])
            np.add.at(weights, rng.choice(members, size=len(members)), 1)
        return weights[self.units]

    @cached_property
    def _means(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean over orders, 0 where not asked; and whether it was asked."""
        asked = ~np.isnan(self.scores).all(1)
        return np.nanmean(np.where(asked[:, None], self.scores, 0.0), axis=1), asked

    @cached_property
    def _by_kind(self) -> list[np.ndarray]:
        """Which wordings are of each kind."""
        return [self.kinds == kind for kind in np.unique(self.kinds)]

    def gaps(self, seeds: np.ndarray) -> np.ndarray:
        """First arm minus second for every wording; `seeds`: weight of each arm and seed."""
        mean, asked = self._means
        there = asked * seeds
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
            for here in self._by_kind
            if weights[here].sum() > 0
        ]
        return float(np.mean(gaps_of_kinds)) if gaps_of_kinds else float("nan")


def wording_name(kind: str, template: str) -> str:
    """A wording by name: its template, behind its kind where that does not begin it."""
    kind = kind.removesuffix("_flipped")
    return template if template.startswith(kind) else f"{kind} {template}"


def components_of(
    asked: dict[str, Any], rng: np.random.Generator | None, without: str = ""
) -> list[Component]:
    """Every component but parsing, on the answers as they are (but one wording's, wherever it is asked), or
    with wordings and seeds drawn again.
    """
    answers: Answers = asked["own"]
    seeds = np.ones(len(answers.signs))
    if rng is not None:
        seeds = np.zeros_like(seeds)
        for sign in (1.0, -1.0):
            members = np.flatnonzero(answers.signs == sign)
            np.add.at(seeds, rng.choice(members, size=len(members)), 1)
    weights = answers.wording_weights(rng, without)
    own_gap = answers.gap(weights, seeds)
    return [
        _order(answers, weights, seeds),
        _flip(answers, weights, seeds),
        _wording(answers, weights, seeds, own_gap),
        *(
            _share(
                name,
                {k: a.gap(a.wording_weights(rng, without), seeds) for k, a in asked[part].items()},
                own_gap,
            )
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
    return Component("order", unit(1 - effect), n, f"order moves the score by {effect:.2f}")


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
    return Component("flip", unit(r), n, f"correlation of both directions {r:+.2f}")


def _wording(answers: Answers, weights: np.ndarray, seeds: np.ndarray, own_gap: float) -> Component:
    gaps = answers.gaps(seeds)
    variances = []
    for of_kind in answers._by_kind:
        here = of_kind & ~np.isnan(gaps)
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
    value = unit(1 - size / own_gap) if own_gap > 0 else 0.0
    return Component(name, value, n, f"{detail} against an own gap of {own_gap:+.2f}")


def unit(value: float) -> float:
    return float(np.clip(value, 0.0, 1.0))
