"""Held-out scores of many label columns at once: the inner step of sweep, transfer and controls.

`held_out` fits every label column of every job with every penalty on its training rows and scores its test
rows. An estimator that can do many at once (a closed form over columns, or the batched solver) is asked to;
any other is fitted one by one (`probes.linear.fit_many`). `probes.testing` holds that both give the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from probes import methods
from probes.linear import fit_many


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
    penalties: Sequence[float | int] = methods.PENALTIES,
    standardize: bool = True,
    device: str = "cpu",
) -> list[list[Float[np.ndarray, "penalty target row"]]]:
    """Decision values of each test block of each job under every penalty and label column.

    All jobs have equally many label columns. `standardize` concerns estimators that have such a parameter.
    """
    made, grid = methods.get(method), methods.penalties_of(method, penalties)
    probe = made.estimator()
    if "standardize" in probe.get_params():
        probe.set_params(standardize=standardize)
    xs, ys = [j.x for j in jobs], [j.y for j in jobs]
    found = fit_many(probe, xs, ys, grid, penalty=made.penalty, device=device)
    out = []
    for job, fits in zip(jobs, found, strict=True):
        w, b = fits.coef, fits.intercept
        flat = w.reshape(-1, w.shape[-1])
        along = ((flat @ np.asarray(t, dtype=w.dtype).T).reshape(*b.shape, -1) for t in job.tests)
        out.append([part.astype(np.float64) + b[..., None] for part in along])
    return out
