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

    def of(step: str, base: str, tail: str = "") -> list[Any]:
        return [values[f"{step}/{made.name}/{base}{tail}-{seed}"] for seed in seeds]

    for base in made.bases:
        where = {"behavior": made.name, "arm": base, "variant": "untuned", "split": "test"}
        looks = of("look", base)
        found += _accuracies(where, of("base", base), seeds) + _pruned(where, looks, None, seeds)
        found += _probed(where, looks, of("look", NEVER), seeds)
    for base, tune, rate in made.cells:
        where = {"behavior": made.name, "arm": base, "variant": f"{tune}, {rate}", "split": "test"}
        tail = f"/{tune}/{rate}"
        found += _accuracies(where, [one["accuracy"] for one in of("tune", base, tail)], seeds)
        looks, before = of("look", base, tail), [one["old"] for one in of("base", base)]
        found += _pruned(where, looks, None if base == NEVER else before, seeds)
        found += _probed(where, looks, of("look", NEVER, tail), seeds)
        back, never = of("revive", base, tail), of("revive", NEVER, tail)
        steps, told = np.array([one["log2"] for one in back]), _unreached(back)
        name, unit = "wrapper.revival.steps", "log2 steps"
        found.append(over_seeds(name, where, steps, seeds, unit=unit, notes=told))
        if base != NEVER:
            name, unit = "wrapper.revival.ratio", "log2 of steps of the control to steps"
            ratios = np.array([one["log2"] for one in never]) - steps
            told = "; ".join(filter(None, [told, _unreached(never, " of the control")]))
            found.append(over_seeds(name, where, ratios, seeds, unit=unit, chance=0.0, notes=told))
    return found


def _accuracies(
    where: Mapping[str, Any], found: Sequence[Mapping[str, float]], seeds: Sequence[int]
) -> list[Result]:
    each = {test: [one[test] for one in found] for test in found[0]}
    name, unit = "wrapper.accuracy", "accuracy"
    return [
        over_seeds(name, {**where, "kind": test}, v, seeds, unit=unit, within=(0.0, 1.0))
        for test, v in each.items()
    ]


def _pruned(
    where: Mapping[str, Any],
    looks: Sequence[Mapping[str, Any]],
    before: Sequence[float] | None,
    seeds: Sequence[int],
) -> list[Result]:
    """By way to score units: curves of both skills, and what of the old one is back at the chosen number."""
    found, counts = [], looks[0]["counts"]
    random = {test: np.array([[d[test] for d in one["random"]] for one in looks]) for test in ("old", "new")}
    for method in looks[0]["curve"]:
        curves = {test: np.array([one["curve"][method][test] for one in looks]) for test in random}
        here = {**where, "method": method}
        for test, drawn in random.items():
            for k, count in enumerate(counts):
                place, null = {**here, "kind": test, "position": count}, Null.of(RANDOM, drawn[:, :, k])
                name, level = "wrapper.pruned.accuracy", curves[test][:, k]
                found.append(
                    over_seeds(name, place, level, seeds, unit="accuracy", within=(0.0, 1.0), null=null)
                )
        kept, old = curves["old"][:, 0], random["old"]
        row, at = np.arange(len(looks)), [counts.index(one["chosen"][method]) for one in looks]
        gains, drawn = curves["old"][row, at] - kept, old[row, :, at] - old[:, :, 0]
        told = f"units, chosen on development rows: {', '.join(str(one['chosen'][method]) for one in looks)}"
        null, unit = Null.of(RANDOM, drawn), "accuracy of the old skill"
        name = "wrapper.pruned.gain"
        found.append(over_seeds(name, here, gains, seeds, unit=unit, null=null, chance=0.0, notes=told))
        lost = np.zeros(1) if before is None else np.array(before) - kept
        if lost.min() > 0 and lost.mean() > LOST:
            null, unit = Null.of(RANDOM, drawn / lost[:, None]), "share of the lost accuracy"
            name, back = "wrapper.pruned.returned", gains / lost
            told = f"{told}; {lost.mean():.2f} of accuracy was lost"
            found.append(over_seeds(name, here, back, seeds, unit=unit, null=null, chance=0.0, notes=told))
    return found


def _probed(
    where: Mapping[str, Any],
    looks: Sequence[Mapping[str, Any]],
    control: Sequence[Mapping[str, Any]],
    seeds: Sequence[int],
) -> list[Result]:
    """Of every block, for the old and the new answer; beside the control, where this is not the control."""
    found, unit = [], "accuracy"
    for label in ("old", "new"):
        for block in range(len(looks[0]["probes"][label])):
            place = {**where, "kind": label, "layer": block}
            each, never = ([one["probes"][label][block] for one in some] for some in (looks, control))
            right = np.array([one["accuracy"] for one in each])
            null = Null.of("control tasks", np.array([one["control"] for one in each]))
            found.append(
                over_seeds(
                    "wrapper.probe.accuracy", place, right, seeds, unit=unit, within=(0.0, 1.0), null=null
                )
            )
            selective = [one["selectivity"] for one in each]
            found.append(over_seeds("wrapper.probe.selectivity", place, selective, seeds, unit=unit))
            if where["arm"] != NEVER:
                more = right - np.array([one["accuracy"] for one in never])
                found.append(over_seeds("wrapper.probe.beyond", place, more, seeds, unit=unit, chance=0.0))
    return found


def _unreached(back: Sequence[Mapping[str, Any]], whose: str = "") -> str:
    """How many runs never reached the mark; these count with their last step."""
    missing = sum(not one["reached"] for one in back)
    return f"{missing} runs{whose} end before the mark and count as ending there" if missing else ""
