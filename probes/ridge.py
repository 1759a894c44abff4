"""Ridge regression for graded labels (Hoerl and Kennard 1970), on running moments.

Minimizes |y - X w - b|^2 + alpha |w|^2 on standardized features (or raw ones), with a free intercept. Equal
to scikit-learn's ``Ridge`` on the same scaled rows (a test holds it).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from probes.directions import Direction
from probes.errors import LabelError
from probes.moments import Moments, Slice
from probes.validation import checked_labels, checked_rows


class RidgeProbe(RegressorMixin, BaseEstimator):
    """A graded label read linearly.

    Args:
        alpha: penalty, > 0.
        standardize: divide each feature by its standard deviation on the rows of the fit.
    """

    def __init__(self, *, alpha: float | int = 1.0, standardize: bool = True) -> None:
        self.alpha = alpha
        self.standardize = standardize

    def fit(self, X: Any, y: Any) -> "RidgeProbe":
        """Fit on rows [example, d_model] and one number a row."""
        return self.fit_stream([checked_labels(self, X, y, graded=True)])

    def fit_stream(self, slices: Iterable[Slice]) -> "RidgeProbe":
        """Fit on slices of (rows, numbers), read one by one."""
        if not self.alpha > 0:
            raise LabelError(f"alpha is {self.alpha}; the ridge penalty must be above zero")
        total: Moments | None = None
        for rows, y in slices:
            part = Moments.of(
                np.column_stack([np.asarray(rows, dtype=np.float64), np.asarray(y, dtype=np.float64)])
            )
            total = part if total is None else total + part
        if total is None:
            raise LabelError("no rows were given; a fit needs rows")
        # the label is one more column of the moments; centered scatter leaves the intercept free of the
        # penalty
        xx, xy = total.scatter[:-1, :-1], total.scatter[:-1, -1]
        width = np.sqrt(np.diag(xx) / total.n) if self.standardize else np.ones(len(xx))
        width = np.where(width > 0, width, 1.0)
        gram = xx / np.outer(width, width)
        gram[np.diag_indices_from(gram)] += self.alpha
        self.coef_ = np.linalg.solve(gram, xy / width) / width
        self.intercept_ = float(total.mean[-1] - total.mean[:-1] @ self.coef_)
        self.n_features_in_ = len(self.coef_)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The expected label of each row."""
        check_is_fitted(self)
        return checked_rows(self, X) @ self.coef_ + self.intercept_

    def direction(
        self, site: object, *, scale: float | int | None = None, provenance: Mapping[str, Any] | None = None
    ) -> Direction:
        """The coefficient vector; its positive end points to larger labels."""
        check_is_fitted(self)
        facts = {"method": "RidgeProbe", "parameters": self.get_params(), **(provenance or {})}
        return Direction(self.coef_, str(site), "towards larger labels", scale, facts)
