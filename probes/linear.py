"""What every linear probe shares: decision values, predictions and the direction that it found.

The law: `decision_function(X) = X @ coef_.T + intercept_` in the coordinates of the given activations,
whatever scaling happened inside the fit. So a probe is always a vector in activation space, and a direction
can be taken from it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Num
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from probes.directions import Direction
from probes.errors import LabelError
from probes.moments import Slice
from probes.validation import FLOATS, checked_labels, checked_rows


class LinearProbe(ClassifierMixin, BaseEstimator):
    """Base of the classifying probes: subclasses only say how `fit_stream` finds `coef_` and `intercept_`."""

    coef_: np.ndarray
    intercept_: np.ndarray
    classes_: np.ndarray
    n_features_in_: int

    def fit(self, X: Any, y: Any) -> "LinearProbe":
        """Fit on rows [example, d_model] and one label a row."""
        return self.fit_stream([checked_labels(self, X, y, floats=FLOATS)])

    def fit_stream(self, slices: Iterable[Slice]) -> "LinearProbe":
        """Fit on slices of (rows, labels), read one by one; gives what `fit` gives on all rows at once."""
        raise NotImplementedError

    def decision_function(self, X: Any) -> np.ndarray:
        """Signed score of each row: [example] for two classes (positive = second class), else [example,
        class]."""
        check_is_fitted(self)
        scores = checked_rows(self, X, floats=FLOATS) @ self.coef_.T + self.intercept_
        return scores.ravel() if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """The class of each row."""
        scores = self.decision_function(X)
        chosen = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[chosen]

    def direction(
        self, site: object, *, scale: float | int | None = None, provenance: Mapping[str, Any] | None = None
    ) -> Direction:
        """The probe's normal vector; its positive end points to the second class.

        Raises:
            LabelError: the probe has more than two classes and therefore no single direction.
        """
        check_is_fitted(self)
        if len(self.classes_) != 2:
            raise LabelError(
                f"the probe tells {len(self.classes_)} classes apart, so it has no single direction; "
                "fit two of the classes against each other"
            )
        facts = {"method": type(self).__name__, "parameters": _plain(self.get_params()), **(provenance or {})}
        return Direction(self.coef_[0], str(site), f"towards {self.classes_[1]!s}", scale, facts)

    def _learnt(self, coef: np.ndarray, intercept: np.ndarray, classes: np.ndarray) -> None:
        self.coef_, self.intercept_, self.classes_ = coef, intercept, classes
        self.n_features_in_ = coef.shape[1]


class BinaryProbe(LinearProbe):
    """A probe that tells exactly two classes apart."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    @staticmethod
    def _two(found: Iterable[object]) -> list[object]:
        classes = list(found)
        if len(classes) != 2:
            raise LabelError(
                "Only binary classification is supported. The type of the target is multiclass or constant: "
                f"{len(classes)} class{'es' if len(classes) != 1 else ''} found; pass rows of two classes"
            )
        return classes


Sets = Sequence[Num[np.ndarray, "_ _"]]
"""One matrix a training set: its rows [example, d_model], or its label columns [example, target]."""


@dataclass(frozen=True, eq=False)
class ManyFits:
    """Two-class read-outs of several label columns under several penalties, in the coordinates of the
    rows."""

    coef: Float[np.ndarray, "penalty target d_model"]
    intercept: Float[np.ndarray, "penalty target"]


@runtime_checkable
class Batched(Protocol):
    """An estimator that solves many training sets, 0/1 label columns and penalties in one batch."""

    def fit_many(
        self, xs: Sets, ys: Sets, penalties: Sequence[float | int], *, device: str
    ) -> list[ManyFits]:
        """What `fit` gives on each training set, for each label column under each penalty."""
        ...


@runtime_checkable
class Closed(Protocol):
    """An estimator without a penalty to choose, with a closed form over many 0/1 label columns."""

    def fit_columns(
        self, x: Num[np.ndarray, "example d_model"], y: Num[np.ndarray, "example target"]
    ) -> ManyFits:
        """What `fit` gives for each label column, under the one penalty that there is not."""
        ...


def fit_many(
    probe: LinearProbe,
    xs: Sets,
    ys: Sets,
    penalties: Sequence[float | int],
    *,
    penalty: str | None,
    device: str = "cpu",
) -> list[ManyFits]:
    """Every label column of every training set under every penalty, in the fastest way that the probe has.

    Args:
        probe: the estimator; it is not fitted itself.
        xs, ys: rows and 0/1 label columns of each training set.
        penalties: one at least.
        penalty: the parameter that they set; None where the probe has none.
        device: torch device of a batched solver.
    """
    if isinstance(probe, Batched):
        return probe.fit_many(xs, ys, penalties, device=device)
    if isinstance(probe, Closed):
        return [probe.fit_columns(x, y) for x, y in zip(xs, ys, strict=True)]
    return [_one_by_one(probe, x, y, penalties, penalty) for x, y in zip(xs, ys, strict=True)]


def _one_by_one(
    probe: LinearProbe, x: np.ndarray, y: np.ndarray, penalties: Sequence[float | int], penalty: str | None
) -> ManyFits:
    fits = [
        [clone(probe).set_params(**({penalty: p} if penalty else {})).fit(x, column) for column in y.T]
        for p in penalties
    ]
    return ManyFits(
        np.array([[fitted.coef_[0] for fitted in row] for row in fits]),
        np.array([[fitted.intercept_[0] for fitted in row] for row in fits]),
    )


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
        for key, value in parameters.items()
    }
