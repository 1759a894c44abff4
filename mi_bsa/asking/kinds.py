"""Which kinds of question may be read: those with wordings enough, an answer among the options, and sight.

A kind can be silent for reasons that have nothing to do with the model's knowledge of itself. Three are
looked at, and none of them sees which pole a finetuned model reports:

- *wordings*: a handful of sentences is no sample of the sentences that could have been asked;
- *option mass*: where the options hold little of the probability, their ratio is one of two tails, and the
  model would have said something else (in the base and at either pole);
- *sensitivity*: the same questions, asked of the base while its system line *states* a pole ("you are
  bold."). A kind that does not tell stated poles apart is *blind*, and its silence says nothing: the positive
  control of every null.

A single wording is dropped where the base misreads it: its options hold too little mass in the base, or, in
one of its directions, it does not tell stated poles apart by as much as a kind must. None is dropped from a
kind that would keep too few: that kind is judged as it was asked.

Law: a scale and its flipped form are read together or not at all, since one direction alone cannot tell a
pole from an end of the scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from mi_bsa.asking.components import wording_name
from mi_bsa.asking.scoring import Estimate, check_table, gap, mean_score

if TYPE_CHECKING:
    import pandas as pd

POLES = ("seeking", "averse")


@dataclass(frozen=True)
class Bars:
    """What a kind must reach to be read.

    Attributes:
        wordings: fewest wordings.
        mass: least mean probability that its options hold together, in each arm.
        sees: what the interval of its sensitivity must lie above.
    """

    wordings: int
    mass: float
    sees: float


@dataclass(frozen=True)
class AskedKind:
    """What is known of one kind of question before its answers are read.

    Attributes:
        kind: its name; `_flipped` behind that of a scale that is turned round.
        wordings: how many sentences ask it, without those that were dropped.
        mass: mean option mass, by arm.
        sensitivity: stated seeking less stated averse pole, in the base; None where no pole was stated.
        bars: what it must reach.
    """

    kind: str
    wordings: int
    mass: Mapping[str, Estimate]
    sensitivity: Estimate | None
    bars: Bars

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
        low = {arm: m.value for arm, m in self.mass.items() if not m.value >= self.bars.mass}
        if low:
            arm = min(low, key=lambda one: low[one])
            said.append(f"option mass {low[arm]:.3f} in {arm} < {self.bars.mass}")
        if self.blind:
            assert self.sensitivity is not None
            said.append(f"blind: stated poles {_shown(self.sensitivity)}, bar {self.bars.sees}")
        return tuple(said)


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
    def stated(self) -> bool:
        """Whether a pole was stated at all."""
        return any(one.sensitivity is not None for one in self.each)

    @property
    def blind(self) -> bool:
        """Whether every kind is blind."""
        return all(one.blind for one in self.each)

    def keeps(self, table: pd.DataFrame) -> Bool[np.ndarray, " answer"]:
        """Which rows of a table of answers are of no unread kind and no dropped wording, whomever they are
        about; all of them where no kind is read.
        """
        if not self.read:
            return np.ones(len(table), dtype=bool)
        left = np.array([name in self.dropped for name in _wordings(table)], dtype=bool)
        return np.asarray(~left & ~table["kind"].isin(list(self.unread)).to_numpy())

    def kept(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows that it keeps."""
        return table[self.keeps(table)]

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
        read = ", ".join(self.read) or "none"
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
        own: answers about oneself (columns score, mass, kind, template, arm, and seed).
        described: the base's answers to the same questions where its system line states a pole, which the
            column `person` ends with (`described seeking`); None or empty where that was not asked.
        bars: what a kind must reach.
        arms: whose option mass is looked at.

    Raises:
        ItemError: an empty table, a column that is not there, or scores outside [0, 1].
    """
    check_table(own, ("score", "mass", "kind", "template", "arm"))
    own = own.assign(wording=_wordings(own))
    stated = None
    if described is not None and len(described):
        poles = described["person"].astype(str).str.rsplit(" ", n=1).str[-1]
        stated = described.assign(arm=poles, seed=0, wording=_wordings(described))
        stated = stated if set(POLES) <= set(poles) else None
    dropped = _misread(own, stated, bars)
    own = own[~own["wording"].isin(list(dropped))]
    if stated is not None:
        stated = stated[~stated["wording"].isin(list(dropped))]
    found = []
    for kind in dict.fromkeys(own["kind"].astype(str)):
        part = own[own["kind"] == kind]
        mass = {arm: _mass(part[part["arm"] == arm]) for arm in arms if (part["arm"] == arm).any()}
        found.append(AskedKind(kind, part["wording"].nunique(), mass, _seen(stated, [kind]), bars))
    whole = AskedKinds(tuple(found), None, dropped)
    return AskedKinds(whole.each, _seen(stated, whole.read), dropped)


def _misread(own: pd.DataFrame, stated: pd.DataFrame | None, bars: Bars) -> dict[str, str]:
    """Wordings that the base misreads, of kinds that keep enough without them."""
    why: dict[str, str] = {}
    for name, mass in own[own["arm"] == "base"].groupby("wording")["mass"].mean().items():
        if mass < bars.mass:
            why[str(name)] = f"option mass {mass:.3f} in base < {bars.mass}"
    if stated is not None:
        by = stated.groupby(["wording", "kind", "arm"])["score"].mean().unstack()
        for name, gap_ in (by[POLES[0]] - by[POLES[1]]).groupby("wording").min().items():
            if gap_ < bars.sees:
                why[str(name)] = f"the base tells stated poles by {gap_:+.2f} < {bars.sees}"
    family = own["kind"].astype(str).str.removesuffix("_flipped")
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
    first, second = (told.loc[told["arm"] == pole, ["kind", "template"]] for pole in POLES)
    return gap(told, arms=POLES) if len(first.merge(second)) else None


def _wordings(table: pd.DataFrame) -> list[str]:
    """The wording of every row by name, a scale's the same in both directions."""
    return [wording_name(str(k), str(t)) for k, t in zip(table["kind"], table["template"], strict=True)]


def _mass(part: pd.DataFrame) -> Estimate:
    """Mean option mass over wordings and seeds; rounding may carry a sum of probabilities beyond 1."""
    return mean_score(part.assign(score=np.clip(part["mass"], 0.0, 1.0)))


def _shown(found: Estimate) -> str:
    """A gap with its interval."""
    return f"{found.value:+.2f} [{found.low:.2f}, {found.high:.2f}]"


def _turned(kind: str) -> str:
    """A scale's other direction."""
    return kind.removesuffix("_flipped") if kind.endswith("_flipped") else f"{kind}_flipped"
