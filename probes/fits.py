"""Held-out scores of many label columns at once: the inner step of sweep, transfer and controls.

`held_out` fits every label column of every job with every penalty on its training rows and scores its test
rows. Closed forms are written as matrix products over all columns; logistic goes through `probes.solver`.
The same names give the estimators of this package for the final fit (`estimator`), and a test holds that
both agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from probes.errors import SourceError, StatisticsError, nearest
from probes.lda import LDAProbe
from probes.linear import LinearProbe
from probes.logistic import LogisticProbe
from probes.mean_difference import MeanDifferenceProbe

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
METHODS = ("logistic", "mean_difference", "whitened", "lda")
PENALIZED = ("logistic",)


def penalties_of(method: str, penalties: Sequence[float | int]) -> tuple[float, ...]:
    """The penalties that a method has: all, or one placeholder (nan)."""
    if method not in METHODS:
        raise SourceError(f"no method {method!r}; {nearest(method, METHODS)}")
    return tuple(penalties) if method in PENALIZED else (float("nan"),)


def estimator(method: str, penalty: float | int) -> LinearProbe:
    """The scikit-learn style estimator behind a method's name."""
    if method == "logistic":
        return LogisticProbe(C=penalty)
    if method == "mean_difference":
        return MeanDifferenceProbe()
    if method == "whitened":
        return MeanDifferenceProbe(whiten=True)
    if method == "lda":
        return LDAProbe()
    raise SourceError(f"no method {method!r}; {nearest(method, METHODS)}")


@dataclass(frozen=True, eq=False)
class Job:
    """One training set with its label columns [example, target], and the blocks of rows to score."""

    x: Num[np.ndarray, "example d_model"]
    y: Num[np.ndarray, "example target"]
    tests: Sequence[Num[np.ndarray, "_ d_model"]]


def held_out(
    method: str,
    jobs: Sequence[Job],
    *,
    penalties: Sequence[float | int] = PENALTIES,
    standardize: bool = True,
    device: str = "cpu",
) -> list[list[Float[np.ndarray, "penalty target row"]]]:
    """Decision values of each test block of each job under every penalty and label column.

    All jobs have equally many label columns. Logistic jobs are solved in one batch; `standardize` concerns
    them only.
    """
    if method == "logistic":
        from probes.solver import solve_many

        given = [j.x for j in jobs], [j.y for j in jobs], penalties
        try:
            found = solve_many(*given, standardize=standardize, device=device)
        except StatisticsError:  # rows that hardly differ between classes: the gradient drowns in float32
            found = solve_many(*given, standardize=standardize, device=device, dtype="float64")
        weights = [(f.coef, f.intercept) for f in found]
    else:
        closed = [_closed(method, np.asarray(j.x, float), np.asarray(j.y, float)) for j in jobs]
        weights = [(w[None], b[None]) for w, b in closed]
    out = []
    for job, (w, b) in zip(jobs, weights, strict=True):
        flat = w.reshape(-1, w.shape[-1])
        out.append(
            [
                (flat @ np.asarray(t, dtype=w.dtype).T).reshape(*b.shape, -1).astype(np.float64)
                + b[..., None]
                for t in job.tests
            ]
        )
    return out


def _closed(
    method: str, x: np.ndarray, y: np.ndarray, shrinkage: float | int = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [target, d] and intercepts [target] of the methods that have a closed form."""
    n, d = x.shape
    center = x.mean(axis=0)
    z = x - center
    n1 = y.sum(axis=0)
    n0 = n - n1
    high, low = (y.T @ z) / n1[:, None], ((1 - y).T @ z) / n0[:, None]
    delta, middle = high - low, (high + low) / 2
    if method == "mean_difference":
        w = delta
    else:
        # within = total - between, and between is delta delta' n1 n0 / n^2: a rank-one change of one
        # factorization
        total = z.T @ z / n
        share = n1 * n0 / n**2
        size = share * (delta**2).sum(axis=1)
        mean_variance = (np.trace(total) - size) / d
        w = np.empty_like(delta)
        values, basis = np.linalg.eigh(total)
        rotated = delta @ basis
        for t in range(len(delta)):
            diagonal = (1 - shrinkage) * np.clip(values, 0, None) + shrinkage * mean_variance[t]
            u = rotated[t] / diagonal
            w[t] = u / (1 - (1 - shrinkage) * share[t] * (rotated[t] @ u))
        w = w @ basis.T
    b = -np.einsum("td,td->t", middle, w)
    if method == "lda":
        b = b + np.log(n1 / n0)
    return w, b - w @ center
