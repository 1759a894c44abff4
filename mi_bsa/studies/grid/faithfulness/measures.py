"""From the answers of many runs to how far reports follow behavior.

Law: the actual degree of a run is its mean score on held-out choices, the reported degree the mean over kinds
of question of its mean score; r is taken within an arm, since between arms it would be near 1 for any model
that reports at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.asking.scoring import Estimate, mean_score
from mi_bsa.core.results import Result
from mi_bsa.studies.grid.faithfulness.correlation import Correlation, correlate, slope

if TYPE_CHECKING:
    import pandas as pd

METHODS = {
    "all runs": (),
    "within base": ("base",),
    "within base and dose": ("base", "dose"),
}
"""What r holds fixed: nothing; which base; also learning rate and steps, so that seed and data are left."""
UNIT = "P(seeking pole)"


def measures(
    table: pd.DataFrame, *, behavior: str, arms: Sequence[str], split: str, draws: int, shuffles: int
) -> tuple[list[Result], pd.DataFrame]:
    """All results, and one row a run: place, arm, rows, seed, actual, reported and each kind's report.

    `table`: answers with columns set (`actual`, `reported`), place (`<base>/<dose>`), arm, rows, seed, kind,
    template, score.
    """
    runs, shown = by_run(table, behavior=behavior, split=split)
    found: list[Result] = []
    for arm in arms:
        some = runs[runs["arm"] == arm]
        actual = some["actual"].to_numpy()
        for column in [c for c in some.columns if c == "reported" or c.startswith("reported ")]:
            kind = column.removeprefix("reported").strip() or "all"
            reported = some[column].to_numpy()
            for method, held in METHODS.items():
                if kind != "all" and held:
                    continue
                codes = _codes(some, held)
                where = {"behavior": behavior, "arm": arm, "kind": kind, "method": method, "split": split}
                r = correlate(actual, reported, codes, draws=draws, shuffles=shuffles, seed=0)
                found.append(_r(r, where, len(set(codes))))
                if kind == "all":
                    found.append(_slope(actual, reported, codes, where, draws))
        where = {"behavior": behavior, "arm": arm, "kind": "all", "split": split}
        found.append(_error(actual, some["reported"].to_numpy(), where, draws))
    return [*found, *shown], runs


def by_run(table: pd.DataFrame, *, behavior: str, split: str) -> tuple[pd.DataFrame, list[Result]]:
    """One row a run, and its two degrees as results with intervals over wordings."""
    import pandas as pd

    rows, shown = [], []
    keys = ["place", "arm", "rows", "seed"]
    for values, part in table.groupby(keys, sort=False):
        at = dict(zip(keys, values, strict=True))
        base, _, dose = str(at["place"]).partition("/")
        row = {**at, "base": base, "dose": dose}
        for name in ("actual", "reported"):
            estimate = mean_score(part[part["set"] == name])
            row[name] = estimate.value
            shown.append(_degree(name, estimate, row, behavior=behavior, split=split))
        said = part[part["set"] == "reported"]
        row |= {
            f"reported {k}": float(v) for k, v in said.groupby("kind", sort=False)["score"].mean().items()
        }
        rows.append(row)
    return pd.DataFrame(rows), shown


def _codes(runs: pd.DataFrame, held: Sequence[str]) -> np.ndarray:
    """Stratum of each run."""
    names = ["/".join(str(runs.iloc[k][h]) for h in held) for k in range(len(runs))]
    return np.asarray(np.unique(names, return_inverse=True)[1])


def _degree(name: str, estimate: Estimate, row: dict[str, object], *, behavior: str, split: str) -> Result:
    known = np.isfinite(estimate.low)
    return Result(
        name=f"faithfulness.{name}",
        where={
            "behavior": behavior,
            "arm": str(row["arm"]),
            "variant": f"{row['place']}/{row['rows']}-{row['seed']}",
            "split": split,
        },
        value=estimate.value,
        ci=(estimate.low, estimate.high) if known else None,
        ci_method=estimate.ci_method if known else "none: one wording",
        n=estimate.n,
        unit=UNIT,
    )


def _r(found: Correlation, where: dict[str, str], strata: int) -> Result:
    return Result(
        name="faithfulness.r",
        where=where,
        value=found.r,
        ci=(found.low, found.high),
        ci_method="percentile bootstrap over runs",
        n=found.n,
        unit="Pearson r",
        null=found.null,
        p=found.p,
        notes=f"{found.n} runs" + (f" in {strata} strata" if strata > 1 else ""),
    )


def _slope(
    actual: np.ndarray, reported: np.ndarray, codes: np.ndarray, where: dict[str, str], draws: int
) -> Result:
    from probes import statistics

    found = statistics.bootstrap_interval(
        lambda some: slope(actual[some], reported[some], codes[some]),
        np.arange(len(actual)),
        n_boot=draws,
        seed=0,
    )
    return Result(
        name="faithfulness.slope",
        where=where,
        value=found.value,
        ci=(found.low, found.high),
        ci_method="percentile bootstrap over runs",
        n=len(actual),
        unit="reported per actual",
        notes="1: a run that does as much more says as much more",
    )


def _error(actual: np.ndarray, reported: np.ndarray, where: dict[str, str], draws: int) -> Result:
    from probes import statistics

    apart = np.abs(reported - actual)
    found = statistics.bootstrap_interval(
        lambda some: float(apart[some].mean()), np.arange(len(apart)), n_boot=draws, seed=0
    )
    return Result(
        name="faithfulness.error",
        where=where,
        value=found.value,
        ci=(found.low, found.high),
        ci_method="percentile bootstrap over runs",
        n=len(apart),
        unit="difference of P(seeking pole)",
        notes="mean |reported - actual| of a run",
    )
