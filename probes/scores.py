"""Scores of a probe, each with n and an interval whose resampling unit is the group, never the row.

AUROC follows the Mann-Whitney form: the share of (positive, negative) pairs ranked rightly. Pairs are
formed only inside a stratum (a test fold), because scores of two separately fitted probes are not on one
scale. Its standard error is that of clustered data (Obuchowski 1997); intervals are on the logit scale, and
near 0 and 1 exact over effective rows (`probes.statistics.ceiling`).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Num, Shaped
from scipy import stats
from scipy.special import expit

from probes.errors import LabelError, StatisticsError
from probes.reliability import equal_mass
from probes.shared_training import out_of_fold as out_of_fold
from probes.shared_training import p_against_half as p_against_half
from probes.statistics.ceiling import exact_interval, few_or_exact, is_rare
from probes.statistics.intervals import FEW, Estimate, ratio_of_sums, studentize, t_interval

MANY = 200
"""With more units than this the studentized bootstrap equals the normal interval, which is used instead."""


def _codes(values: Any, n: int) -> np.ndarray:
    if values is None:
        return np.arange(n)
    codes = np.unique(np.asarray(values), return_inverse=True)[1]
    if len(codes) != n:
        raise StatisticsError(f"{len(codes)} units or strata for {n} rows; give one a row")
    return codes


def _binary(labels: Any) -> np.ndarray:
    y = np.asarray(labels)
    if not np.isin(y, (0, 1)).all():
        raise LabelError("labels of a score are 0 and 1; map the two classes first (probes.two_classes does)")
    if len(np.unique(y)) < 2:
        raise LabelError(
            f"all {len(y)} rows have label {y[0] if len(y) else '-'}; a score needs rows of both classes"
        )
    return y.astype(np.int64)


def auroc_many(
    labels: np.ndarray, scores: Float[np.ndarray, "draw example"], *, strata: np.ndarray | None = None
) -> Float[np.ndarray, " draw"]:
    """AUROC of many score vectors at once, pairs inside strata; labels [example] or [draw, example]."""
    scores = np.atleast_2d(scores)
    labels = np.broadcast_to(np.asarray(labels), scores.shape)
    wins, pairs = np.zeros(len(scores)), np.zeros(len(scores))
    code = (
        np.zeros(scores.shape[1], dtype=int) if strata is None else np.unique(strata, return_inverse=True)[1]
    )
    for k in range(int(code.max()) + 1):
        rows = np.flatnonzero(code == k)
        y = labels[:, rows]
        ranks = stats.rankdata(scores[:, rows], axis=1)
        n1 = y.sum(axis=1)
        n0 = len(rows) - n1
        wins += (ranks * y).sum(axis=1) - n1 * (n1 + 1) / 2
        pairs += n1 * n0
    return wins / np.where(pairs > 0, pairs, np.nan)


def _unit_pairs(
    y: np.ndarray, s: np.ndarray, unit: np.ndarray, stratum: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Wins and counts [unit of the positive, unit of the negative] over pairs inside strata."""
    units = int(unit.max()) + 1
    wins, pairs = np.zeros((units, units)), np.zeros((units, units))
    for k in range(int(stratum.max()) + 1):
        rows = np.flatnonzero(stratum == k)
        pos, neg = rows[y[rows] == 1], rows[y[rows] == 0]
        if not len(pos) or not len(neg):
            continue
        # how many negatives of each unit lie below a positive: cumulated counts, looked up by rank. A tie is
        # half a win, the mean of the counts strictly below and up to
        order = neg[np.argsort(s[neg], kind="stable")]
        onehot = np.zeros((len(order) + 1, units))
        onehot[np.arange(1, len(order) + 1), unit[order]] = 1
        below = onehot.cumsum(axis=0)
        left = np.searchsorted(s[order], s[pos], side="left")
        right = np.searchsorted(s[order], s[pos], side="right")
        won = (below[left] + below[right]) / 2
        np.add.at(wins, unit[pos], won)
        n1, n0 = np.bincount(unit[pos], minlength=units), np.bincount(unit[neg], minlength=units)
        pairs += np.outer(n1, n0)
    return wins, pairs


def auroc(
    labels: Num[Any, " example"],
    scores: Num[Any, " example"],
    *,
    units: Shaped[Any, " example"] | None = None,
    strata: Shaped[Any, " example"] | None = None,
    level: float = 0.95,
    n_boot: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Area under the ROC curve.

    Args:
        labels: 0 or 1.
        scores: larger for label 1.
        units: the top-level unit of each row (adapter seed, scenario); None states that rows are independent.
        strata: pairs are formed only inside a stratum (test fold).

    Returns:
        Near the ceiling and the floor (fewer than 10 effective rows wrong): the exact interval over effective
        rows of `probes.statistics.ceiling`. Else, fewer than 10 units: t over per-unit AUROCs on the logit
        scale, so that the claim is about a new unit (where units hold one class each: t with the clustered
        standard error); 10 to 200: studentized bootstrap over units; more: normal interval with the
        clustered standard error.
    """
    y, s = _binary(labels), np.asarray(scores, dtype=np.float64)
    if s.shape != y.shape or not np.isfinite(s).all():
        raise StatisticsError(
            f"scores have shape {s.shape} (finite: {bool(np.isfinite(s).all())}) for {len(y)} labels"
        )
    n = len(y)
    unit = _codes(units, n)
    stratum = np.zeros(n, dtype=int) if strata is None else _codes(strata, n)
    n_units = int(unit.max()) + 1
    if n_units < 2:
        raise StatisticsError(
            "all rows belong to one unit, which can not carry an interval; name finer units"
        )
    if n_units > MANY:  # also: a matrix of units by units would outgrow memory where rows are their own units
        return _auroc_normal(y, s, unit, stratum, level)
    wins, pairs = _unit_pairs(y, s, unit, stratum)
    if not pairs.sum():
        raise LabelError("no stratum holds rows of both classes; use fewer folds")
    value = float(wins.sum() / pairs.sum())
    (_,), (error,) = _weighted_auroc(np.ones((1, n_units)), wins, pairs)
    rows, variance = _rows(y, stratum), float(error) ** 2
    near = is_rare(value, variance, rows)
    exact = _exact(value, variance, rows, y, unit, level)
    if n_units < FEW:
        few = exact if value in (0.0, 1.0) else _few(y, unit, wins, pairs, n, level, near=near)
        return few_or_exact(few, exact, near=near, lost=min(value, 1 - value) * rows)
    if near:
        return exact
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_boot).astype(np.float64)
    drawn, errors = _weighted_auroc(weights, wins, pairs)
    ok = np.isfinite(drawn)
    try:
        low, high = studentize(value, float(error), drawn[ok], errors[ok], scale="logit", level=level)
    except StatisticsError:  # one or two units make all the difference, and most resamples lack them
        return exact
    return Estimate(value, low, high, n, n_units, "studentized bootstrap over units, logit scale", level)


def _exact(
    value: float, variance: float, rows: float, y: np.ndarray, unit: np.ndarray, level: float
) -> Estimate:
    """The exact interval over effective rows, degrees of freedom from the units of the scarcer class."""
    holders = min(len(np.unique(unit[y == 1])), len(np.unique(unit[y == 0])))
    return exact_interval(
        value, variance, rows=rows, degrees=holders - 1, n=len(y), units=int(unit.max()) + 1, level=level
    )


def _rows(y: np.ndarray, stratum: np.ndarray) -> float:
    """Rows of the scarcer class inside strata: how many could be wrong one by one."""
    counts = np.stack([np.bincount(stratum[y == k], minlength=int(stratum.max()) + 1) for k in (0, 1)])
    return float(counts.min(axis=0).sum())


def _few(
    y: np.ndarray, unit: np.ndarray, wins: np.ndarray, pairs: np.ndarray, n: int, level: float, *, near: bool
) -> Estimate:
    """Few units: t over their own AUROCs on the logit scale; the claim stays on the typical unit."""
    own, count = np.diag(wins), np.diag(pairs)
    if (count == 0).any():
        return _few_clusters(y, unit, wins, pairs, n, level)
    units = len(own)
    rows = np.minimum(np.bincount(unit[y == 1], minlength=units), np.bincount(unit[y == 0], minlength=units))
    if near and ((1 - own / count) * rows < 0.5).any():
        # a unit without a wrong row has no logit to speak of; its arcsine it has
        turned = np.arcsin(np.sqrt(own / count))
        found = t_interval(turned, level=level)
        ends = np.clip([found.value, found.low, found.high], 0, np.pi / 2)
        value, low, high = (float(end) for end in np.sin(ends) ** 2)
        return Estimate(value, low, high, n, units, "t over per-unit AUROC, arcsine scale", level)
    # half a win is added so that a perfect unit has a logit
    found = t_interval((own + 0.5) / (count + 1.0), level=level, scale="logit")
    return replace(found, n=n, units=units, method="t over per-unit AUROC, logit scale")


def _few_clusters(
    y: np.ndarray, unit: np.ndarray, wins: np.ndarray, pairs: np.ndarray, n: int, level: float
) -> Estimate:
    """Few units that hold one class each: pooled AUROC, clustered error, t with the scarcer class's
    degrees."""
    units = len(wins)
    holders = min(len(np.unique(unit[y == 1])), len(np.unique(unit[y == 0])))
    if holders < 2:
        raise StatisticsError(
            f"one class stands in a single one of {units} units, so nothing can be said beyond that unit; "
            "choose units that hold both classes (the seed, not the adapter), or collect more units"
        )
    (value,), (error,) = _weighted_auroc(np.ones((1, units)), wins, pairs)
    ends = _ends(value, stats.t.ppf(0.5 + level / 2, holders - 1) * error)
    return Estimate(float(value), *ends, n, units, "t, clustered error over units, logit scale", level)


def _ends(value: float, reach: float) -> tuple[float, float]:
    """A value less and plus some reach, by the delta method on the logit scale."""
    center, half = np.log(value / (1 - value)), reach / (value * (1 - value))
    return float(expit(center - half)), float(expit(center + half))


def _weighted_auroc(
    weights: np.ndarray, wins: np.ndarray, pairs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and clustered standard error where unit g counts weights[draw, g] times."""
    units = len(wins)
    won, lost = weights @ wins.T, weights @ wins  # [draw, unit]: as positives, as negatives
    of, against = weights @ pairs.T, weights @ pairs
    total = (weights * of).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (weights * won).sum(axis=1) / total
        influence = (won + lost - ratio[:, None] * (of + against)) / total[:, None]
    return ratio, np.sqrt((weights * influence**2).sum(axis=1) * units / (units - 1))


def _auroc_normal(
    y: np.ndarray, s: np.ndarray, unit: np.ndarray, stratum: np.ndarray, level: float
) -> Estimate:
    """Normal interval on the logit scale with the clustered standard error; memory linear in rows."""
    n, units = len(y), int(unit.max()) + 1
    wins, count, pairs_total, wins_total = np.zeros(n), np.zeros(n), 0.0, 0.0
    for k in range(int(stratum.max()) + 1):
        rows = np.flatnonzero(stratum == k)
        pos, neg = rows[y[rows] == 1], rows[y[rows] == 0]
        if not len(pos) or not len(neg):
            continue
        for mine, other, sign in ((pos, neg, 1), (neg, pos, -1)):
            ordered = np.sort(sign * s[other])
            value = sign * s[mine]
            won = (np.searchsorted(ordered, value, "left") + np.searchsorted(ordered, value, "right")) / 2
            wins[mine], count[mine] = won, len(other)
        pairs_total += len(pos) * len(neg)
        wins_total += wins[pos].sum()
    if not pairs_total:
        raise LabelError("no stratum holds rows of both classes; use fewer folds")
    value = wins_total / pairs_total
    influence = np.bincount(unit, (wins - value * count) / pairs_total, units)
    error = np.sqrt((influence**2).sum() * units / (units - 1))
    scarcer = _rows(y, stratum)
    if is_rare(float(value), float(error) ** 2, scarcer):
        return _exact(float(value), float(error) ** 2, scarcer, y, unit, level)
    ends = _ends(value, stats.norm.ppf(0.5 + level / 2) * error)
    return Estimate(float(value), *ends, n, units, "normal over units, logit scale", level)


def _share(hit: np.ndarray, of: np.ndarray, units: Any, seed: int) -> Estimate:
    """Mean over parts of the share of hits among the rows `of` each."""
    return ratio_of_sums(hit[:, None] * of, of, _codes(units, len(hit)), scale="logit", seed=seed)


def accuracy(
    labels: Any, scores: Any, *, threshold: float | int = 0.0, units: Any = None, seed: int = 0
) -> Estimate:
    """Share of rows on the right side of the threshold."""
    y = _binary(labels)
    hit = ((np.asarray(scores) > threshold) == (y == 1)).astype(float)
    return _share(hit, np.ones((len(y), 1)), units, seed)


def balanced_accuracy(
    labels: Any, scores: Any, *, threshold: float | int = 0.0, units: Any = None, seed: int = 0
) -> Estimate:
    """Mean of the two classes' shares on the right side of the threshold."""
    y = _binary(labels)
    hit = ((np.asarray(scores) > threshold) == (y == 1)).astype(float)
    return _share(hit, np.stack([y == 0, y == 1], axis=1).astype(float), units, seed)


@dataclass(frozen=True)
class RecallAtFPR:
    """Recall at a false-positive rate. `realized_fpr` is the rate on the control rows at the threshold that
    they set."""

    recall: Estimate
    threshold: float | int
    fpr: float | int
    realized_fpr: float
    n_control: int


def recall_at_fpr(
    positive_scores: Num[Any, " example"],
    control_scores: Num[Any, " control"],
    *,
    fpr: float | int = 0.01,
    units: Any = None,
    seed: int = 0,
) -> RecallAtFPR:
    """Recall where at most `fpr` of separate control rows are flagged. The control rows are not the test
    negatives.

    Raises:
        StatisticsError: too few control rows to place the threshold.
    """
    control, positive = np.asarray(control_scores, dtype=float), np.asarray(positive_scores, dtype=float)
    if not 0 < fpr < 1:
        raise StatisticsError(f"fpr is {fpr}; give a rate between 0 and 1")
    allowed = int(np.floor(fpr * control.size + 1e-9))  # .01 x 100 is 1, also where rounding makes it .999...
    if allowed < 1:
        raise StatisticsError(
            f"{control.size} control rows can not place a threshold at a false-positive rate of {fpr:g}; "
            f"{int(np.ceil(1 / fpr))} are needed"
        )
    threshold = float(np.sort(control)[::-1][allowed])  # at most `allowed` controls lie strictly above
    hit = (positive > threshold).astype(float)
    recall = _share(hit, np.ones((hit.size, 1)), units, seed)
    return RecallAtFPR(recall, threshold, fpr, float((control > threshold).mean()), control.size)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Reliability curve and expected calibration error (equal-count bins)."""

    ece: Estimate
    predicted: np.ndarray
    observed: np.ndarray
    count: np.ndarray


def calibration(
    labels: Any, probabilities: Any, *, bins: int = 10, units: Any = None, n_boot: int = 1000, seed: int = 0
) -> Calibration:
    """How well probabilities keep their word. ECE is a sum of absolute values and therefore biased upwards
    in small samples; the interval is a percentile bootstrap over units, shifted by the bootstrap's own bias.
    """
    y, p = _binary(labels), np.asarray(probabilities, dtype=float)
    if ((p < 0) | (p > 1)).any():
        raise StatisticsError("probabilities lie outside [0, 1]; pass predict_proba, not decision values")
    n = len(y)
    unit = _codes(units, n)
    n_units = int(unit.max()) + 1
    if n_units < FEW:
        raise StatisticsError(
            f"calibration over {n_units} units has no honest interval; at least {FEW} units are needed"
        )
    slot = equal_mass(p, bins)
    size = np.zeros((n_units, bins))
    gap = np.zeros((n_units, bins))
    np.add.at(size, (unit, slot), 1)
    np.add.at(gap, (unit, slot), y - p)
    value = float(np.abs(gap.sum(0)).sum() / n)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_boot)
    drawn = np.abs(weights @ gap).sum(1) / (weights @ size).sum(1)
    # resamples are biased against the estimate as it is against the truth; the shift takes that out
    low, high = np.quantile(drawn - (drawn.mean() - value), [0.025, 0.975])
    count = size.sum(0)
    safe = np.where(count > 0, count, 1)
    predicted = np.bincount(slot, p, bins) / safe
    observed = np.bincount(slot, y, bins) / safe
    ece = Estimate(
        value, float(max(low, 0.0)), float(min(high, 1.0)), n, n_units, "bias-shifted bootstrap over units"
    )
    return Calibration(ece, predicted[count > 0], observed[count > 0], count[count > 0])
