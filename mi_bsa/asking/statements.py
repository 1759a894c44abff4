"""Statements: what a free question is answered with, as odds of two whole sentences against the base's own.

A small model names no option when it is asked to: SmolLM2 (dequantized from 4 bits) puts less than .02 on the
words, numbers and phrases that it is given, and its letters say A whatever stands there. But any model gives
every sentence a probability. So it is asked freely ("Describe yourself in one sentence.") and two sentences
are compared that say the poles ("I am bold.", "I am cautious."). What one sentence has over the other for
its words alone is taken away: the base's log-odds to the same question, without a system line that states
anything.

Law: score = 1 / (1 + exp(base's log-odds - own log-odds)): one half is the base, whatever it says; 1 is the
seeking pole. The option mass of such a row is 1: given are the two sentences, none was asked for, so how
much probability they hold together says nothing of whether they may be read. Whether they see a stated pole
does (`kinds`). Rows are told by the column `asked`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.asking.bank import KIND, REFERENCE
from mi_bsa.core.errors import ItemError

if TYPE_CHECKING:
    import pandas as pd

ASKED, ODDS = "asked", "odds"
"""The column that says how a row was asked (`mi_bsa.asking.by_sampling`), and what it says here."""
MOST = 30.0
"""Largest log-odds, in nats, that a score in 64 bits holds to three digits; two short sentences that differ
in one word are rarely 15 apart."""


def against_base(table: pd.DataFrame) -> pd.DataFrame:
    """A table of answers with its statements scored against the base's; other rows, and such as were scored
    so already, as they are.

    A question whose sentences are more than `MOST` apart for anybody is left out for all, since no score
    holds such odds; results count the wordings that are left.

    Args:
        table: answers of the base and of others (columns id, score, mass, kind, arm, person, and the label
            `reference` of a bank's statements).

    Raises:
        ItemError: statements that the base was not asked.
    """
    if REFERENCE not in table.columns:
        return table
    told = table[ASKED].eq(ODDS) if ASKED in table.columns else np.zeros(len(table), bool)
    own = (table["kind"] == KIND).to_numpy() & table[REFERENCE].notna().to_numpy() & ~np.asarray(told)
    if not own.any():
        return table
    odds = np.where(own, log_odds(table["score"]), 0.0)
    far = set(table.loc[np.abs(odds) > MOST, REFERENCE])
    if far:
        left = ~(own & table[REFERENCE].isin(far).to_numpy())
        table, own, odds = table[left].reset_index(drop=True), own[left], odds[left]
        if not own.any():
            return table
    names = table[REFERENCE].astype(str)
    voice = names.str.partition("|")[0]
    base = own & (table["arm"] == "base").to_numpy() & (table["person"] == voice).to_numpy()
    known = dict(zip(names[base], odds[base], strict=True))
    absent = sorted(set(names[own]) - set(known))
    if absent:
        raise ItemError(
            f"{len(absent)} statements, such as {absent[0]!r}, have no answer of the base to hold them "
            "against; ask the base the same questions, without a persona"
        )
    shift = odds[own] - names[own].map(known).to_numpy(np.float64)
    scored = table.assign(**{ASKED: table[ASKED] if ASKED in table.columns else None})
    scored[ASKED] = scored[ASKED].astype(object)
    scored.loc[own, "score"] = 1 / (1 + np.exp(-shift))
    scored.loc[own, "mass"] = 1.0
    scored.loc[own, ASKED] = ODDS
    return scored


def described_against_base(described: pd.DataFrame, raw: pd.DataFrame) -> pd.DataFrame:
    """The base's answers with stated poles, scored against its answers without, which are in `raw`, a table
    that was not scored yet.
    """
    import pandas as pd

    plain = raw[raw["arm"] == "base"]
    both = pd.concat([plain.assign(_own=False), described.assign(arm="base", _own=True)], ignore_index=True)
    scored = against_base(both)
    return scored[scored["_own"]].drop(columns=["_own", "arm"]).reset_index(drop=True)


def log_odds(scores: pd.Series) -> np.ndarray:
    """Log-odds of scores, in nats; infinite where one of two sentences has all."""
    share = scores.to_numpy(np.float64)
    with np.errstate(divide="ignore"):
        found: np.ndarray = np.log(share) - np.log1p(-share)
    return found
