"""Reliability of probabilities: do events that are given p happen in a share p of cases?

The law: the expected calibration error (ECE; Naeini et al. 2015, bins of equal mass) is a mean of absolute
values, so it is above 0 for a probe that is calibrated, and the more so the fewer the rows: n rows in b
bins give about sqrt(2 b p (1 - p) / (pi n)). It stands beside its null, the ECE of labels that are drawn
from the very probabilities (`calibrated`), never alone. The Brier score has no such bias, but has no zero
either; its null says what it would be if the probabilities were true.

A temperature (Guo et al. 2017, arXiv 1706.04599) or Platt's two numbers (Platt 1999) are fitted on rows of
development that are neither in training nor in the test; the targets are Platt's, drawn in from 0 and 1, so
that rows that are told apart without an error do not give an endless slope.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Num
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from probes.errors import StatisticsError

Kind = Literal["temperature", "platt"]
BINS = 10


@dataclass(frozen=True)
class Scaling:
    """Logits made honest: `apply(logits)` = sigmoid(slope * logits + offset); a slope below 1 says that
    they were too sure, an offset that one class was favored."""

    kind: Kind
    slope: float
    offset: float

    def apply(self, logits: Num[np.ndarray, " example"]) -> Float[np.ndarray, " example"]:
        """Probabilities of the second class."""
        return np.asarray(expit(self.slope * np.asarray(logits, np.float64) + self.offset))


def scaling(
    logits: Num[np.ndarray, " example"], labels: Num[np.ndarray, " example"], *, kind: Kind = "platt"
) -> Scaling:
    """Slope and, of Platt's form, offset with the largest likelihood; a temperature's slope is not negative.

    Raises:
        StatisticsError: one class only, or logits that are not finite.
    """
    z, y = np.asarray(logits, np.float64), np.asarray(labels)
    ones, zeros = int((y == 1).sum()), int((y == 0).sum())
    if not ones or not zeros or ones + zeros != len(y) or z.shape != y.shape or not np.isfinite(z).all():
        raise StatisticsError(
            f"{len(z)} logits (finite: {bool(np.isfinite(z).all())}), {ones} labels of 1 and {zeros} of 0; "
            "fit a scaling on finite logits of both classes"
        )
    target = np.where(y == 1, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    size = max(float(np.abs(z).max()), 1e-12)  # logits of any unit are as easy
    unit = z / size

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        given = at[0] * unit + at[1]
        off = expit(given) - target
        value = -(target * log_expit(given) + (1 - target) * log_expit(-given)).mean()
        return float(value), np.array([(off * unit).mean(), off.mean()])

    free: tuple[float | None, float | None] = (None, None)
    bounds = [(0.0, None), (0.0, 0.0)] if kind == "temperature" else [free, free]
    found = minimize(loss, np.array([size, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    return Scaling(kind, float(found.x[0]) / size, float(found.x[1]))


def equal_mass(probabilities: Num[np.ndarray, " example"], bins: int = BINS) -> Int[np.ndarray, " example"]:
    """The bin of each row, bins of equal mass; equal probabilities share a bin."""
    edges = np.quantile(probabilities, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(edges, probabilities, side="right")


def ece(
    labels: Num[np.ndarray, "*draw example"],
    probabilities: Num[np.ndarray, " example"],
    *,
    bins: int = BINS,
) -> Float[np.ndarray, "*draw"]:
    """Expected calibration error of each labeling: |observed - predicted| of a bin, weighed by its rows."""
    p = _checked(probabilities)
    slot = equal_mass(p, bins)
    inside = np.zeros((len(p), bins))
    inside[np.arange(len(p)), slot] = 1 / len(p)
    return np.asarray(np.abs((np.asarray(labels) - p) @ inside).sum(-1))


def brier(
    labels: Num[np.ndarray, "*draw example"], probabilities: Num[np.ndarray, " example"]
) -> Float[np.ndarray, "*draw"]:
    """Mean squared distance of label and probability; .25 is what a constant one half has."""
    p = _checked(probabilities)
    return np.asarray(((np.asarray(labels) - p) ** 2).mean(-1))


def calibrated(
    probabilities: Num[np.ndarray, " example"], draws: int, *, rng: np.random.Generator
) -> Int[np.ndarray, "draw example"]:
    """Labels for which the probabilities are true, row by row: the null of every number here."""
    p = _checked(probabilities)
    return (rng.random((draws, len(p))) < p).astype(np.int64)


def _checked(probabilities: np.ndarray) -> np.ndarray:
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 1 or not len(p) or not ((p >= 0) & (p <= 1)).all():
        raise StatisticsError(
            "probabilities lie outside [0, 1], or there are none; pass a sigmoid's values, no decision values"
        )
    return p
