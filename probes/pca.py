"""Principal components of difference vectors (representation engineering, Zou et al. 2023, arXiv 2310.01405).

X holds one difference a row (finetuned minus base, or one prompt of a pair minus the other). By default the
second moment is not centered, because the common part of the differences is what is looked for; each
component is signed so that the mean difference has a positive coordinate on it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from probes.directions import Direction
from probes.errors import ActivationError, DirectionError
from probes.moments import Moments
from probes.validation import checked_rows


class DifferencePCA(TransformerMixin, BaseEstimator):
    """Leading directions of difference vectors.

    Args:
        n_components: how many.
        center: take the mean difference out first (ordinary PCA).

    Attributes:
        components_: [component, d_model], unit norm.
        explained_: share of the (un)centered second moment on each component, in [0, 1].
    """

    def __init__(self, *, n_components: int = 1, center: bool = False) -> None:
        self.n_components = n_components
        self.center = center

    def fit(self, X: Any, y: Any = None) -> "DifferencePCA":
        """Fit on difference vectors [example, d_model]; y is ignored."""
        return self.fit_stream([checked_rows(self, X, reset=True, at_least=2 if self.center else 1)])

    def fit_stream(self, slices: Iterable[np.ndarray]) -> "DifferencePCA":
        """Fit on blocks of difference vectors, read one by one."""
        total: Moments | None = None
        for rows in slices:
            total = Moments.of(rows) if total is None else total + Moments.of(rows)
        if total is None:
            raise ActivationError("no difference vectors were given; a fit needs rows")
        moment = total.covariance + (0 if self.center else np.outer(total.mean, total.mean))
        if not 1 <= self.n_components <= len(moment):
            raise ActivationError(
                f"n_components is {self.n_components}; it must lie between 1 and the width {len(moment)}"
            )
        values, vectors = np.linalg.eigh(moment)
        order = np.argsort(values)[::-1][: self.n_components]
        components = vectors[:, order].T
        # a component has no sign of its own: the mean difference gives it one, or, where the mean lies across
        # it (centered rows, later components), its largest entry, so that two fits agree
        side = components @ total.mean
        tie = components[np.arange(len(components)), np.abs(components).argmax(axis=1)]
        components = components * np.where(np.where(np.abs(side) > 1e-12, side, tie) < 0, -1.0, 1.0)[:, None]
        self.components_ = components
        whole = float(np.trace(moment))
        self.explained_ = np.clip(values[order], 0, None) / whole if whole > 0 else np.zeros(len(order))
        self.mean_ = total.mean if self.center else np.zeros_like(total.mean)
        self.n_features_in_ = len(moment)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Coordinates of each row [example, component]."""
        check_is_fitted(self)
        return (checked_rows(self, X) - self.mean_) @ self.components_.T

    def direction(
        self, site: object, *, scale: float | int | None = None, provenance: Mapping[str, Any] | None = None
    ) -> Direction:
        """The first component; its positive end is the side of the mean difference."""
        check_is_fitted(self)
        if self.explained_[0] == 0:
            raise DirectionError(
                "the differences are all zero, so none of their directions is the first; check the two sides "
                "that were subtracted"
            )
        facts = {"method": "DifferencePCA", "explained": float(self.explained_[0]), **(provenance or {})}
        return Direction(self.components_[0], str(site), "the side of the mean difference", scale, facts)
