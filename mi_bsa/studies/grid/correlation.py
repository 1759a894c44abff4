"""From the answers of many runs to how far reports follow behavior, with what that would be by chance.

Law: the actual degree of a run is its mean score on held-out choices, the reported degree the mean over kinds
of question of its mean score; r is taken within an arm, since between arms it would be near 1 for any model
that reports at all.

Pearson's r, within strata where some are given: each run's distance from its stratum's mean, so that what
only tells strata apart (which base, which dose) counts for nothing. Its interval is a percentile bootstrap
over runs, its null the same number with the reports shuffled among the runs of each stratum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from mi_bsa.asking.scoring import mean_score
from mi_bsa.core.results import Result
from mi_bsa.core.tested import UNTESTED, among

if TYPE_CHECKING:
    import pandas as pd

METHODS = {
    "all runs": (),
    "within base": ("base",),
    "within base and dose": ("base", "dose"),
}
"""What r holds fixed: nothing; which base; also learning rate and steps, so that seed and data are left."""
Runs = Float[np.ndarray, " run"]
Strata = Shaped[np.ndarray, " run"]


def measures(
    table: pd.DataFrame, *, behavior: str, arms: Sequence[str], split: str, draws: int, shuffles: int
) -> tuple[list[Result], pd.DataFrame]:
    """All results, and one row a run: place, arm, rows, seed, actual, reported and each kind's report.

    `table`: answers with columns set (`actual`, `reported`), place (`<base>/<dose>`), arm, rows, seed, kind,
    template, score.
    """
    runs, shown = by_run(table, behavior=behavior, split=split)
    found: list[Result] = []
    over = partial(over_runs, draws=draws)
    for arm in arms:
        some = runs[runs["arm"] == arm]
        actual, reported = some["actual"].to_numpy(), some["reported"].to_numpy()
        where = {"behavior": behavior, "arm": arm, "kind": "all", "split": split}
        for method, held in METHODS.items():
            codes, place = _codes(some, held), {**where, "method": method}
            told = f"{len(some)} runs" + (f" in {codes.max() + 1} strata" if codes.any() else "")
            given: Any = (place, actual, reported, codes)
            found.append(over("r", pearson, *given, shuffles=shuffles, unit="Pearson r", notes=told))
            told = "1: a run that does as much more says as much more"
            found.append(over("slope", slope, *given, unit="reported per actual", notes=told))
        one, told = _codes(some, ()), f"{len(some)} runs"
        for column in [c for c in some.columns if c.startswith("reported ")]:
            place = {**where, "kind": column.removeprefix("reported "), "method": "all runs"}
            given = (place, actual, some[column].to_numpy(), one)
            found.append(over("r", pearson, *given, shuffles=shuffles, unit="Pearson r", notes=told))
        unit, told = "difference of P(seeking pole)", "mean |reported - actual| of a run"
        found.append(over("error", error, where, actual, reported, one, unit=unit, notes=told))
    return [*found, *shown], runs


def by_run(table: pd.DataFrame, *, behavior: str, split: str) -> tuple[pd.DataFrame, list[Result]]:
    """One row a run, and its two degrees as results with intervals over wordings."""
    import pandas as pd

    rows, shown = [], []
    for (place, arm, n, seed), part in table.groupby(["place", "arm", "rows", "seed"], sort=False):
        base, _, dose = str(place).partition("/")
        row = {"place": place, "arm": arm, "rows": n, "seed": seed, "base": base, "dose": dose}
        where = {"behavior": behavior, "arm": str(arm), "variant": f"{place}/{n}-{seed}", "split": split}
        for name in ("actual", "reported"):
            one = mean_score(part[part["set"] == name])
            row[name] = one.value
            known = bool(np.isfinite(one.low))
            ends, how = ((one.low, one.high), one.ci_method) if known else (None, "none: one wording")
            shown.append(
                Result(
                    f"faithfulness.{name}",
                    where,
                    one.value,
                    ends,
                    how,
                    one.n_units,
                    "P(seeking pole)",
                    rows=one.n,
                )
            )
        said = part[part["set"] == "reported"].groupby("kind", sort=False)["score"].mean()
        rows.append(row | {f"reported {kind}": float(mean) for kind, mean in said.items()})
    return pd.DataFrame(rows), shown


def _codes(runs: pd.DataFrame, held: Sequence[str]) -> np.ndarray:
    names = ["/".join(str(runs.iloc[k][h]) for h in held) for k in range(len(runs))]
    return np.asarray(np.unique(names, return_inverse=True)[1])


def over_runs(
    name: str,
    statistic: Callable[[Runs, Runs, Strata], float],
    where: Mapping[str, str],
    actual: Runs,
    reported: Runs,
    codes: Strata,
    *,
    draws: int,
    shuffles: int = 0,
    unit: str,
    notes: str = "",
    seed: int = 0,
) -> Result:
    """A statistic of actual, reported and strata, with its interval over runs.

    `shuffles`: how many make its null and its two-sided p; 0 for a number without. Raises `StatisticsError`
    for fewer than 10 runs.
    """
    from probes import statistics

    found = statistics.bootstrap_interval(
        lambda some: statistic(actual[some], reported[some], codes[some]),
        np.arange(len(actual)),
        n_boot=draws,
        seed=seed,
    )
    rng, null = np.random.default_rng(seed), np.empty(shuffles)
    members = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    for k in range(shuffles):
        mixed = reported.copy()
        for some in members:
            mixed[some] = reported[rng.permutation(some)]
        null[k] = statistic(actual, mixed, codes)
    tested = UNTESTED
    if shuffles:
        tested = among(found.value, null, "reports shuffled among runs", alternative="two-sided")
    return Result(
        name=f"faithfulness.{name}",
        where=where,
        value=found.value,
        ci=(found.low, found.high),
        ci_method="percentile bootstrap over runs",
        n=len(actual),
        unit=unit,
        null=tested.null,
        p=tested.p,
        test=tested.test,
        p_floor=tested.floor,
        notes=notes,
    )


def pearson(x: Runs, y: Runs, codes: Strata) -> float:
    """r of the distances from the strata's means; 0 where nothing varies."""
    x, y = centered(x, codes), centered(y, codes)
    size = float((x @ x) * (y @ y))
    return float(x @ y / np.sqrt(size)) if size > 1e-24 else 0.0


def slope(x: Runs, y: Runs, codes: Strata) -> float:
    """Least-squares slope of y on x within strata; 0 where x does not vary."""
    x, y = centered(x, codes), centered(y, codes)
    size = float(x @ x)
    return float(x @ y / size) if size > 1e-24 else 0.0


def error(x: Runs, y: Runs, codes: Strata) -> float:
    """Mean distance of y from x; strata do not matter."""
    del codes
    return float(np.abs(y - x).mean())


def centered(values: Runs, codes: Strata) -> Runs:
    """Distance of each value from the mean of its stratum."""
    counts = np.bincount(codes)
    sums = np.bincount(codes, weights=values)
    centers: Runs = values - (sums / np.maximum(counts, 1))[codes]
    return centers
