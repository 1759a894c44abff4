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
ORDERS = "modules in random order"


def awareness_effects(values: Mapping[str, Any], *, behavior: str, seeds: Sequence[int]) -> list[Result]:
    """All results of the adapter from its steps' values, by step name."""
    from mi_bsa.causal.emergence import onset

    pruned = values["adapter/ask/pruned"]
    revived = [values[f"adapter/ask/revived-{seed}"] for seed in seeds]
    where: dict[str, Any] = {"behavior": behavior, "split": "test"}
    found: list[Result] = []
    ranked, drawn, onsets = (dict[str, np.ndarray]() for _ in range(3))  # by kind, of those that moved

    def add_reached(
        name: str, place: Mapping[str, Any], values: np.ndarray, *, unit: str, notes: str
    ) -> None:
        there, had = reached_by(values, seeds)
        chance = 0.0 if name == "lag" else None
        if len(had) > 1:
            name = f"wrapper.adapter.{name}"
            found.append(over_seeds(name, place, there, had, unit=unit, chance=chance, notes=notes))

    for kind in KINDS:
        place = {**where, "kind": kind}
        ends = np.array([[one[kind][-1], one[kind][0]] for one in pruned["ranked"]])
        for k, arm in enumerate(("base", "tuned")):
            here = {**place, "arm": arm}
            found.append(
                over_seeds("wrapper.adapter.level", here, ends[:, k], seeds, unit=UNIT, within=(0.0, 1.0))
            )
        if not (np.abs(ends[:, 1] - ends[:, 0]) > MOVED).all():
            continue
        ranked[kind] = closed = _closed(pruned["ranked"], kind)
        drawn[kind] = np.array([_closed(orders, kind) for orders in pruned["random"]])
        for k in range(closed.shape[1]):
            here, null = {**place, "position": k}, Null.of(ORDERS, drawn[kind][:, :, k])
            name = "wrapper.adapter.pruned"
            found.append(over_seeds(name, here, closed[:, k], seeds, unit=SHARE, null=null))
        back = np.array([shares(one[kind], start=one[kind][0], end=one["before"][kind]) for one in revived])
        for k, step in enumerate(revived[0]["steps"]):
            here, told = (
                {**place, "variant": f"step-{step:06d}"},
                f"after {step} steps on the base's own choices",
            )
            name = "wrapper.adapter.revived"
            found.append(over_seeds(name, here, back[:, k], seeds, unit=SHARE, notes=told))
        at = [np.array(one["steps"][1:], float) for one in revived]
        onsets[kind] = np.array([onset(x, y[1:], HALF) for x, y in zip(at, back, strict=True)])
        told = f"{int(np.isnan(onsets[kind]).sum())} seeds never get half of it back"
        add_reached("onset", place, onsets[kind], unit="log2 steps", notes=told)
    if len(onsets) == len(KINDS):
        ahead, chance = ((of["choice"] - of["report"])[..., 1:-1].mean(-1) for of in (ranked, drawn))
        found.append(
            over_seeds(
                "wrapper.adapter.ahead",
                where,
                ahead,
                seeds,
                unit="share returned of choices less that of reports",
                null=Null.of(ORDERS, chance),
                chance=0.0,
                notes="modules ordered by development choices alone; mean over all numbers of closed modules",
            )
        )
        told, lags = "above 0: the report comes back after the choices", onsets["report"] - onsets["choice"]
        add_reached("lag", where, lags, unit="doublings of the step", notes=told)
    return found


def shares(curve: Sequence[float], *, start: float | int, end: float | int) -> np.ndarray:
    """How much of the way from `start` to `end` each value has gone."""
    return (np.asarray(curve) - start) / (end - start)


def _closed(runs: Sequence[Mapping[str, Sequence[float]]], kind: str) -> np.ndarray:
    """Shares returned over the number of closed modules, (run, number)."""
    return np.array([shares(one[kind], start=one[kind][0], end=one[kind][-1]) for one in runs])
