"""Linear discriminant analysis with a shrunk pooled covariance and class priors (Fisher 1936).

Equal to scikit-learn's ``LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s)`` on the same rows (a test
holds it); written on running moments so that a store larger than memory can be read in slices.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Num

from probes.errors import LabelError
from probes.linear import LinearProbe, ManyFits
from probes.mean_difference import whitened, within_covariance
from probes.moments import Columns, Slice, by_class


class LDAProbe(LinearProbe):
    """Gaussian classes with one covariance.

    Args:
        shrinkage: in [0, 1], towards the mean variance times the identity.
    """

    def __init__(self, *, shrinkage: float | int = 0.1) -> None:
        self.shrinkage = shrinkage

    def fit_stream(self, slices: Iterable[Slice]) -> "LDAProbe":
        parts = by_class(slices)
        if len(parts) < 2:
            raise LabelError("only one class was given; LDA needs rows of at least two classes")
        means = np.stack([part.mean for part in parts.values()])
        counts = np.array([part.n for part in parts.values()], dtype=float)
        coef = np.linalg.lstsq(within_covariance(parts, self.shrinkage), means.T, rcond=None)[0].T
        intercept = -0.5 * np.einsum("cd,cd->c", means, coef) + np.log(counts / counts.sum())
        if len(parts) == 2:
            coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
        self._learnt(coef, intercept, np.array(list(parts)))
        return self

    def fit_columns(
        self, x: Num[np.ndarray, "example d_model"], y: Num[np.ndarray, "example target"]
    ) -> ManyFits:
        """All 0/1 label columns of one training set at once; see `probes.linear.Closed`."""
        columns = Columns.of(x, y)
        w = whitened(columns, self.shrinkage)
        prior = np.log(columns.high_n / columns.low_n)
        return ManyFits(w[None], (columns.halfway(w) + prior)[None])
