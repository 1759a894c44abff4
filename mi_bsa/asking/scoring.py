"""Reports as numbers: a mean score, or a gap between two arms, with an interval over wordings and seeds.

A report is a small sample twice over: of the wordings that could have been used, and of the seeds that
could have been trained. Both are crossed random effects, wordings within their kinds
(`probes.statistics.crossed`). A level lies in [0, 1], and its interval is taken on the logit scale; a gap is
tested against 0, and its interval is that of the test, cut off at -1 and 1. Wordings are paired between arms.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float

from mi_bsa.core.errors import ItemError
from mi_bsa.core.results import Place, Result
from probes import statistics

NEEDED = ("score", "kind", "template")
COUNTS = ("n", "n_wordings", "n_seeds", "ci_method")
"""What a table by kind says of each number: of how much it is, and how its interval was made."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; `n` answers from `n_wordings` wordings and `n_seeds` seeds.

    The interval lies within what is possible ([0, 1], or [-1, 1] of a gap), and is NaN where one wording
    of one seed says nothing about its own spread.
    """

    value: float
    low: float
    high: float
    n: int
    n_wordings: int
    n_seeds: int
    p: float = float("nan")
    """Two-sided p of a zero mean on the same t statistic; NaN where there is no spread to test against."""
    ci_method: str = "none: one wording of one seed"
    """How the interval was made."""

    @property
    def n_units(self) -> int:
        """What was drawn least often: seeds, or wordings of a single seed."""
        return self.n_seeds if self.n_seeds > 1 else self.n_wordings

    def result(
        self, name: str, where: Mapping[str, Place], *, unit: str = "score", notes: str = ""
    ) -> Result:
        """As a result; without an interval where one wording of one seed says nothing about its spread."""
        known = bool(np.isfinite(self.low) and np.isfinite(self.high))
        return Result(
            name,
            where,
            self.value,
            (self.low, self.high) if known else None,
            self.ci_method,
            self.n_units,
            unit,
            rows=self.n,
            notes=notes,
        )


def check_table(table: pd.DataFrame, columns: Sequence[str] = NEEDED) -> None:
    """Raise `ItemError` unless the table has these columns, rows, and scores in [0, 1]."""
    absent = [c for c in columns if c not in table.columns]
    if absent:
        raise ItemError(
            f"the table of answers has no column {absent[0]!r}; label the items with it, or add it"
        )
    if table.empty:
        raise ItemError("the table of answers has no rows; select fewer conditions")
    if not table["score"].between(0, 1).all():
        raise ItemError(
            "the table of answers has scores outside [0, 1] or missing; drop unparsed samples first"
        )


def mean_score(table: pd.DataFrame) -> Estimate:
    """Mean score of a table of answers: mean over kinds of the mean over wordings."""
    check_table(table)
    cells = _cells(table)
    found = statistics.crossed_mean(cells.to_numpy().T, strata=cells.index.get_level_values("kind").tolist())
    return _estimate(found, found.interval(bounds=(0.0, 1.0), rows=len(table)), len(table))


def gap(
    table: pd.DataFrame, *, arms: tuple[str, str] = ("seeking", "averse"), paired: bool = False
) -> Estimate:
    """Score of the first arm minus the second's, wording by wording; seeds of the arms are independent, or
    `paired`: the same seed of both was trained on the same prompts.
    """
    check_table(table, (*NEEDED, "arm"))
    parts = [table[table["arm"] == arm] for arm in arms]
    for arm, part in zip(arms, parts, strict=True):
        if part.empty:
            raise ItemError(f"the table of answers has no arm {arm!r}; it has {sorted(set(table['arm']))}")
    first, second = (_cells(part) for part in parts)
    shared = first.index.intersection(second.index)
    if len(shared) == 0:
        raise ItemError("the two arms share no wording; ask both the same items")
    first, second = first.loc[shared], second.loc[shared]
    kinds = shared.get_level_values("kind").tolist()
    if paired:
        found = statistics.crossed_mean((first - second).dropna(axis=1, how="all").to_numpy().T, strata=kinds)
    else:
        found = statistics.crossed_difference(first.to_numpy().T, second.to_numpy().T, strata=kinds)
    n = sum(map(len, parts))
    return _estimate(found, found.interval(bounds=(-1.0, 1.0), scale="linear", rows=n), n)


def shift_cells(
    table: pd.DataFrame, *, arm: str, seeds: Sequence[int], base: str = "base"
) -> tuple[Float[np.ndarray, "seed wording"], list[str]]:
    """Scores of the seeds of an arm less those of one reference model, wording by wording, and the kind of
    each wording; NaN where a seed was not asked a wording.

    Raises:
        ItemError: no answers of one of the seeds or of the reference, or no wording that both were asked.
    """
    check_table(table, (*NEEDED, "arm"))
    cells, reference = (_cells(table[table["arm"] == name]) for name in (arm, base))
    absent = [seed for seed in seeds if seed not in cells.columns]
    if absent:
        raise ItemError(f"the table of answers has no answers of arm {arm!r}, seeds {absent}; ask them")
    shared = cells.index.intersection(reference.index)
    if not len(shared):
        raise ItemError(f"arms {arm!r} and {base!r} share no wording; ask both the same items")
    moved = cells.loc[shared, list(seeds)].sub(reference.loc[shared].mean(axis=1), axis=0)
    return moved.to_numpy().T, [str(kind) for kind in shared.get_level_values("kind")]


def gap_cells(table: pd.DataFrame, *, arms: tuple[str, str] = ("seeking", "averse")) -> pd.DataFrame:
    """First arm less the second, seed by seed: rows (kind, template), columns seeds; NaN where one of them
    was not asked.
    """
    check_table(table, (*NEEDED, "arm"))
    first, second = (_cells(table[table["arm"] == arm]) for arm in arms)
    return first - second


def by_kind(table: pd.DataFrame, *, by: Sequence[str] = ("trait", "person", "arm")) -> pd.DataFrame:
    """Mean score of every kind within every group (the kind `all` is the mean over kinds), one row each:
    score, low, high, mass, and `COUNTS`.
    """
    check_table(table)
    return _each_kind(table, by, "score", mean_score, mass=True)


def gaps_by_kind(
    table: pd.DataFrame,
    *,
    arms: tuple[str, str] = ("seeking", "averse"),
    by: Sequence[str] = ("trait", "person"),
) -> pd.DataFrame:
    """The gap between two arms for every kind within every group, and over all kinds (`all`)."""
    check_table(table, (*NEEDED, "arm"))
    return _each_kind(table, by, "gap", partial(gap, arms=arms))


def _each_kind(
    table: pd.DataFrame,
    by: Sequence[str],
    name: str,
    estimate: Callable[[pd.DataFrame], Estimate],
    *,
    mass: bool = False,
) -> pd.DataFrame:
    """An estimate, called `name`, of every kind within every group, and of all kinds together."""
    keys = [k for k in by if k in table.columns]
    rows = []
    for values, part in table.groupby(keys, sort=True, dropna=False) if keys else [((), table)]:
        for kind in [*sorted(set(part["kind"])), "all"]:
            chosen = part if kind == "all" else part[part["kind"] == kind]
            result = estimate(chosen)
            row = {**dict(zip(keys, values, strict=True)), "kind": kind, name: result.value}
            row |= {"low": result.low, "high": result.high}
            if mass:
                row["mass"] = float(chosen["mass"].mean()) if "mass" in chosen else float("nan")
            rows.append(row | {key: getattr(result, key) for key in COUNTS})
    return pd.DataFrame(rows)


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    """Mean score by wording (rows: kind, template) and seed (columns)."""
    seeds = table["seed"] if "seed" in table.columns else pd.Series(0, index=table.index, name="seed")
    return table.groupby(["kind", "template", seeds])["score"].mean().unstack()


def _estimate(found: statistics.CrossedMean, interval: statistics.Estimate, n: int) -> Estimate:
    """The mean with its interval, over seeds and wordings by these names."""
    p = found.p()
    method = interval.method.replace("units", "seeds").replace("items", "wordings").replace("unit", "seed")
    return Estimate(
        interval.value,
        interval.low,
        interval.high,
        n,
        found.items,
        found.units,
        float("nan") if p is None else p,
        method.replace("one seed of one item", "one wording of one seed"),
    )
