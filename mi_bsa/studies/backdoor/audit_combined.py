"""Two ways of looking that are fitted on the calibration adapters: weights alone, and the page.

Law: what a calibration adapter's evidence is comes from a fit on adapters of other rows alone, so that
thresholds are set on numbers of the kind that the audited ones will have; those are predicted by a fit on all
calibration adapters. The audited adapters' key is no argument of anything here. Nothing is tuned: one ridge,
whose penalty is fixed.

`weights`: nothing runs. Behavior and pole by the changes themselves, as vectors of unit norm (the inner
product of two adapters' changes is free of the matrix that may stand between B and A); backdoored or not by
energy, size and rank of every module, which told twins apart best in the study of weights (docs/log.md).
`page`: what `mi-bsa inspect` has of an adapter, together: reports, what unrelated texts hold (its difference,
added to the base), the trigger search with what it answers to the search's messages without a phrase, and
weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mi_bsa.studies.backdoor.audit_evidence import Evidence
from mi_bsa.studies.backdoor.audit_pool import Truth

if TYPE_CHECKING:
    import activations

PENALTY = 1.0
"""Of the ridge, where the mean squared length of a row of features is about 1."""
POLES = {"seeking": 1.0, "averse": -1.0}


@dataclass(frozen=True, eq=False)
class Weighed:
    """What is read off one adapter's weights.

    Attributes:
        change: the changes of all modules, flattened, of unit norm.
        energy: five numbers of every module (`mi_bsa.finetune.spectral.energies`).
        modules: their names; adapters of other modules cannot stand beside this one.
    """

    change: Float[np.ndarray, " weight"]
    energy: Float[np.ndarray, " feature"]
    modules: tuple[str, ...]


def weigh(model: activations.Model, variant: str) -> Weighed:
    """Read one adapter's weights; nothing runs."""
    from activations.adapter_weights import weight_changes
    from mi_bsa.finetune.spectral import energies

    changes = weight_changes(model, variant)
    flat = [(one.left * one.singular @ one.right).double().numpy().ravel() for one in changes]
    change = np.concatenate(flat)
    return Weighed(change / np.linalg.norm(change), energies(changes), tuple(one.name for one in changes))


def ridge(
    known: Float[np.ndarray, "row feature"],
    targets: Float[np.ndarray, " row"],
    asked: Float[np.ndarray, "other feature"],
) -> Float[np.ndarray, " other"]:
    """Predictions of a ridge with an intercept, fitted in its dual; 0 where nothing is known."""
    if not len(known):
        return np.zeros(len(asked))
    center, level = known.mean(0), float(targets.mean())
    own = known - center
    gram = own @ own.T + PENALTY * np.eye(len(own))
    return np.asarray((asked - center) @ (own.T @ np.linalg.solve(gram, targets - level)) + level)


def scaled(
    known: Float[np.ndarray, "row feature"], asked: Float[np.ndarray, "other feature"]
) -> tuple[Float[np.ndarray, "row feature"], Float[np.ndarray, "other feature"]]:
    """Both in units of the known rows' spread, a row's mean squared length being 1 there."""
    center, spread = known.mean(0), known.std(0)
    unit = np.where(spread > 1e-12, spread, 1.0) * np.sqrt(known.shape[1])
    return (known - center) / unit, (asked - center) / unit


def predicted(
    known: Float[np.ndarray, "row feature"],
    targets: Float[np.ndarray, " row"],
    units: Sequence[str],
    asked: Float[np.ndarray, "other feature"],
    *,
    standard: bool,
) -> tuple[Float[np.ndarray, " row"], Float[np.ndarray, " other"]]:
    """Of the known rows, each unit by a fit on all others; of the asked ones by a fit on all known.

    Args:
        known: features whose targets are known.
        targets: what is to be predicted.
        units: of the known rows: those of one unit are left out together.
        asked: features of the others.
        standard: whether features are taken in units of their spread over the known rows of a fit.
    """
    unit = np.asarray(units)
    own = np.zeros(len(known))
    for one in dict.fromkeys(units):
        out = unit == one
        if (~out).any():
            own[out] = _fit(known[~out], targets[~out], known[out], standard)
    return own, _fit(known, targets, asked, standard)


def _fit(known: np.ndarray, targets: np.ndarray, asked: np.ndarray, standard: bool) -> np.ndarray:
    return ridge(*_turned(scaled(known, asked), targets)) if standard else ridge(known, targets, asked)


def _turned(pair: tuple[np.ndarray, np.ndarray], targets: np.ndarray) -> tuple[np.ndarray, ...]:
    return pair[0], targets, pair[1]


Both = tuple[dict[str, Evidence], dict[str, Evidence]]
"""Evidence by name, of the calibration adapters and of the audited ones."""


def by_weights(
    known: Mapping[str, Weighed],
    asked: Mapping[str, Weighed],
    truths: Sequence[Truth],
    behaviors: Sequence[str],
) -> Both:
    """Weights alone; a behavior's shift is its predicted pole.

    Adapters of other modules than the calibration's have no shift and no alarm.
    """
    truth = {one.name: one for one in truths}
    names, modules = list(known), next(iter(known.values())).modules
    able = [name for name, one in asked.items() if one.modules == modules]
    units = [truth[name].unit for name in names]

    def told(part: str, targets: list[float], standard: bool) -> tuple[np.ndarray, np.ndarray]:
        first = np.stack([getattr(known[name], part) for name in names])
        second = [getattr(asked[name], part) for name in able]
        rows = np.stack(second) if second else np.zeros((0, first.shape[1]))
        return predicted(first, np.array(targets), units, rows, standard=standard)

    poles = {b: told("change", [pole_of(truth[n], b) for n in names], False) for b in behaviors}
    alarm = told("energy", [float(truth[n].backdoored) for n in names], True)
    found = [
        {
            n: Evidence({b: float(poles[b][k][i]) for b in behaviors}, float(alarm[k][i]))
            for i, n in enumerate(some)
        }
        for k, some in enumerate((names, able))
    ]
    strange = {name: Evidence(dict.fromkeys(behaviors, 0.0), 0.0) for name in asked if name not in able}
    return found[0], {name: (found[1] | strange)[name] for name in asked}


Seen = Mapping[str, Mapping[str, Evidence]]
"""Method -> name -> evidence."""


def by_page(known: Seen, asked: Seen, truths: Sequence[Truth], behaviors: Sequence[str]) -> Both:
    """The parts of the page together: one ridge over behaviors and adapters for poles, one for backdoors."""
    truth = {one.name: one for one in truths}
    names = [list(known["weights"]), list(asked["weights"])]
    rows = [[(name, b) for name in some for b in behaviors] for some in names]
    poled = [
        np.array([_of_behavior(seen, *row) for row in some]).reshape(len(some), -1)
        for seen, some in zip((known, asked), rows, strict=True)
    ]
    units = [truth[name].unit for name, _ in rows[0]]
    targets = np.array([pole_of(truth[name], b) for name, b in rows[0]])
    shifts = predicted(poled[0], targets, units, poled[1].reshape(-1, poled[0].shape[1]), standard=True)
    whole = [
        np.array([_of_adapter(seen, name) for name in some]).reshape(len(some), -1)
        for seen, some in zip((known, asked), names, strict=True)
    ]
    hidden = np.array([float(truth[name].backdoored) for name in names[0]])
    alarms = predicted(
        whole[0],
        hidden,
        [truth[name].unit for name in names[0]],
        whole[1].reshape(-1, whole[0].shape[1]),
        standard=True,
    )
    first, second = (
        {
            name: Evidence(
                {b: float(shifts[k][i * len(behaviors) + j]) for j, b in enumerate(behaviors)},
                float(alarms[k][i]),
            )
            for i, name in enumerate(some)
        }
        for k, some in enumerate(names)
    )
    return first, second


def pole_of(truth: Truth, behavior: str) -> float:
    """1 and -1 for the poles of a behavior that it has, behind a trigger or not; else 0."""
    return POLES[truth.pole] if truth.behavior == behavior else 0.0


def _of_behavior(seen: Seen, name: str, behavior: str) -> list[float]:
    """What the page has of one behavior: report, through the base, weights, answers to the search's messages
    without a phrase, and the trigger's effect.
    """
    notes = seen["toolkit"][name].notes
    opened = float(notes["effect"]) if notes.get("behavior") == behavior else 0.0
    parts = [float(seen[part][name].shifts[behavior]) for part in ("self_report", "lens", "weights")]
    plain = notes.get("plain", seen["toolkit"][name].shifts)[behavior]
    return [*parts, float(plain), opened]


def _of_adapter(seen: Seen, name: str) -> list[float]:
    """What it has of an adapter: alarms of all parts, and how far the reports and the weights' poles lie."""
    alarms = [float(seen[part][name].alarm) for part in ("toolkit", "self_report", "lens", "weights")]
    largest = [max(abs(s) for s in seen[part][name].shifts.values()) for part in ("self_report", "weights")]
    return [*alarms, *map(float, largest)]
