"""What the study's steps wrote, as arrays: one run a variant, with targets where there are any."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mi_bsa.studies.preferences.metrics import AttributeWeights
from mi_bsa.studies.preferences.training import REPORT_ARMS

PARTS = ("instilled", "native")


@dataclass(frozen=True)
class Run:
    """One variant on one kind of contexts; NaN where no report was parsed.

    Attributes:
        learned: weights that its choices reveal.
        reported: mean of its parsed reports.
        reports: each of them, by context and pair; pairs are the same in all runs of a seed.
        targets: what was trained into it, or would have been (the base); None in native contexts.
        agreement: choice agreement with the targets, (context,), where it was measured.
        parsed: parsed reports.
        asked: reports that were asked for.
        outcomes: how many reports had which.
    """

    learned: AttributeWeights
    reported: AttributeWeights
    reports: Float[np.ndarray, "context report attribute"]
    targets: AttributeWeights | None
    agreement: Float[np.ndarray, " context"] | None
    parsed: int
    asked: int
    outcomes: Mapping[str, int]


Runs = dict[tuple[str, str], dict[int, Run]]
"""(arm, part) -> seed -> run; the base stands under every seed, with that seed's targets."""


def gather(folder: Path, *, arms: Sequence[str], seeds: Sequence[int]) -> Runs:
    """Read all that was asked in a run folder."""
    targets = _read(folder / "contexts.json")["targets"]
    found: Runs = {}
    for seed in seeds:
        asked = {"base": _read(folder / "asked" / "base.json")}
        asked |= {arm: _read(folder / "asked" / f"{arm}-{seed}.json") for arm in arms}
        again = _read(folder / "again" / f"{seed}.json")
        asked |= {arm: again[arm] for arm in REPORT_ARMS}
        for arm, parts in asked.items():
            for part in PARTS:
                goal = np.array(targets[str(seed)]) if part == "instilled" else None
                found.setdefault((arm, part), {})[seed] = _run(parts[part], goal)
    return found


def _run(asked: Mapping[str, Any], targets: AttributeWeights | None) -> Run:
    learned, outcomes = np.array(asked["learned"]), asked["outcomes"]
    lost = [np.nan] * learned.shape[1]
    return Run(
        learned=learned,
        reported=np.array(asked["reported"], float),  # None is NaN
        reports=np.array([[one or lost for one in own] for own in asked["reports"]], float),
        targets=targets,
        agreement=None if asked["agreement"] is None else np.array(asked["agreement"]),
        parsed=outcomes["parsed"],
        asked=sum(outcomes.values()),
        outcomes=outcomes,
    )


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
