"""Mean difference ("mass mean"), plain or whitened (Marks and Tegmark 2023, arXiv 2310.06824).

Plain: w = mu_1 - mu_0. Whitened: w = S^-1 (mu_1 - mu_0) with the pooled within-class covariance S, shrunk
towards a multiple of the identity so that it is invertible where rows are fewer than dimensions. The
threshold lies halfway.
Massive dimensions dominate the plain form: compare with the whitened one, or standardize.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Num

from probes.linear import BinaryProbe, ManyFits
from probes.moments import Columns, Slice, by_class


def within_covariance(parts: dict, shrinkage: float | int) -> np.ndarray:
    """Pooled within-class covariance [d, d], shrunk by `shrinkage` in [0, 1] towards its mean variance."""
    n = sum(part.n for part in parts.values())
    covariance = sum(part.scatter for part in parts.values()) / n
    d = len(covariance)
    return (1 - shrinkage) * covariance + shrinkage * (np.trace(covariance) / d) * np.eye(d)


def whitened(columns: Columns, shrinkage: float | int) -> Float[np.ndarray, "target d_model"]:
    """S^-1 (mu_1 - mu_0) of every label column at once, from one factorization of the total covariance.

    S = total - between, and between is share * delta delta' with share = n1 n0 / n^2: a change of rank one,
    so that the inverse of each column's S is had from the total's eigenbasis by Sherman and Morrison's
    formula.
    """
    total = columns.rows.T @ columns.rows / columns.n
    share = columns.high_n * columns.low_n / columns.n**2
    between = share * (columns.delta**2).sum(axis=1)
    mean_variance = (np.trace(total) - between) / len(total)
    values, basis = np.linalg.eigh(total)
    rotated = columns.delta @ basis
    w = np.empty_like(rotated)
    for t, delta in enumerate(rotated):
        # eigenvalues of a covariance are never below zero, but rounding takes those of a deficient one there
        diagonal = (1 - shrinkage) * np.clip(values, 0, None) + shrinkage * mean_variance[t]
        u = delta / diagonal
        w[t] = u / (1 - (1 - shrinkage) * share[t] * (delta @ u))
    return w @ basis.T


class MeanDifferenceProbe(BinaryProbe):
    """Threshold halfway between two class means.

    Args:
        whiten: divide by the within-class covariance.
        shrinkage: in [0, 1]; used when whitening.
    """

    def __init__(self, *, whiten: bool = False, shrinkage: float | int = 0.1) -> None:
        self.whiten = whiten
        self.shrinkage = shrinkage

    def fit_stream(self, slices: Iterable[Slice]) -> "MeanDifferenceProbe":
        parts = by_class(slices)
        low, high = self._two(parts)
        w = parts[high].mean - parts[low].mean
        if self.whiten:
            w = np.linalg.lstsq(within_covariance(parts, self.shrinkage), w, rcond=None)[0]
        middle = (parts[high].mean + parts[low].mean) / 2
        self._learnt(w[None], np.array([-middle @ w]), np.array([low, high]))
        return self

    def fit_columns(
        self, x: Num[np.ndarray, "example d_model"], y: Num[np.ndarray, "example target"]
    ) -> ManyFits:
        """All 0/1 label columns of one training set at once; see `probes.linear.Closed`."""
        columns = Columns.of(x, y)
        w = whitened(columns, self.shrinkage) if self.whiten else columns.delta
        return ManyFits(w[None], columns.halfway(w)[None])
