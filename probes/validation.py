"""What every estimator and null asks of its rows before it computes.

The law: activations that are NaN or infinite are refused in one line that names the rows, wherever they come
in. scikit-learn refuses them too, in nine lines about imputers, which do not help where a forward pass
overflowed; shapes, widths and kinds of labels are its business. It is imported inside, so that a null stays
light.
"""

from typing import Any

import numpy as np

from probes.errors import ActivationError, LabelError
from probes.statistics.spread import is_constant

FLOATS = (np.float64, np.float32)


def check_finite(block: np.ndarray, *, names: Any = None, where: str = "") -> None:
    """Refuse rows [row, ...] that are not finite.

    Args:
        block: the rows.
        names: what each row is called, its index in the store say; its place in the block if None.
        where: what the rows are of, for the message (`` of resid_post.3``).

    Raises:
        ActivationError: NaN or infinite entries.
    """
    finite = np.isfinite(block.reshape(len(block), -1)).all(axis=1)
    if finite.all():
        return
    bad = np.flatnonzero(~finite)
    shown = (bad if names is None else np.asarray(names)[bad])[:5].tolist()
    raise ActivationError(
        f"{len(bad)} of {len(block)} rows{where} hold NaN or infinite activations (rows {shown}"
        f"{', ...' if len(bad) > 5 else ''}); drop them or capture them again"
    )


def checked_rows(
    estimator: Any, X: Any, *, reset: bool = False, floats: Any = np.float64, at_least: int = 1
) -> np.ndarray:
    """Rows as an estimator reads them: finite, two-dimensional, of the width of the fit.

    Args:
        estimator: whose width they must have (`reset=False`) or set.
        X: rows [example, d_model].
        reset: these are the rows of a fit.
        floats: number types that are kept; others become the first.
        at_least: fewest rows.
    """
    from sklearn.utils.validation import validate_data

    rows: np.ndarray = validate_data(
        estimator, X, reset=reset, dtype=floats, ensure_all_finite=False, ensure_min_samples=at_least
    )
    check_finite(rows)
    return rows


def checked_labels(
    estimator: Any, X: Any, y: Any, *, floats: Any = np.float64, graded: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a fit and their labels: one finite number a row (`graded`), or at least two classes.

    Raises:
        LabelError: the label is constant.
    """
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import validate_data

    how = {"dtype": floats, "y_numeric": graded, "ensure_all_finite": False}
    X, y = validate_data(estimator, X, y, ensure_min_samples=1 + graded, **how)
    check_finite(X)
    if graded:
        if is_constant(y, scale=0.0):
            raise LabelError(
                f"the label is constant ({y[0]:g} in all {len(y)} rows); choose rows on which it differs"
            )
    else:
        check_classification_targets(y)
        if len(np.unique(y)) < 2:  # the first words are those that scikit-learn's own suite looks for
            raise LabelError(
                "Classifier can't train when only one class is present: the label is constant on the rows "
                "given; choose rows that hold both classes"
            )
    return X, y
