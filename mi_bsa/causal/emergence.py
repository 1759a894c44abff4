"""Emergence: over checkpoints of the finetune, what comes first: the behavior, the state, or the report?

At log-spaced steps, one value a seed: the effect of behavior and of self-report (seeking less averse on test
items), and the separability of the poles, (AUROC - .5) x 2 of the poles' direction of the other seeds' runs
at the same step, read at the answer slot of report prompts. The *onset* of each is the log2 of the step at
which it first reaches half of the last step's mean over seeds, interpolated between checkpoints; a seed
that never gets there has no onset. The *lag* is a difference of two onsets within a seed: above 0, the
first of the two came later.

Law: the mark is common to all seeds; lags are paired by seed and have t intervals; separability, of which
each seed is read by the others' direction, and its onsets and lags have an interval and a test that hold what
the seeds share by that (`probes.shared_training`); the null is what two
shuffled runs, which differ in nothing but their seed, reach of the mark.

Results: `bridge.emergence.curve` (kind = `behavior`, `separability`, `self_report`; variant = `step-000010`),
`.onset` (log2 steps; null: share of shuffled pairs that ever reach the mark, in the notes), `.lag` (kind =
`self_report-behavior`, `self_report-separability`, `separability-behavior`; doublings of the step).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mi_bsa.core.over_seeds import over_seeds, reached_by
from mi_bsa.core.results import Null, Place, Result
from mi_bsa.core.tested import UNTESTED, Tested
from probes.shared_training import SHARED, mean_out_of_fold

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("behavior", "separability", "self_report")
LAGS = (("self_report", "behavior"), ("self_report", "separability"), ("separability", "behavior"))
HALF = 0.5


def emergence(table: pd.DataFrame, *, behavior: str, seeds: Sequence[int]) -> list[Result]:
    """Curves, onsets and lags.

    `table`: one row a checkpoint, seed and kind, with columns `arm` (`poles`: seeking less averse;
    `shuffled`: one shuffled run less another, `seed` numbering the pairs), `seed`, `step`, `kind`, `value`.
    """
    results: list[Result] = []
    onsets: dict[str, np.ndarray] = {}
    for kind in KINDS:
        steps, values = _grid(table, "poles", kind)
        if not len(steps):
            continue
        _, null = _grid(table, "shuffled", kind)
        for k, step in enumerate(steps):
            results.append(
                _curve(behavior, kind, int(step), values[:, k], null[:, k] if len(null) else null, seeds)
            )
        mark = HALF * float(values[:, -1].mean())
        onsets[kind] = np.array([onset(steps, one, mark) for one in values])
        reached = [not np.isnan(onset(steps, np.abs(one), mark)) for one in null] if mark > 0 else []
        results += _onset(behavior, kind, onsets[kind], seeds, mark, reached)
    for later, earlier in LAGS:
        if later in onsets and earlier in onsets:
            results += _lag(behavior, later, earlier, onsets[later] - onsets[earlier], seeds)
    return results


def onset(steps: Float[np.ndarray, " step"], values: Float[np.ndarray, " step"], mark: float) -> float:
    """log2 of the step at which a curve first reaches the mark; linear between checkpoints on the log of
    the step.

    NaN where it never does or the mark is not above 0; the first step where it begins above.
    """
    above = np.flatnonzero(np.asarray(values) >= mark)
    if mark <= 0 or not len(above):
        return float("nan")
    at, logs = int(above[0]), np.log2(steps)
    if at == 0:
        return float(logs[0])
    share = (mark - values[at - 1]) / (values[at] - values[at - 1])
    return float(logs[at - 1] + share * (logs[at] - logs[at - 1]))


def pairs_of(values: Mapping[int, float]) -> list[float]:
    """Differences of all pairs of runs."""
    return [values[a] - values[b] for a, b in combinations(sorted(values), 2)]


def _grid(table: pd.DataFrame, arm: str, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(steps, values (seed, step)) of one arm and kind."""
    part = table[(table["arm"] == arm) & (table["kind"] == kind)]
    if part.empty:
        return np.array([]), np.zeros((0, 0))
    wide = part.pivot(index="seed", columns="step", values="value").sort_index(axis=1)
    return wide.columns.to_numpy(float), wide.to_numpy(float)


def _curve(
    behavior: str, kind: str, step: int, values: np.ndarray, null: np.ndarray, seeds: Sequence[int]
) -> Result:
    return _over(
        "bridge.emergence.curve",
        {"behavior": behavior, "variant": f"step-{step:06d}", "kind": kind, "split": "test"},
        values,
        seeds,
        shared=kind == "separability",
        within=(-1.0, 1.0),
        unit="2 AUROC - 1" if kind == "separability" else "difference of P(seeking pole)",
        null=Null.of("shuffled runs, one less another", null, mirrored=True) if len(null) else None,
        notes=f"after {step} steps",
    )


def _onset(
    behavior: str, kind: str, found: np.ndarray, seeds: Sequence[int], mark: float, reached: Sequence[bool]
) -> list[Result]:
    onsets, own = reached_by(found, seeds)
    if len(own) < 2:
        return []
    told = f"mark {mark:.2f}, half of the last step's mean; {len(found) - len(own)} seeds never reach it"
    told += f"; {sum(reached)} of {len(reached)} shuffled pairs do" if reached else ""
    where = {"behavior": behavior, "kind": kind, "split": "test"}
    shared = kind == "separability"
    return [_over("bridge.emergence.onset", where, onsets, own, shared=shared, unit="log2 steps", notes=told)]


def _lag(behavior: str, later: str, earlier: str, lags: np.ndarray, seeds: Sequence[int]) -> list[Result]:
    there, own = reached_by(lags, seeds)
    if len(own) < 2:
        return []
    return [
        _over(
            "bridge.emergence.lag",
            {"behavior": behavior, "kind": f"{later}-{earlier}", "split": "test"},
            there,
            own,
            shared="separability" in (later, earlier),
            chance=0.0,
            unit="doublings of the step",
            notes=f"above 0: {later} comes after {earlier}; p of no lag by t",
        )
    ]


def _over(
    name: str,
    where: Mapping[str, Place],
    values: np.ndarray,
    seeds: Sequence[int],
    *,
    shared: bool,
    unit: str,
    notes: str,
    within: tuple[float, float] | None = None,
    chance: float | None = None,
    null: Null | None = None,
) -> Result:
    """Over seeds; `shared`: each was read by a direction of the others."""
    if not shared:
        return over_seeds(
            name, where, values, seeds, unit=unit, within=within, chance=chance, null=null, notes=notes
        )
    found, p = mean_out_of_fold(values)
    known = bool(np.isfinite(found.low))
    made = over_seeds(
        name,
        where,
        values,
        seeds,
        unit=unit,
        within=within,
        ci=(found.low, found.high) if known else (found.value, found.value),
        ci_method=found.method.replace("over units", "over seeds"),
        tested=UNTESTED if chance is None else Tested.of(p, f"t over seeds against {chance:g}, {SHARED}"),
        null=null,
        notes=notes,
    )
    return made if known else replace(made, ci=None)
