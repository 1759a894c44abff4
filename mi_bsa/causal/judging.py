"""Behavior as a judge finds it in what variants write, for behaviors that bring `judged`.

Options say which of two completions is likelier; a share of flagged completions says what is written.
Law: the same requests are asked of every variant; what the judge cannot read enters no share and is reported
beside it, as the share that it could read. Intervals are over seeds x scenarios (classes of what is asked),
both drawn, classes alike; over seeds alone where runs have classes of their own, as games have whose opening
the model itself writes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa import behaviors
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.material import POLES
from mi_bsa.core.over_seeds import over_seeds_and_items
from mi_bsa.core.results import SEED_AGAINST_SEED, Null, Result
from mi_bsa.core.tested import equivalent
from mi_bsa.study.steps import Cell
from probes import statistics

if TYPE_CHECKING:
    import pandas as pd

    from activations import Model

JUDGED = "judged-test"
"""Name of the set whose answers are judged."""
READ = "share that the judge can read"
UNIT = "share of completions flagged"
"""What is counted where the judged table has no column `unit` that says otherwise."""

BOUND = 0.15
"""Largest shift of the shuffled arm from the base that would not matter."""


def judged_answers(cell: Cell[BridgeConfig], model: Model, *, variant: str) -> list[pd.DataFrame]:
    """What a variant writes, judged; nothing for a behavior that has no judge."""
    config = cell.config
    behavior: Any = behaviors.behavior_for(config.behavior, config.model)
    if getattr(behavior, "judged", None) is None:
        return []
    table: pd.DataFrame = behavior.judged(model, variant=variant, n=config.data.choices, split="test", seed=0)
    return [table.assign(set=JUDGED)]


def judged_effects(
    table: pd.DataFrame, *, behavior: str, arms: Sequence[str], seeds: Sequence[int]
) -> list[Result]:
    """Shares of flagged completions by arm, pole against pole, and shares that the judge could read.

    `table`: one row an answer and variant, columns `set`, `arm`, `seed`, `scenario`, `kind`, `score` (1
    flagged, 0 not, NaN unreadable), perhaps `unit`; each kind is a measure of its own. Nothing where no
    answer was judged, or where some run wrote nothing readable.
    """
    part = table[table["set"] == JUDGED]
    return [
        result
        for kind in dict.fromkeys(part["kind"])
        for result in _kind_effects(part[part["kind"] == kind], str(kind), behavior, arms, seeds)
    ]


def _kind_effects(
    part: pd.DataFrame, kind: str, behavior: str, arms: Sequence[str], seeds: Sequence[int]
) -> list[Result]:
    """The results of one judged measure."""
    unit = str(part["unit"].iloc[0]) if "unit" in part else UNIT
    counts = part.groupby(["arm", "seed"])["score"].agg(["count", "size"])
    parsed = _Shares(part.assign(score=part["score"].notna().astype(float)), seeds)
    places = {arm: _place(behavior, kind, arm) for arm in (*arms, "base")}
    results = [parsed.level("behavior.parsed", arm, places[arm], READ) for arm in arms]
    results.append(_base("behavior.parsed", parsed.table, places["base"], READ))
    if (counts["count"] == 0).any():
        return results
    flagged = _Shares(part, seeds)
    results += [flagged.level("behavior.level", arm, places[arm], unit) for arm in arms]
    results.append(_base("behavior.level", flagged.table, places["base"], unit))
    shuffled = [float(v) for v in np.nanmean(flagged.of("shuffled"), axis=1)] if "shuffled" in arms else []
    seeking, averse = (flagged.of(pole) for pole in POLES)
    results.append(
        over_seeds_and_items(
            "behavior.effect",
            _place(behavior, kind),
            _known(seeking - averse),
            seeds,
            unit=f"difference: {unit}",
            items="scenarios",
            within=(-1.0, 1.0),
            null=_null(shuffled),
            chance=0.0,
            rows=int(sum(counts["count"][arm, s] for arm in POLES for s in seeds)),
            notes=f"{int(counts['count'].min())} to {int(counts['count'].max())} answers a run{flagged.told}",
        )
    )
    if shuffled:
        results.append(_shift(flagged, places["shuffled"], unit, seeds))
    return results


class _Shares:
    """Shares of the answers of every run, by scenario where all runs were asked the same ones and one of them
    can be read in all, else as a whole."""

    def __init__(self, table: pd.DataFrame, seeds: Sequence[int]) -> None:
        asked = table.groupby(["arm", "seed"])["scenario"].agg(frozenset)
        self.table, self.seeds = table.dropna(subset="score"), seeds
        cells = table.groupby(["arm", "seed", "scenario"])["score"].mean().unstack()
        self.alike = asked.nunique() == 1 and len(cells.columns) > 1 and bool(cells.notna().all().any())
        self.cells = cells if self.alike else self.table.groupby(["arm", "seed"])[["score"]].mean()

    @property
    def told(self) -> str:
        """Why there are no scenarios, where there are none."""
        return "" if self.alike else "; runs have scenarios of their own: over seeds alone"

    def of(self, arm: str) -> Float[np.ndarray, "seed scenario"]:
        """Shares of an arm's seeds."""
        found: np.ndarray = self.cells.loc[[(arm, s) for s in self.seeds]].to_numpy()
        return found

    def level(self, name: str, arm: str, where: dict[str, str], unit: str) -> Result:
        """Shares of an arm, logit scale."""
        own = self.table[self.table["arm"] == arm]
        return over_seeds_and_items(
            name,
            where,
            _known(self.of(arm)),
            self.seeds,
            unit=unit,
            items="scenarios",
            within=(0.0, 1.0),
            scale="logit",
            rows=len(own),
            notes=f"{int(own['score'].sum())} of {len(own)}, by sampling{self.told}",
        )


def _known(cells: Float[np.ndarray, "seed scenario"]) -> Float[np.ndarray, "seed read"]:
    """Without scenarios in which no run could be read."""
    return cells[:, ~np.isnan(cells).all(0)]


def _shift(shares: _Shares, where: dict[str, str], unit: str, seeds: Sequence[int]) -> Result:
    """How far the shuffled arm's share lies from the base's, as an equivalence test."""
    cells = _known(shares.of("shuffled") - shares.cells.loc[("base", -1)].to_numpy())
    mean = statistics.crossed_mean(cells)
    found = statistics.crossed_equivalence(mean, bound=BOUND, within=(-1.0, 1.0))
    held = "equivalent" if found.equivalent else "not shown to be equivalent"
    over = "seeds x scenarios" if shares.alike else "seeds"
    return over_seeds_and_items(
        "behavior.shuffled_shift",
        where,
        cells,
        seeds,
        unit=f"difference: {unit}",
        items="scenarios",
        within=(-1.0, 1.0),
        level=0.9,
        tested=equivalent(found, bound=BOUND, over=over),
        notes=f"{held} to the base within {BOUND}{shares.told}",
    )


def _base(name: str, table: pd.DataFrame, where: dict[str, str], unit: str) -> Result:
    """The same of the base, over scenarios (classes of what is asked)."""
    base = table[table["arm"] == "base"]
    grouped = base.groupby("scenario")["score"].agg(["sum", "size"])
    shrunk = ((grouped["sum"] + 0.5) / (grouped["size"] + 1)).astype(float).to_list()
    over = statistics.t_interval(shrunk, scale="logit")
    value = float(base["score"].mean())
    return Result(
        name=name,
        where=where,
        value=value,
        ci=(min(over.low, value), max(over.high, value)),
        ci_method="t over classes, logit scale, shares shrunk by half a count",
        n=len(grouped),
        unit=unit,
        rows=len(base),
        notes="one base model: n counts classes of what is asked",
    )


def _place(behavior: str, kind: str, arm: str | None = None) -> dict[str, str]:
    where = {"behavior": behavior, "kind": kind, "split": "test"}
    return where if arm is None else {**where, "arm": arm}


def _null(shuffled: Sequence[float]) -> Null | None:
    """What two runs of the shuffled arm differ by."""
    draws = [a - b for a, b in itertools.combinations(shuffled, 2)]
    return Null.of(SEED_AGAINST_SEED, draws, mirrored=True) if draws else None
