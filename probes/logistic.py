"""Logistic probe: L2-penalized logistic regression, two or more classes, the scaler inside the fit.

A batch fit is scikit-learn's LogisticRegression on standardized rows. A streaming fit minimizes the same
convex loss by L-BFGS over passes through the slices, so both give the same probe up to the tolerance. Many
fits at once (layers, penalties, folds, shuffles) go through `probes.solver`.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from probes.errors import LabelError, StatisticsError
from probes.linear import LinearProbe, ManyFits, Sets
from probes.moments import Slice
from probes.validation import FLOATS, checked_labels


class LogisticProbe(LinearProbe):
    """L2 logistic regression.

    Args:
        C: inverse penalty, as in scikit-learn.
        standardize: divide each feature by its standard deviation on the rows of the fit.
        tol: stop when the largest entry of the gradient is below this.
        max_iter: passes at most.
    """

    def __init__(
        self, *, C: float | int = 1.0, standardize: bool = True, tol: float | int = 1e-6, max_iter: int = 2000
    ) -> None:
        self.C = C
        self.standardize = standardize
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any) -> "LogisticProbe":
        """Fit on rows [example, d_model] and one label a row."""
        X, y = checked_labels(self, X, y, floats=FLOATS)
        mean, width = X.mean(axis=0), self._width(X.std(axis=0))
        inner = LogisticRegression(C=self.C, tol=self.tol, max_iter=self.max_iter)
        inner.fit((X - mean) / width, y)
        self.n_iter_ = inner.n_iter_
        return self._unscaled(inner.coef_, inner.intercept_, inner.classes_, mean, width)

    def fit_stream(self, slices: Iterable[Slice]) -> "LogisticProbe":
        """Fit on slices that can be iterated several times (a list, or `probes.moments.Slices`)."""
        if iter(slices) is slices:
            raise LabelError(
                "the slices can be read only once; a logistic fit passes over them many times: "
                "give a list or probes.moments.Slices"
            )
        count, total, square, seen = 0, 0.0, 0.0, []
        for rows, labels in slices:
            rows = np.asarray(rows, dtype=np.float64)
            count, total = count + len(rows), total + rows.sum(axis=0)
            seen.append(np.unique(labels))
        if count == 0:
            raise LabelError("no rows were given; a fit needs rows of at least two classes")
        classes = np.unique(np.concatenate(seen))
        if len(classes) < 2:
            raise LabelError("the label is constant on the rows given; choose rows that hold both classes")
        mean = np.asarray(total) / count
        for rows, _ in slices:
            square = square + ((np.asarray(rows, dtype=np.float64) - mean) ** 2).sum(axis=0)
        width = self._width(np.sqrt(np.asarray(square) / count))
        d, k = len(mean), len(classes)
        heads = 1 if k == 2 else k  # two classes need one weight vector; the other would be its negative

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            w, b = flat[: heads * d].reshape(heads, d), flat[heads * d :]
            # the mean loss, not the sum: `tol` then means the same for any number of rows
            value, grad_w, grad_b = (
                0.5 * (w**2).sum() / (self.C * count),
                w / (self.C * count),
                np.zeros(heads),
            )
            for rows, labels in slices:
                scaled = (np.asarray(rows, dtype=np.float64) - mean) / width
                z, index = scaled @ w.T + b, np.searchsorted(classes, labels)
                if heads == 1:
                    z = np.concatenate([np.zeros_like(z), z], axis=1)  # the first class is the origin
                error = softmax(z, axis=1)
                error[np.arange(len(index)), index] -= 1
                value -= log_softmax(z, axis=1)[np.arange(len(index)), index].sum() / count
                error = error[:, -heads:] / count
                grad_w, grad_b = grad_w + error.T @ scaled, grad_b + error.sum(axis=0)
            return float(value), np.concatenate([grad_w.ravel(), grad_b])

        found = minimize(
            loss,
            np.zeros(heads * (d + 1)),
            jac=True,
            method="L-BFGS-B",
            options={
                "gtol": self.tol,  # the rule; `ftol` only ends a fit whose loss no longer moves at all
                "ftol": 64 * np.finfo(float).eps,
                "maxiter": self.max_iter,
                "maxls": 50,  # not the usual 20 trials: rows that are not standardized are badly scaled
            },
        )
        self.n_iter_ = np.array([found.nit])
        return self._unscaled(
            found.x[: heads * d].reshape(heads, d), found.x[heads * d :], classes, mean, width
        )

    def fit_many(
        self, xs: Sets, ys: Sets, penalties: Sequence[float | int], *, device: str
    ) -> list[ManyFits]:
        """All label columns under all C on every training set, in one batch; see `probes.linear.Batched`."""
        from probes.solver import solve_many

        solve = partial(solve_many, xs, ys, penalties, standardize=self.standardize, device=device)
        try:
            found = solve()
        except StatisticsError:  # rows that hardly differ between classes: the gradient drowns in float32
            found = solve(dtype="float64")
        return [ManyFits(f.coef, f.intercept) for f in found]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class [example, class]."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        return softmax(scores, axis=1)

    def _width(self, std: np.ndarray) -> np.ndarray:
        # a constant feature has nothing to scale, and gets no weight
        return np.where(std > 0, std, 1.0) if self.standardize else np.ones_like(std)

    def _unscaled(
        self,
        coef: np.ndarray,
        intercept: np.ndarray,
        classes: np.ndarray,
        mean: np.ndarray,
        width: np.ndarray,
    ) -> "LogisticProbe":
        coef = coef / width  # w (x - mean) / width = (w / width) x - (w / width) mean
        self._learnt(coef, intercept - coef @ mean, classes)
        return self
