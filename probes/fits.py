"""Held-out scores of many label columns at once: the inner step of sweep, transfer and controls.

`held_out` fits every label column of every job with every penalty on its training rows and scores its test
rows. An estimator that can do many at once (a closed form over columns, or the batched solver) is asked to;
any other is fitted one by one (`probes.linear.fit_many`). `probes.testing` holds that both give the same.
`held_out_folds` does this for the folds of one array, whose rows are copied a few folds at a time: its memory
does not grow with the number of folds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Num

from probes import methods
from probes.linear import fit_many
from probes.solver import companies


@dataclass(frozen=True, eq=False)
class Job:
    """One training set with its label columns [example, target], and the blocks of rows to score."""

    x: Num[np.ndarray, "example d_model"]
    y: Num[np.ndarray, "example target"]
    tests: Sequence[Num[np.ndarray, "_ d_model"]]


@dataclass(frozen=True, eq=False)
class Fold:
    """One training set as indices of the rows of an array, and the blocks of rows to score."""

    train: Int[np.ndarray, " example"]
    tests: Sequence[Int[np.ndarray, " _"]]


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


def held_out_folds(
    method: str,
    x: Num[np.ndarray, "example d_model"],
    targets: Int[np.ndarray, "target example"],
    folds: Sequence[Fold],
    *,
    penalties: Sequence[float | int],
    device: str = "cpu",
) -> Iterator[list[Float[np.ndarray, "penalty target row"]]]:
    """What `held_out` gives of each fold in turn, with the label columns `targets` of all rows.

    Folds that the solver takes together are copied together, and let go before the next.
    """
    for company in companies([(len(fold.train), x.shape[1]) for fold in folds]):
        some = (folds[i] for i in company)
        jobs = [Job(x[f.train], targets[:, f.train].T, [x[test] for test in f.tests]) for f in some]
        yield from held_out(method, jobs, penalties=penalties, device=device)
