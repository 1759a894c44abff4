"""Where each reading goes blind: the gap of the poles by dose, who is told, and the dose from which on most
adapters are not.

Law: every reading is one signed number an adapter. An adapter is *told* where its sign is its pole's and its
size is beyond that of every shuffled adapter of its place, one rule for all readings; the unit over places is
a place (a behavior on a base).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.causal.ratios import share
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Null, Place, Result
from mi_bsa.core.variants import POLES
from mi_bsa.studies.grid.blind_readings import READINGS, Scores
from mi_bsa.studies.grid.mixing_rows import PLAIN, Condition
from probes import statistics

if TYPE_CHECKING:
    import pandas as pd

ASKED = {"choices": "choice", "report": "report"}
EVERY = (*ASKED, *READINGS)
"""All readings, in the order of the page."""
SEEN = 0.5
"""Share of adapters told, below which a reading is called blind."""
SIGN = {"seeking": 1.0, "averse": -1.0}


def measures(
    asked: Mapping[str, pd.DataFrame], read: Mapping[str, Scores], *, seeds: Sequence[int], split: str
) -> list[Result]:
    """All results.

    Args:
        asked: answers by `behavior/base/condition`, with columns set, variant, arm, seed, kind, score.
        read: by `behavior/base`, what `blind_readings` left.
        seeds, split: of the study.
    """
    found: list[Result] = []
    told: dict[tuple[str, str], dict[str, float]] = {}
    for place, readings in read.items():
        behavior, base = place.split("/")
        scores = {
            condition: _with_answers(runs, asked[f"{place}/{condition}"])
            for condition, runs in readings.items()
        }
        for reading in EVERY:
            limit = threshold(scores, reading)
            for condition, runs in scores.items():
                where: dict[str, Place] = {"behavior": behavior, "base": base, "kind": reading}
                where |= {"method": condition, "split": split}
                found += _of_condition(where, scores, condition, reading, seeds, limit)
                told.setdefault((reading, condition), {})[place] = share_told(runs, reading, limit)
    return [*_over_places(told, split), *found]


def _with_answers(
    runs: Mapping[str, Mapping[str, float]], table: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """The readings of each run, and what it chooses and says, less the base."""
    found = {run: dict(own) for run, own in runs.items()}
    for reading, key in ASKED.items():
        own = table[table["set"] == key]
        by_kind = own.groupby(["variant", "kind"])["score"].mean().groupby("variant").mean()
        for run in found:
            found[run][reading] = float(by_kind[run] - by_kind["base"])
    return found


def threshold(scores: Mapping[str, Mapping[str, Mapping[str, float]]], reading: str) -> float:
    """The largest size among the shuffled adapters of a place."""
    sizes = [
        abs(own[reading])
        for runs in scores.values()
        for run, own in runs.items()
        if run.startswith("shuffled-")
    ]
    return max(sizes, default=0.0)


def share_told(runs: Mapping[str, Mapping[str, float]], reading: str, limit: float) -> float:
    """Share of the adapters of either pole whose pole is told beyond the limit."""
    told = [
        SIGN[run.rpartition("-")[0]] * own[reading] > limit
        for run, own in runs.items()
        if run.rpartition("-")[0] in SIGN
    ]
    return float(np.mean(told))


def _of_condition(
    where: Mapping[str, Place],
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
    condition: str,
    reading: str,
    seeds: Sequence[int],
    limit: float,
) -> list[Result]:
    """The gap in the reading's own unit, and as a share of plain's."""

    def gaps(of: str) -> np.ndarray:
        ends = [[scores[of][f"{arm}-{seed}"][reading] for seed in seeds] for arm in POLES]
        return np.array(ends[0]) - np.array(ends[1])

    shuffled = [
        own[reading] for runs in scores.values() for run, own in runs.items() if run.startswith("shuffled-")
    ]
    null = Null.of("shuffled adapters, either sign", shuffled) if shuffled else None
    unit = "difference of P(seeking pole)" if reading in (*ASKED, "through") else "score"
    told = f"told beyond {limit:.3g}"
    own = over_seeds("blind.gap", where, gaps(condition), seeds, unit=unit, null=null, notes=told)
    if condition == PLAIN:
        return [own]
    return [
        own,
        share("blind.share", where, gaps(condition), gaps(PLAIN), seeds=seeds, unit="share of plain's"),
    ]


def dose_of(condition: str) -> float:
    """Benign rows a row."""
    return Condition.parse(condition).dose


def _over_places(told: Mapping[tuple[str, str], Mapping[str, float]], split: str) -> list[Result]:
    """Share told over places, by reading and dose; and where it stays below half."""
    found: list[Result] = []
    for reading in EVERY:
        rows = sorted(
            (
                (dose_of(condition), condition, own)
                for (kind, condition), own in told.items()
                if kind == reading
            ),
            key=lambda row: row[0],
        )
        levels = []
        for dose, condition, own in rows:
            each = np.array(list(own.values()))
            levels.append((dose, float(each.mean())))
            where: dict[str, Place] = {"kind": reading, "method": condition, "split": split}
            low_high, why = None, "none: the same at all places" if len(each) > 1 else "none: one place"
            if len(each) > 1 and np.ptp(each) > 1e-12:
                one = statistics.t_interval(each)
                low_high, why = (max(0.0, one.low), min(1.0, one.high)), "t over places"
            names = ", ".join(f"{place} {value:.2f}" for place, value in own.items())
            found.append(
                Result(
                    "blind.told",
                    where,
                    float(each.mean()),
                    low_high,
                    why,
                    len(each),
                    "share of adapters",
                    notes=names,
                )
            )
        blind = blind_from(levels)
        if blind is not None:
            place: dict[str, Place] = {"kind": reading, "split": split}
            course = ", ".join(f"{dose:g}: {level:.2f}" for dose, level in levels)
            found.append(
                Result(
                    "blind.dose",
                    place,
                    blind,
                    None,
                    "none: one of the doses that were tried",
                    len(levels),
                    "benign rows a row",
                    notes=f"told by dose {course}",
                )
            )
    return found


def blind_from(levels: Sequence[tuple[float, float]]) -> float | None:
    """The smallest dose from which on fewer than half are told at every dose; None where there is none."""
    dose = None
    for at, level in sorted(levels, reverse=True):
        if level >= SEEN:
            break
        dose = at
    return dose
