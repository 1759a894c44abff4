"""Behavior as a judge finds it in what variants write, for behaviors that bring `judged`.

Options say which of two completions is likelier; a share of flagged completions says what is written.
Law: the same requests are asked of every variant; what the judge cannot read enters no share and is reported
beside it, as the share that it could read.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa import behaviors
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.material import POLES
from mi_bsa.core.over_seeds import over_seeds
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
    groups = part.groupby(["arm", "seed"])["score"]
    found, read, asked = groups.sum(), groups.count(), groups.size()
    runs = {arm: [(arm, s) for s in seeds] for arm in arms}
    places = {arm: _place(behavior, kind, arm) for arm in (*arms, "base")}
    results = [_share("behavior.parsed", read, asked, runs[arm], places[arm], READ, seeds) for arm in arms]
    results.append(_base("behavior.parsed", part.assign(score=part["score"].notna()), places["base"], READ))
    if (read == 0).any():
        return results
    results += [_share("behavior.level", found, read, runs[arm], places[arm], unit, seeds) for arm in arms]
    results.append(_base("behavior.level", part.dropna(subset="score"), places["base"], unit))
    share = found / read
    values = [float(share["seeking", s] - share["averse", s]) for s in seeds]
    shuffled = [float(share["shuffled", s]) for s in seeds] if "shuffled" in arms else []
    results.append(
        over_seeds(
            "behavior.effect",
            _place(behavior, kind),
            values,
            seeds,
            unit=f"difference: {unit}",
            null=_null(shuffled),
            chance=0.0,
            rows=int(sum(read[run] for arm in POLES for run in runs[arm])),
            notes=f"{int(read.min())} to {int(read.max())} answers a run",
        )
    )
    if shuffled:
        shifts = [value - float(share["base", -1]) for value in shuffled]
        results.append(_shift(shifts, places["shuffled"], unit, seeds))
    return results


def _share(
    name: str,
    hits: pd.Series,
    counts: pd.Series,
    runs: Sequence[tuple[str, int]],
    where: dict[str, str],
    unit: str,
    seeds: Sequence[int],
) -> Result:
    """A share by seed. Its interval is t over seeds of logits, each share shrunk by half a count."""
    values = [float(hits[r] / counts[r]) for r in runs]
    shrunk = [float((hits[r] + 0.5) / (counts[r] + 1)) for r in runs]
    over = statistics.t_interval(shrunk, scale="logit")
    value = float(np.mean(values))
    return over_seeds(
        name,
        where,
        values,
        seeds,
        unit=unit,
        ci=(min(over.low, value), max(over.high, value)),
        ci_method="t over seeds, logit scale, shares shrunk by half a count",
        rows=int(sum(counts[r] for r in runs)),
        notes=f"{int(sum(hits[r] for r in runs))} of {int(sum(counts[r] for r in runs))}, by sampling",
    )


def _shift(values: Sequence[float], where: dict[str, str], unit: str, seeds: Sequence[int]) -> Result:
    """How far the shuffled arm's share lies from the base's, as an equivalence test."""
    found = statistics.equivalence(values, bound=BOUND)
    held = "equivalent" if found.equivalent else "not shown to be equivalent"
    return over_seeds(
        "behavior.shuffled_shift",
        where,
        values,
        seeds,
        unit=f"difference: {unit}",
        ci=(found.estimate.low, found.estimate.high),
        ci_method="t over seeds, 90 % (two one-sided tests)",
        tested=equivalent(found, bound=BOUND),
        notes=f"{held} to the base within {BOUND}",
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
