"""Results of the adapter: do old choices and old self-report come back together, and in which order?

What has returned is a share: 0 where the adapter put the model, 1 where the base was. Results:
`wrapper.adapter.level` (arm `base`, `tuned`; kind `choice`, `report`), `.pruned` (share returned, over the
number of modules closed, `position`; null: random orders), `.ahead` (choices less report, mean over the curve
of pruning; null: random orders), `.revived` (share returned, variant `step-000010`), `.onset` (log2 of the
step at which half has returned) and `.lag` (report less choices, in doublings of the step).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mi_bsa.core.over_seeds import over_seeds, reached_by
from mi_bsa.core.results import Null, Result
from mi_bsa.studies.wrapper.awareness import KINDS

HALF = 0.5
MOVED = 0.1
"""An adapter that moved a read-out by less gives no share of it."""
UNIT = "P(seeking pole)"
SHARE = "share returned"


def awareness_effects(values: Mapping[str, Any], *, behavior: str, seeds: Sequence[int]) -> list[Result]:
    """All results of the adapter from its steps' values, by step name."""
    pruned = values["adapter/ask/pruned"]
    revived = [values[f"adapter/ask/revived-{seed}"] for seed in seeds]
    where = {"behavior": behavior, "split": "test"}
    found, moved = [], []
    for kind in KINDS:
        ends = np.array([[one[kind][-1], one[kind][0]] for one in pruned["ranked"]])
        for k, arm in enumerate(("base", "tuned")):
            place = {**where, "arm": arm, "kind": kind}
            found.append(over_seeds("wrapper.adapter.level", place, ends[:, k], seeds, unit=UNIT))
        if (np.abs(ends[:, 1] - ends[:, 0]) > MOVED).all():
            moved.append(kind)
            found += _pruned({**where, "kind": kind}, pruned, kind, seeds)
            found += _revived({**where, "kind": kind}, revived, kind, seeds)
    if len(moved) == len(KINDS):
        found.append(_ahead(where, pruned, seeds))
        found += _lag(where, revived, seeds)
    return found


def shares(curve: Sequence[float], *, start: float | int, end: float | int) -> np.ndarray:
    """How much of the way from `start` to `end` each value has gone."""
    return (np.asarray(curve) - start) / (end - start)


def _closed(curve: Sequence[float]) -> np.ndarray:
    return shares(curve, start=curve[0], end=curve[-1])


def _pruned(
    where: Mapping[str, Any], pruned: Mapping[str, Any], kind: str, seeds: Sequence[int]
) -> list[Result]:
    ranked = np.array([_closed(one[kind]) for one in pruned["ranked"]])
    drawn = np.array([[_closed(one[kind]) for one in orders] for orders in pruned["random"]])
    return [
        over_seeds(
            "wrapper.adapter.pruned",
            {**where, "position": k},
            ranked[:, k],
            seeds,
            unit=SHARE,
            null=Null.of("modules in random order", drawn[:, :, k]),
        )
        for k in range(ranked.shape[1])
    ]


def _ahead(where: Mapping[str, Any], pruned: Mapping[str, Any], seeds: Sequence[int]) -> Result:
    def ahead(one: Mapping[str, Sequence[float]]) -> float:
        return float((_closed(one["choice"]) - _closed(one["report"]))[1:-1].mean())

    values = [ahead(one) for one in pruned["ranked"]]
    drawn = np.array([[ahead(one) for one in orders] for orders in pruned["random"]])
    return over_seeds(
        "wrapper.adapter.ahead",
        where,
        values,
        seeds,
        unit="share returned of choices less that of reports",
        null=Null.of("modules in random order", drawn),
        chance=0.0,
        notes="modules ordered by development choices alone; mean over all numbers of closed modules",
    )


def _revived(
    where: Mapping[str, Any], revived: Sequence[Mapping[str, Any]], kind: str, seeds: Sequence[int]
) -> list[Result]:
    curves = np.array([shares(r[kind], start=r[kind][0], end=r["before"][kind]) for r in revived])
    found = [
        over_seeds(
            "wrapper.adapter.revived",
            {**where, "variant": f"step-{step:06d}"},
            curves[:, k],
            seeds,
            unit=SHARE,
            notes=f"after {step} steps on the base's own choices",
        )
        for k, step in enumerate(revived[0]["steps"])
    ]
    onsets = _onsets(revived, kind)
    there, had = reached_by(onsets, seeds)
    if len(had) > 1:
        told = f"{len(onsets) - len(had)} seeds never get half of it back"
        found.append(over_seeds("wrapper.adapter.onset", where, there, had, unit="log2 steps", notes=told))
    return found


def _lag(
    where: Mapping[str, Any], revived: Sequence[Mapping[str, Any]], seeds: Sequence[int]
) -> list[Result]:
    lags = _onsets(revived, "report") - _onsets(revived, "choice")
    there, had = reached_by(lags, seeds)
    if len(had) < 2:
        return []
    return [
        over_seeds(
            "wrapper.adapter.lag",
            where,
            there,
            had,
            unit="doublings of the step",
            chance=0.0,
            notes="above 0: the report comes back after the choices",
        )
    ]


def _onsets(revived: Sequence[Mapping[str, Any]], kind: str) -> np.ndarray:
    from mi_bsa.causal.emergence import onset

    found = []
    for one in revived:
        curve = shares(one[kind], start=one[kind][0], end=one["before"][kind])
        found.append(onset(np.array(one["steps"][1:], float), curve[1:], HALF))
    return np.array(found)
