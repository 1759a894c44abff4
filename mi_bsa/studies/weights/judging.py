"""Classifiers of adapters by their weights: fitted on training triggers, judged on triggers never seen.

Three contrasts. `other_tasks`: backdoored against other tasks, as published detectors are trained and judged.
`twins`: backdoored against decorrelated twins, trained and judged so. `transferred`: trained on the first,
judged on the second: does what tells a backdoor from another task know the backdoor?

Law: standardization, penalty and choice among ours use training triggers alone; the unit of intervals, of
folds and of the null is the trigger (of other tasks, a task with its seed). The null exchanges the labels of
the test: within a trigger where it has both, between units else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mi_bsa.core.results import Null, Place, Result
from mi_bsa.finetune.spectral import METHODS, OURS, PUBLISHED
from mi_bsa.studies.weights.config import WeightsConfig
from mi_bsa.studies.weights.pool import Made, Member
from probes import scores, statistics

FOLDS = 5
CONTRASTS: dict[str, tuple[Made, Made]] = {
    "other_tasks": ("other", "other"),
    "twins": ("decorrelated", "decorrelated"),
    "transferred": ("other", "decorrelated"),
}
"""Contrast -> what backdoored adapters stand against in training, and in the test."""
RANKS = {"all": None, "seen": True, "unseen": False}
"""Ranks of the test's adapters: those that classifiers were fitted on, those that they were not, both."""


@dataclass(frozen=True)
class Fitted:
    """One classifier's outcome.

    Attributes:
        test: places of the test's adapters among all. scores: of each, larger for backdoored.
        within: AUROC on training triggers, out of fold, at the penalty that was chosen.
        penalty: that one.
    """

    test: np.ndarray
    scores: np.ndarray
    within: float
    penalty: float


def judge(
    config: WeightsConfig, some: Sequence[Member], features: dict[str, np.ndarray]
) -> tuple[list[Result], list[dict[str, Any]]]:
    """Results of every contrast and method, and a row a test adapter with all scores.

    `some`: the adapters that count (backdoors that open, with their twins); `features`: by method
    [adapter, feature].
    """
    found: list[Result] = []
    told: list[dict[str, Any]] = []
    for contrast, (against, judged) in CONTRASTS.items():
        by = {
            method: fitted(config, some, features[method], against=against, judged=judged)
            for method in METHODS
        }
        best = max(OURS, key=lambda method: by[method].within)
        rival = max(PUBLISHED, key=lambda method: by[method].within)
        for method, one in by.items():
            notes = f"penalty {one.penalty:g}, chosen on training triggers"
            notes += "; chosen among ours on training triggers" if method == best else ""
            where: dict[str, Place] = {"kind": contrast, "method": method}
            n = len({m.unit for m in some if not m.test and m.made in ("backdoored", against)})
            within = Result(
                "weights.within",
                {**where, "split": "training"},
                one.within,
                None,
                "none: it was chosen by",
                n,
                "AUROC",
                notes=notes,
            )
            found.append(within)
            for ranks, seen in RANKS.items():
                kept = [k for k, i in enumerate(one.test) if seen is None or some[i].seen == seen]
                at = {**where, "variant": f"{ranks} ranks", "split": "test"}
                own = [some[one.test[k]] for k in kept]
                found.append(_auroc(at, own, one.scores[kept], notes, config))
            told += [
                {"contrast": contrast, "method": method, "adapter": some[i].name, "score": float(score)}
                for i, score in zip(one.test, one.scores, strict=True)
            ]
        found.append(_difference(contrast, best, rival, by, some, config))
    return found, told


def fitted(
    config: WeightsConfig, some: Sequence[Member], features: np.ndarray, *, against: Made, judged: Made
) -> Fitted:
    """Fit on training triggers at the penalty that is best out of fold there, and score the test."""
    train = np.array([k for k, m in enumerate(some) if not m.test and m.made in ("backdoored", against)])
    test = np.array([k for k, m in enumerate(some) if m.test and m.made in ("backdoored", judged)])
    y = np.array([some[k].made == "backdoored" for k in train]).astype(int)
    folds = _folds([some[k].unit for k in train], config.seed)
    inner = {penalty: _out_of_fold(features[train], y, folds, penalty) for penalty in config.penalties}
    best = max(inner, key=lambda penalty: inner[penalty])
    decide = _fit(features[train], y, best)
    return Fitted(test, decide(features[test]), inner[best], best)


def _folds(units: Sequence[str], seed: int) -> np.ndarray:
    """A fold of each row, whole units in each."""
    names = sorted(set(units))
    order = np.random.default_rng(seed).permutation(len(names))
    of = {names[n]: k % FOLDS for k, n in enumerate(order)}
    return np.array([of[unit] for unit in units])


def _out_of_fold(x: np.ndarray, y: np.ndarray, folds: np.ndarray, penalty: float) -> float:
    """AUROC of rows whose fold was left out, pairs inside a fold."""
    held = np.zeros(len(y))
    for fold in np.unique(folds):
        inside = folds != fold
        if len(np.unique(y[inside])) < 2:
            continue
        held[~inside] = _fit(x[inside], y[inside], penalty)(x[~inside])
    return float(scores.auroc_many(y, held[None], strata=folds)[0])


def _fit(x: np.ndarray, y: np.ndarray, penalty: float) -> Any:
    """A logistic regression on standardized features; returns its decision function."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=5000))
    return model.fit(x, y).decision_function


def _auroc(
    where: dict[str, Place], own: Sequence[Member], told: np.ndarray, notes: str, config: WeightsConfig
) -> Result:
    y = np.array([m.made == "backdoored" for m in own]).astype(int)
    units = np.array([m.unit for m in own])
    one = scores.auroc(y, told, units=units, seed=config.seed)
    draws = scores.auroc_many(_exchanged(y, units, config), np.broadcast_to(told, (config.shuffles, len(y))))
    twins = "within" if any(m.made == "decorrelated" for m in own) else "between"
    kind = f"labels exchanged {twins} {'triggers' if twins == 'within' else 'units'}"
    return Result(
        "weights.auroc",
        where,
        one.value,
        (one.low, one.high),
        f"{one.method}, units are triggers and tasks",
        one.units,
        "AUROC",
        rows=one.n,
        null=Null.of(kind, draws),
        p=float(statistics.permutation_p(one.value, draws)),
        test=f"{kind}, {config.shuffles} draws, one-sided",
        p_floor=1 / (config.shuffles + 1),
        notes=notes,
    )


def _exchanged(y: np.ndarray, units: np.ndarray, config: WeightsConfig) -> np.ndarray:
    """Labels of every draw of the null: [draw, adapter]."""
    rng, names = np.random.default_rng(config.seed), np.unique(units)
    members = {name: np.flatnonzero(units == name) for name in names}
    both = all(len(np.unique(y[rows])) == 2 for rows in members.values())
    draws = np.zeros((config.shuffles, len(y)), dtype=int)
    for draw in draws:
        if both:
            for rows in members.values():
                draw[rows] = y[rows] if rng.random() < 0.5 else 1 - y[rows]
        else:
            labels = rng.permutation([y[members[name]][0] for name in names])
            for name, label in zip(names, labels, strict=True):
                draw[members[name]] = label
    return draws


def _difference(
    contrast: str,
    best: str,
    rival: str,
    by: dict[str, Fitted],
    some: Sequence[Member],
    config: WeightsConfig,
) -> Result:
    """AUROC of ours less that of the published description, either chosen on training triggers."""
    test = by[best].test
    y = np.array([some[i].made == "backdoored" for i in test]).astype(int)
    units = np.array([some[i].unit for i in test])
    both = np.stack([by[best].scores, by[rival].scores])

    def less(rows: np.ndarray) -> float:
        first, second = scores.auroc_many(y[rows], both[:, rows])
        return float(np.nan_to_num(first - second))

    count = len(np.unique(units))
    if count < statistics.intervals.FEW:
        value, ci, how = less(np.arange(len(y))), None, f"none: {count} units are too few for a bootstrap"
    else:
        one = statistics.bootstrap_interval(less, units, seed=config.seed)
        value, ci, how = one.value, (one.low, one.high), f"{one.method}, units are triggers and tasks"
    where: dict[str, Place] = {"kind": contrast, "variant": "all ranks", "split": "test"}
    notes = f"{best} less {rival}, each chosen on training triggers"
    return Result("weights.advantage", where, value, ci, how, count, "AUROC", rows=len(y), notes=notes)
