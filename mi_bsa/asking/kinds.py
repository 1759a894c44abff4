"""Which kinds of question may be read: those with wordings enough, answers that can be read, and sight.

A kind can be silent for reasons that have nothing to do with the model's knowledge of itself. Three are
looked at, and none of them sees which pole a finetuned model reports:

- *wordings*: a handful of sentences is no sample of the sentences that could have been asked;
- *option mass*: where the options hold little of the probability, their ratio is one of two tails, and the
  model would have said something else (in the base and at either pole, by the lower end of an interval).
  Such a kind is asked by sampling instead (`mi_bsa.asking.by_sampling`), and read so where enough of what is
  said can be read (`parse rate`, by its lower end in the same arms), else not;
- *sensitivity*: the same questions, asked of the base while its system line *states* a pole ("you are
  bold."). A kind that does not tell stated poles apart is *blind*, and its silence says nothing: the positive
  control of every null.

A single wording is dropped where the base misreads it: its options hold too little mass in the base (of what
is sampled, too few answers can be read), or, in one of its directions, it does not tell stated poles apart by
as much as a kind must. None is dropped from a kind that would keep too few: that kind is judged as it was
asked.

Law: a scale and its flipped form are asked alike, and read together or not at all, since one direction alone
cannot tell a pole from an end of the scale. How a kind is asked depends on option mass, never on scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from mi_bsa.asking.bank import KIND
from mi_bsa.asking.by_sampling import answered, by_sampling
from mi_bsa.asking.components import wording_name
from mi_bsa.asking.scoring import Estimate, check_table, gap, mean_score
from mi_bsa.core.variants import POLES
from probes import statistics

if TYPE_CHECKING:
    import pandas as pd

LOGIT = ", logit scale"
"""How the interval of a level ends that `scoring` took there."""


@dataclass(frozen=True)
class Bars:
    """What a kind must reach to be read.

    Attributes:
        wordings: fewest wordings.
        mass: least probability that its options hold together, in each arm, by the lower end of its interval.
        sees: what the interval of its sensitivity must lie above.
        parses: least share of its sampled answers that can be read, where it is asked by sampling; likewise.
    """

    wordings: int
    mass: float
    sees: float
    parses: float = 0.5


@dataclass(frozen=True)
class AskedKind:
    """What is known of one kind of question before its answers are read.

    Attributes:
        kind: its name; `_flipped` behind that of a scale that is turned round.
        wordings: how many sentences ask it, without those that were dropped.
        mass: mean option mass, by arm.
        sensitivity: stated seeking less stated averse pole, in the base; None where no pole was stated.
        bars: what it must reach.
        parsed: share of sampled answers that could be read, by arm; empty where none were sampled.
        by_sampling: whether it is asked by sampling: its options, or its other direction's, hold too little.
        silent: who gave no sampled answer that could be read: runs, or the base with a stated pole.
    """

    kind: str
    wordings: int
    mass: Mapping[str, Estimate]
    sensitivity: Estimate | None
    bars: Bars
    parsed: Mapping[str, Estimate] = field(default_factory=dict)
    by_sampling: bool = False
    silent: tuple[str, ...] = ()

    @property
    def low(self) -> bool:
        """Whether the options hold too little in some arm."""
        return bool(short_of(self.bars.mass, self.mass))

    @property
    def unparsed(self) -> str:
        """Why what was sampled is not read; empty where it is."""
        if not self.parsed:
            return "no answers were sampled"
        for arm in self.mass:
            if arm not in self.parsed:
                return f"{arm} was not sampled"
        if short := short_of(self.bars.parses, self.parsed):
            return f"parse rate {short}, bar {self.bars.parses}"
        return f"no sampled answer of {self.silent[0]} could be read" if self.silent else ""

    @property
    def blind(self) -> bool:
        """Whether stated poles were asked and not told apart; without an interval they were not."""
        return self.sensitivity is not None and not self.sensitivity.low > self.bars.sees

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not read; empty where it is."""
        said = []
        if self.wordings < self.bars.wordings:
            said.append(f"{self.wordings} wordings < {self.bars.wordings}")
        if self.low and not self.by_sampling:
            mass = f"option mass {short_of(self.bars.mass, self.mass)}, bar {self.bars.mass}"
            said.append(f"{mass}; {self.unparsed}")
        if self.blind:
            assert self.sensitivity is not None
            said.append(f"blind: stated poles {_shown(self.sensitivity)}, bar {self.bars.sees}")
        return tuple(said)

    @property
    def how(self) -> str:
        """How it is asked, in words."""
        if self.kind == KIND:
            return "asked by odds of two statements against the base's"
        return "asked by sampling" if self.by_sampling else "asked by log-probabilities"


@dataclass(frozen=True)
class AskedKinds:
    """All kinds of a report.

    Attributes:
        each: every kind that was asked.
        sensitivity: of the kinds that are read, together; None where none is, or no pole was stated.
        dropped: wording -> why the base misreads it.
    """

    each: tuple[AskedKind, ...]
    sensitivity: Estimate | None = None
    dropped: Mapping[str, str] = field(default_factory=dict)

    @property
    def unread(self) -> dict[str, str]:
        """Kind -> why it is not read; a scale leaves with its flipped form."""
        own = {one.kind: "; ".join(one.reasons) for one in self.each if one.reasons}
        partners = {one.kind: _turned(one.kind) for one in self.each}
        return {
            kind: own.get(kind) or f"as {other}: {own[other]}"
            for kind, other in partners.items()
            if kind in own or other in own
        }

    @property
    def read(self) -> tuple[str, ...]:
        """Kinds that are read."""
        return tuple(one.kind for one in self.each if one.kind not in self.unread)

    @property
    def sampled(self) -> tuple[str, ...]:
        """Kinds that are asked by sampling, read or not."""
        return tuple(one.kind for one in self.each if one.by_sampling)

    @property
    def stated(self) -> bool:
        """Whether a pole was stated at all."""
        return any(one.sensitivity is not None for one in self.each)

    @property
    def blind(self) -> bool:
        """Whether every kind is blind."""
        return all(one.blind for one in self.each)

    def chosen(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table of answers as each kind is asked: sampled ones of kinds that are asked by
        sampling, no others of them, and none of the rest; items of which no sample could be read are in it.
        """
        sampled = table["kind"].isin(list(self.sampled)).to_numpy()
        return table[sampled == by_sampling(table)]

    def keeps(self, table: pd.DataFrame) -> Bool[np.ndarray, " answer"]:
        """Which rows of a table of chosen answers are of no unread kind and no dropped wording, whomever they
        are about; all of them where no kind is read.
        """
        if not self.read:
            return np.ones(len(table), dtype=bool)
        left = np.array([name in self.dropped for name in _wordings(table)], dtype=bool)
        return np.asarray(~left & ~table["kind"].isin(list(self.unread)).to_numpy())

    def kept(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows that it keeps, as each kind is asked."""
        chosen = self.chosen(table)
        return chosen[self.keeps(chosen)]

    @property
    def control(self) -> str:
        """The positive control in words: what the same questions make of a pole that is stated."""
        if not self.read:
            return "no kind of question can be read"
        if self.sensitivity is None:
            return "whether these questions see a stated pole was not measured"
        return f"the same questions see a stated pole by {_shown(self.sensitivity)}"

    def __str__(self) -> str:
        """The kinds that are read, why others are not, and the wordings that were dropped."""
        asked = {kind: f"{kind} (by sampling)" if kind in self.sampled else kind for kind in self.read}
        read = ", ".join(asked.values()) or "none"
        left = "".join(f"; not {kind} ({why})" for kind, why in self.unread.items())
        dropped = "".join(f"; without wording {name} ({why})" for name, why in self.dropped.items())
        return f"read: {read}{left}{dropped}"


def asked_kinds(
    own: pd.DataFrame,
    described: pd.DataFrame | None,
    *,
    bars: Bars,
    arms: Sequence[str] = ("base", *POLES),
) -> AskedKinds:
    """Look at every kind of a report.

    Args:
        own: answers about oneself (columns score, mass, kind, template, arm, and seed); among them, told by
            the column `asked`, those that were sampled (`mi_bsa.asking.by_sampling`).
        described: the base's answers to the same questions where its system line states a pole, which the
            column `person` ends with (`described seeking`); None or empty where that was not asked.
        bars: what a kind must reach.
        arms: whose option mass, and whose parse rate, is looked at.

    Raises:
        ItemError: an empty table, a column that is not there, or scores outside [0, 1].
    """
    drawn = by_sampling(own)
    plain = own[~drawn]
    check_table(plain, ("score", "mass", "kind", "template", "arm"))
    stated = None
    if described is not None and len(described):
        poles = described["person"].astype(str).str.rsplit(" ", n=1).str[-1]
        stated = described.assign(arm=poles, seed=0, wording=_wordings(described))
        stated = stated if set(POLES) <= set(poles) else None
    found, dropped = _look(plain, stated, bars, arms)
    low = {family_of(one.kind) for one in found if one.low}
    tried = own[drawn & own["kind"].map(family_of).isin(list(low)).to_numpy()]
    if len(tried):
        sampled, more = _look(tried, stated, bars, arms, sampled=True)
        found = _merged(found, {one.kind: one for one in sampled})
        instead = set(_wordings(tried[tried["kind"].isin([one.kind for one in found if one.by_sampling])]))
        dropped = {name: why for name, why in dropped.items() if name not in instead}
        dropped |= {name: why for name, why in more.items() if name in instead}
    whole = AskedKinds(found, None, dropped)
    if stated is None:
        return whole
    kept = whole.chosen(stated)
    return replace(whole, sensitivity=_seen(kept[~kept["wording"].isin(list(dropped))], whole.read))


def _look(
    own: pd.DataFrame,
    stated: pd.DataFrame | None,
    bars: Bars,
    arms: Sequence[str],
    *,
    sampled: bool = False,
) -> tuple[tuple[AskedKind, ...], dict[str, str]]:
    """Every kind as it was asked one way, and the wordings that were dropped."""
    own, told = own.assign(wording=_wordings(own)), stated is not None
    if stated is not None:
        stated = answered(stated[by_sampling(stated) == sampled])
        stated = stated if set(POLES) <= set(stated["arm"]) else None
    dropped = _misread(own, stated, bars, sampled=sampled)
    own = own[~own["wording"].isin(list(dropped))]
    if stated is not None:
        stated = stated[~stated["wording"].isin(list(dropped))]
    found = []
    for kind in dict.fromkeys(own["kind"].astype(str)):
        part = own[own["kind"] == kind]
        asked = arms if kind != KIND else ()  # of statements nobody asks for an option (`statements`)
        mass = {arm: mass_of(part[part["arm"] == arm]) for arm in asked if (part["arm"] == arm).any()}
        seen = _seen(stated, [kind])
        if sampled:
            wordings, silent = answered(part)["wording"].nunique(), _silent(part)
            silent += ("the base with a stated pole",) * (told and seen is None)
            found.append(AskedKind(kind, wordings, {}, seen, bars, mass, True, silent))
        else:
            found.append(AskedKind(kind, part["wording"].nunique(), mass, seen, bars))
    return tuple(found), dropped


def _merged(plain: Sequence[AskedKind], sampled: Mapping[str, AskedKind]) -> tuple[AskedKind, ...]:
    """Kinds of low mass with what was sampled of them, asked so where both directions can be read."""
    tried = [
        replace(one, parsed=sampled[one.kind].parsed, silent=sampled[one.kind].silent)
        if one.kind in sampled
        else one
        for one in plain
    ]
    unread = {family_of(one.kind) for one in tried if one.unparsed}
    return tuple(
        one
        if family_of(one.kind) in unread
        else replace(
            one,
            by_sampling=True,
            wordings=sampled[one.kind].wordings,
            sensitivity=sampled[one.kind].sensitivity,
        )
        for one in tried
    )


def _silent(part: pd.DataFrame) -> tuple[str, ...]:
    """Runs none of whose sampled answers could be read."""
    seeds = part["seed"] if "seed" in part.columns else 0
    read = part.assign(seed=seeds).groupby(["arm", "seed"])["score"].count()
    return tuple(f"{arm}-{seed}" if seed != -1 else str(arm) for (arm, seed), n in read.items() if n == 0)


def _misread(own: pd.DataFrame, stated: pd.DataFrame | None, bars: Bars, *, sampled: bool) -> dict[str, str]:
    """Wordings that the base misreads, of kinds that keep enough without them."""
    why: dict[str, str] = {}
    what, least = ("parse rate", bars.parses) if sampled else ("option mass", bars.mass)
    for name, mass in own[own["arm"] == "base"].groupby("wording")["mass"].mean().items():
        if mass < least:
            why[str(name)] = f"{what} {mass:.3f} in base < {least}"
    if stated is not None:
        by = stated.groupby(["wording", "kind", "arm"])["score"].mean().unstack()
        for name, gap_ in (by[POLES[0]] - by[POLES[1]]).groupby("wording").min().items():
            if gap_ < bars.sees:
                why[str(name)] = f"the base tells stated poles by {gap_:+.2f} < {bars.sees}"
    family = own["kind"].map(family_of)
    dropped: dict[str, str] = {}
    for names in own.groupby(family, sort=False)["wording"].unique():
        bad = [name for name in names if name in why]
        if len(names) - len(bad) >= bars.wordings:
            dropped |= {name: why[name] for name in bad}
    return dropped


def _seen(stated: pd.DataFrame | None, kinds: Sequence[str]) -> Estimate | None:
    """The gap between stated poles over some kinds; None where no wording was asked with both."""
    if stated is None or not kinds:
        return None
    told = stated[stated["kind"].isin(list(kinds))]
    told = answered(told)
    first, second = (told.loc[told["arm"] == pole, ["kind", "template"]] for pole in POLES)
    return gap(told, arms=POLES) if len(first.merge(second)) else None


def _wordings(table: pd.DataFrame) -> list[str]:
    """The wording of every row by name, a scale's the same in both directions."""
    return [wording_name(str(k), str(t)) for k, t in zip(table["kind"], table["template"], strict=True)]


def mass_of(part: pd.DataFrame) -> Estimate:
    """Mean option mass (or parse rate) over wordings and seeds; rounding may carry a sum of probabilities
    beyond 1.

    Its interval is the linear one, cut off at 0 and 1: it is held against a bar in the middle, and the logit
    scale, with what a spread near the end is uncertain by, would leave 14 answers of 16 open.
    """
    kept = part.assign(score=np.clip(part["mass"], 0.0, 1.0))
    found = mean_score(kept)
    if not found.ci_method.endswith(LOGIT):  # nothing varies: exact
        return found
    seeds = kept if "seed" in kept.columns else kept.assign(seed=0)
    cells = seeds.pivot_table(index=["kind", "template"], columns="seed", values="score")
    mean = statistics.crossed_mean(cells.to_numpy().T, strata=[kind for kind, _ in cells.index])
    linear = mean.interval(bounds=(0.0, 1.0), scale="linear", rows=len(kept))
    method = f"{found.ci_method.removesuffix(LOGIT)}, cut off at 0 and 1"
    return replace(found, low=linear.low, high=linear.high, ci_method=method)


def short_of(bar: float, found: Mapping[str, Estimate]) -> str:
    """The arm that is least of those whose intervals reach below a bar, with its interval; empty of none."""
    low = {arm: one for arm, one in found.items() if not one.low >= bar}
    if not low:
        return ""
    arm = min(low, key=lambda one: low[one].value)
    return f"{low[arm].value:.3f} [{low[arm].low:.3f}, {low[arm].high:.3f}] in {arm}".removesuffix(" in ")


def family_of(kind: str) -> str:
    """A scale's name in both directions."""
    return str(kind).removesuffix("_flipped")


def _shown(found: Estimate) -> str:
    """A gap with its interval."""
    return f"{found.value:+.2f} [{found.low:.2f}, {found.high:.2f}]"


def _turned(kind: str) -> str:
    """A scale's other direction."""
    return kind.removesuffix("_flipped") if kind.endswith("_flipped") else f"{kind}_flipped"
