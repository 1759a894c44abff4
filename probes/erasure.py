"""LEACE: the least change after which no linear probe can read a concept (Belrose et al. 2023, arXiv
2306.03819).

x' = x - W^+ Q W (x - mu), where W = S^(-1/2) whitens the rows and Q projects onto the column space of W
Cov(x, z). The law: after erasure the cross-covariance with every class indicator is zero on the rows of the
fit, so all class means agree, and no other affine map that reaches this moves the rows less in mean square.
Why this is our own code: docs/decisions/0010-own-solver-and-leace.md.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from probes.errors import LabelError
from probes.moments import Slice, by_class, pooled
from probes.validation import checked_labels, checked_rows


class LeaceEraser(TransformerMixin, BaseEstimator):
    """Erase what is linearly readable about a label.

    Args:
        tolerance: singular values below this share of the largest count as zero.

    Attributes:
        removal_: [d_model, d_model]; the erased part of a row is `(x - mean_) @ removal_.T`.
        mean_: [d_model].
        rank_: how many directions are removed (classes - 1 at most).
    """

    def __init__(self, *, tolerance: float | int = 1e-6) -> None:
        self.tolerance = tolerance

    def fit(self, X: Any, y: Any) -> "LeaceEraser":
        """Fit on rows [example, d_model] and the label to be erased."""
        return self.fit_stream([checked_labels(self, X, y)])

    def fit_stream(self, slices: Iterable[Slice]) -> "LeaceEraser":
        """Fit on slices of (rows, labels), read one by one."""
        parts = by_class(slices)
        if len(parts) < 2:
            raise LabelError("the label has only one class on the rows given; there is nothing to erase")
        total = pooled(parts)
        cross = np.stack([(part.n / total.n) * (part.mean - total.mean) for part in parts.values()], axis=1)
        values, vectors = np.linalg.eigh(total.covariance)
        # dimensions without variance can not be whitened and need not be: nothing can be read there. The
        # tolerance is one of singular values, whose squares the eigenvalues are
        keep = values > max(values[-1], 0.0) * self.tolerance**2
        root = np.sqrt(values[keep])
        whiten = (vectors[:, keep] / root) @ vectors[:, keep].T
        color = (vectors[:, keep] * root) @ vectors[:, keep].T
        left, size, _ = np.linalg.svd(whiten @ cross, full_matrices=False)
        # singular values of the whitened cross-covariance are correlations, so they need no scale; the last
        # of k indicators, which sum to one, is always 0
        found = left[:, size > self.tolerance]
        self.removal_ = color @ found @ found.T @ whiten
        self.mean_ = total.mean
        self.rank_ = found.shape[1]
        self.n_features_in_ = len(total.mean)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Rows with the concept erased [example, d_model]."""
        check_is_fitted(self)
        X = checked_rows(self, X)
        return X - (X - self.mean_) @ self.removal_.T

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
