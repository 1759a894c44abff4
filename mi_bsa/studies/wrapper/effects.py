"""Results of the systems: accuracies, curves of pruning, probes, and how much sooner a skill is back.

`where`: behavior is the system, arm the base, variant the fine-tuning and its rate (`untuned` before it),
kind the test, method how units were scored, position the number of units that are gone, layer the block that
is probed. The unit of every interval is the seed: a base, its fine-tuning and its revival.

Results: `wrapper.accuracy`; `wrapper.pruned.accuracy` (null: as many units at random); `wrapper.pruned.gain`
(old accuracy after pruning less before, at the number chosen on development rows; null: random units) and
`wrapper.pruned.returned` (the same as a share of what fine-tuning took away); `wrapper.probe.accuracy` (null:
control tasks), `.selectivity` and `.beyond` (less the accuracy in the control, which never had the skill, at
the same place); `wrapper.revival.steps` (log2) and `wrapper.revival.ratio` (log2 of the control's steps to
these; 2 is four times as many).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Null, Result
from mi_bsa.studies.wrapper.systems import NEVER

if TYPE_CHECKING:
    from mi_bsa.studies.wrapper.systems import System

LOST = 0.1
"""Where fine-tuning took less accuracy than this on average, there is no share of it that returns."""
RANDOM = "as many units at random"


def effects(made: System, values: Mapping[str, Any], *, seeds: Sequence[int]) -> list[Result]:
    """All results of one system from its steps' values, by step name."""
    found: list[Result] = []
    for base in made.bases:
        where = {"behavior": made.name, "arm": base, "variant": "untuned", "split": "test"}
        found += _accuracies(where, [values[f"base/{made.name}/{base}-{seed}"] for seed in seeds], seeds)
        looks, control = ([values[f"look/{made.name}/{b}-{seed}"] for seed in seeds] for b in (base, NEVER))
        found += _pruned(where, looks, None, seeds) + _probed(where, looks, control, seeds)
    for base, tune, rate in made.cells:
        own, control = ([f"{made.name}/{b}/{tune}/{rate}-{seed}" for seed in seeds] for b in (base, NEVER))
        where = {"behavior": made.name, "arm": base, "variant": f"{tune}, {rate}", "split": "test"}
        found += _accuracies(where, [values[f"tune/{place}"]["accuracy"] for place in own], seeds)
        before = [values[f"base/{made.name}/{base}-{seed}"]["old"] for seed in seeds]
        looks = [values[f"look/{place}"] for place in own]
        found += _pruned(where, looks, None if base == NEVER else before, seeds)
        found += _probed(where, looks, [values[f"look/{place}"] for place in control], seeds)
        back = [values[f"revive/{place}"] for place in own]
        found.append(_steps(where, back, seeds))
        if base != NEVER:
            found.append(_ratio(where, back, [values[f"revive/{place}"] for place in control], seeds))
    return found


def _accuracies(
    where: Mapping[str, Any], found: Sequence[Mapping[str, float]], seeds: Sequence[int]
) -> list[Result]:
    return [
        over_seeds(
            "wrapper.accuracy", {**where, "kind": test}, [f[test] for f in found], seeds, unit="accuracy"
        )
        for test in found[0]
    ]


def _pruned(
    where: Mapping[str, Any],
    looks: Sequence[Mapping[str, Any]],
    before: Sequence[float] | None,
    seeds: Sequence[int],
) -> list[Result]:
    """Curves of both skills, and what comes back of the old one at the chosen number of units."""
    return [r for method in looks[0]["curve"] for r in _by(method, where, looks, before, seeds)]


def _by(
    method: str,
    where: Mapping[str, Any],
    looks: Sequence[Mapping[str, Any]],
    before: Sequence[float] | None,
    seeds: Sequence[int],
) -> list[Result]:
    """The same of one way to score units."""
    where, counts = {**where, "method": method}, looks[0]["counts"]
    found = []
    for test in ("old", "new"):
        for k, count in enumerate(counts):
            drawn = np.array([[draw[test][k] for draw in one["random"]] for one in looks])
            found.append(
                over_seeds(
                    "wrapper.pruned.accuracy",
                    {**where, "kind": test, "position": count},
                    [one["curve"][method][test][k] for one in looks],
                    seeds,
                    unit="accuracy",
                    null=Null.of(RANDOM, drawn),
                )
            )
    kept = np.array([one["curve"][method]["old"][0] for one in looks])
    places = [counts.index(one["chosen"][method]) for one in looks]
    gains = np.array([one["curve"][method]["old"][k] for one, k in zip(looks, places, strict=True)]) - kept
    drawn = np.array(
        [
            [draw["old"][k] - draw["old"][0] for draw in one["random"]]
            for one, k in zip(looks, places, strict=True)
        ]
    )
    told = f"units, chosen on development rows: {', '.join(str(one['chosen'][method]) for one in looks)}"
    found.append(
        over_seeds(
            "wrapper.pruned.gain",
            where,
            gains,
            seeds,
            unit="accuracy of the old skill",
            null=Null.of(RANDOM, drawn),
            chance=0.0,
            notes=told,
        )
    )
    lost = None if before is None else np.array(before) - kept
    if lost is not None and lost.min() > 0 and lost.mean() > LOST:
        found.append(
            over_seeds(
                "wrapper.pruned.returned",
                where,
                gains / lost,
                seeds,
                unit="share of the lost accuracy",
                null=Null.of(RANDOM, drawn / lost[:, None]),
                chance=0.0,
                notes=f"{told}; {lost.mean():.2f} of accuracy was lost",
            )
        )
    return found


def _probed(
    where: Mapping[str, Any],
    looks: Sequence[Mapping[str, Any]],
    control: Sequence[Mapping[str, Any]],
    seeds: Sequence[int],
) -> list[Result]:
    """Of every block, for the old and the new answer; beside the control, where this is not the control."""
    found = []
    for label in ("old", "new"):
        for block in range(len(looks[0]["probes"][label])):
            place = {**where, "kind": label, "layer": block}
            each, never = ([one["probes"][label][block] for one in some] for some in (looks, control))
            right = np.array([one["accuracy"] for one in each])
            null = Null.of("control tasks", np.array([one["control"] for one in each]))
            found.append(
                over_seeds("wrapper.probe.accuracy", place, right, seeds, unit="accuracy", null=null)
            )
            selective = [one["selectivity"] for one in each]
            found.append(over_seeds("wrapper.probe.selectivity", place, selective, seeds, unit="accuracy"))
            if where["arm"] != NEVER:
                more = right - np.array([one["accuracy"] for one in never])
                found.append(
                    over_seeds("wrapper.probe.beyond", place, more, seeds, unit="accuracy", chance=0.0)
                )
    return found


def _steps(where: Mapping[str, Any], back: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> Result:
    return over_seeds(
        "wrapper.revival.steps",
        where,
        [one["log2"] for one in back],
        seeds,
        unit="log2 steps",
        notes=_unreached(back),
    )


def _ratio(
    where: Mapping[str, Any],
    back: Sequence[Mapping[str, Any]],
    control: Sequence[Mapping[str, Any]],
    seeds: Sequence[int],
) -> Result:
    values = [there["log2"] - here["log2"] for here, there in zip(back, control, strict=True)]
    return over_seeds(
        "wrapper.revival.ratio",
        where,
        values,
        seeds,
        unit="log2 of steps of the control to steps",
        chance=0.0,
        notes="; ".join(filter(None, [_unreached(back), _unreached(control, "of the control")])),
    )


def _unreached(back: Sequence[Mapping[str, Any]], whose: str = "") -> str:
    """How many runs never reached the mark; these count with their last step."""
    missing = sum(not one["reached"] for one in back)
    return (
        f"{missing} runs {whose} end before the mark and count as ending there".replace("  ", " ")
        if missing
        else ""
    )
