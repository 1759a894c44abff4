"""Which answers of an inspection may be read: those of kinds of question that see a pole where it is
stated.

A finetune that moved no report may be silent, or asked by questions that nobody's answers show in. So the
base is asked the same with a system line that states either pole of a trait ("You are bold."), and a kind
whose answers do not tell the two apart, or whose options hold too little of the probability, is not read of
that trait. Law: neither looks at which way a finetune answers; statements are scored against the base
(`mi_bsa.asking.statements`), whose own score is one half. The compared word of a statement is the stated one,
which a model may just repeat: a kind that is blind to this is blind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mi_bsa.asking.kinds import AskedKinds, Bars, asked_kinds
from mi_bsa.asking.statements import against_base, described_against_base

if TYPE_CHECKING:
    import pandas as pd

STATED = "stated_answers.csv"
"""The base's answers where its system line states a pole."""
MASS, SEES = 0.5, 0.2
"""As a study's gate (`mi_bsa.causal.gate.BARS`): below a half the options are not what the model would say,
and a kind must tell stated poles apart by more than a fifth of the scale."""
FEWEST = 2
"""Wordings of a kind: an inspection asks some fifty traits, each in few; a study asks 8 of its one."""


def sighted(
    answers: pd.DataFrame, stated: pd.DataFrame | None, *, arm: str, against: str = "base"
) -> tuple[pd.DataFrame, Mapping[str, AskedKinds]]:
    """A base's and one finetune's answers, statements scored, without kinds that are not read of their trait
    (all of them are kept of a trait of which none is), and by trait what is known of its kinds.

    Args:
        answers: of base and finetune (columns trait, kind, template, person, arm, seed, score, mass).
        stated: of the base with stated poles, in `person`; None or empty where none were asked, and then no
            kind is blind.
        arm: the finetune's.
        against: what it is held against, whose answers are kept too: the base, or a control.
    """
    import pandas as pd

    raw = answers[answers["arm"].isin((arm, against, "base"))]
    told = stated if stated is not None and len(stated) else None
    told = None if told is None else described_against_base(told, raw)
    scored = against_base(raw)
    bars = Bars(wordings=FEWEST, mass=MASS, sees=SEES)
    kinds: dict[str, AskedKinds] = {}
    kept = []
    for trait, own in scored.groupby("trait", sort=False):
        shown = None if told is None else told[told["trait"] == trait]
        kinds[str(trait)] = asked_kinds(own, shown, bars=bars, arms=("base", arm))
        kept.append(kinds[str(trait)].kept(own[own["arm"].isin((arm, against))]))
    return pd.concat(kept), kinds


def told_apart(kinds: AskedKinds) -> float | None:
    """How far apart the base puts stated poles: in the kinds that are read, else in the one that sees most;
    None where no pole was stated.
    """
    seen = [kinds.sensitivity] if kinds.sensitivity else [one.sensitivity for one in kinds.each]
    return max((one.value for one in seen if one is not None), default=None)
