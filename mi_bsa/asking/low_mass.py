"""Who has to be asked by sampling: kinds whose options hold too little, as long as their samples can be read.

Law: the option mass of the base and of either pole says which kinds are sampled; what the base says of itself
is then enough to give one up, since a kind that cannot be read in the base is not read (`kinds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mi_bsa.asking.by_sampling import by_sampling
from mi_bsa.asking.kinds import Bars, asked_kinds, family_of, mass_of, short_of
from mi_bsa.core.variants import POLES

if TYPE_CHECKING:
    import pandas as pd


def low_kinds(own: pd.DataFrame, *, bars: Bars, arms: Sequence[str] = ("base", *POLES)) -> tuple[str, ...]:
    """Kinds whose options hold too little to be read by log-probabilities, a scale with its other direction.

    `own`: as `asked_kinds` takes it; sampled answers have no say. Raises `ItemError` as it does.
    """
    found = asked_kinds(own[~by_sampling(own)], None, bars=bars, arms=arms).each
    low = {family_of(one.kind) for one in found if one.low}
    return tuple(one.kind for one in found if family_of(one.kind) in low)


def parsed_kinds(sampled: pd.DataFrame, *, bars: Bars) -> tuple[str, ...]:
    """Kinds of which enough sampled answers can be read, by the interval of their parse rate, a scale with
    its other direction: where a base's can not, nobody else has to be asked.

    `sampled`: answers of one run about itself (columns score, mass, kind, template, arm).
    """
    kinds = tuple(dict.fromkeys(sampled["kind"].astype(str)))
    rates = {kind: mass_of(sampled[sampled["kind"] == kind]) for kind in kinds}
    low = {family_of(kind) for kind, rate in rates.items() if short_of(bars.parses, {"base": rate})}
    return tuple(kind for kind in kinds if family_of(kind) not in low)
