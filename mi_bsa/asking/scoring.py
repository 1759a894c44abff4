"""Reports as numbers: a mean score, or a gap between two arms, with an interval over wordings and seeds.

A report is a small sample twice over: of the wordings that could have been used, and of the seeds that
could have been trained. Both are crossed random effects, so the variance of a mean is that of the wordings'
means plus that of the seeds' means (which counts the residual twice and errs on the wide side), with
Satterthwaite's degrees of freedom and a t interval; a percentile bootstrap over three to five seeds would
cover only 75-85 %. Wordings are paired between arms.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from mi_bsa.core.errors import ItemError
from mi_bsa.core.results import Place, Result

NEEDED = ("score", "kind", "template")


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; `n` answers from `n_wordings` wordings and `n_seeds` seeds.

    The interval is kept within what is possible ([0, 1], or [-1, 1] of a gap), and is NaN where one wording
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

    @property
    def ci_method(self) -> str:
        """How the interval was made."""
        return "t, wordings x seeds as crossed effects" if self.n_seeds > 1 else "t over wordings"

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
            self.ci_method if known else "none: one wording of one seed",
            self.n,
            unit,
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
    return _estimate(_cells(table), [_cells(table)], len(table), lowest=0.0)


def gap(table: pd.DataFrame, *, arms: tuple[str, str] = ("seeking", "averse")) -> Estimate:
    """Score of the first arm minus the second's, wording by wording; seeds of the arms are independent."""
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
    means = first.mean(axis=1).to_frame("gap").sub(second.mean(axis=1), axis=0)
    return _estimate(means, [first, second], sum(map(len, parts)), lowest=-1.0)


def by_kind(table: pd.DataFrame, *, by: Sequence[str] = ("trait", "person", "arm")) -> pd.DataFrame:
    """Mean score of every kind within every group (the kind `all` is the mean over kinds), one row each:
    score, low, high, mass, n, n_wordings, n_seeds.
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
            rows.append(row | {key: getattr(result, key) for key in ("n", "n_wordings", "n_seeds")})
    return pd.DataFrame(rows)


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    """Mean score by wording (rows: kind, template) and seed (columns)."""
    seeds = table["seed"] if "seed" in table.columns else pd.Series(0, index=table.index, name="seed")
    return table.groupby(["kind", "template", seeds])["score"].mean().unstack()


def _weights(index: pd.Index) -> np.ndarray:
    """Weights of wordings that sum to 1 and give every kind the same share."""
    kinds = index.get_level_values("kind")
    counts = pd.Series(kinds).map(pd.Series(kinds).value_counts()).to_numpy()
    return np.asarray(1.0 / counts / len(set(kinds)))


def _estimate(means: pd.DataFrame, arms: Sequence[pd.DataFrame], n: int, *, lowest: float) -> Estimate:
    """Mean of the wordings' means; variance from wordings (within kinds) and from the seeds of each arm."""
    from scipy import stats

    weights = _weights(means.index)
    wordings = means.mean(axis=1)
    # weights such as nine times 1/9 sum to 1 + 2e-16: a perfect score must not leave [lowest, 1]
    value = float(np.clip(weights @ wordings.to_numpy(), lowest, 1.0))
    kinds = wordings.groupby(level="kind")
    sizes = kinds.size()
    parts: list[tuple[float, int]] = []  # variance, degrees of freedom
    if (sizes > 1).any():
        within = kinds.var()[sizes > 1] / sizes[sizes > 1]
        # Kinds with a single wording lend no spread of their own and are given the others' mean.
        parts.append((float(within.mean() / len(sizes)), int((sizes[sizes > 1] - 1).sum())))
    for arm in arms:
        if arm.shape[1] > 1:
            by_seed = (arm.mul(_weights(arm.index), axis=0)).sum(axis=0, min_count=1)
            parts.append((float(by_seed.var(ddof=1) / len(by_seed)), len(by_seed) - 1))
    variance = sum(v for v, _ in parts)
    n_seeds = max(arm.shape[1] for arm in arms)
    if not parts:
        return Estimate(value, float("nan"), float("nan"), n, len(means), n_seeds)
    spread = sum(v**2 / df for v, df in parts)
    df = variance**2 / spread if spread > 0 else 1.0
    error = float(np.sqrt(variance))
    half = float(stats.t.ppf(0.975, df)) * error
    p = float(2 * stats.t.sf(abs(value) / error, df)) if error > 0 else float("nan")
    return Estimate(value, max(lowest, value - half), min(1.0, value + half), n, len(means), n_seeds, p)
