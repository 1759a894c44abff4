"""What folds cost, said before they are fitted: how many training sets a sweep has, and how long they take.

Crossed group columns have a fold for every pair of theirs, and each outer fold has inner ones by the same
rule: two columns of five folds make 25 and 225 training sets where one column makes 5 and 15. The time is
measured on a few training sets of the first site: small ones are cheaper in company than alone.
"""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from probes.fits import Job, held_out
from probes.splits import Split

MANY = 60
"""Training sets a site from which it is worth a word: one column of five folds has 20."""

FEW = 8
"""So many of a kind are timed; from two to eight tells what one more costs in a batch."""


def told(
    x: np.ndarray,
    targets: np.ndarray,
    outer: Sequence[Split],
    inner: Sequence[Sequence[Split]],
    grids: Mapping[str, Sequence[float | int]],
    *,
    sites: int,
    device: str,
) -> str:
    """Folds, fits and time of a whole sweep in a line; empty where there are few.

    Args:
        x: rows of the first site [example, d_model].
        targets: the label and its shuffles [target, example].
        outer: the folds.
        inner: the inner folds of each.
        grids: the penalties of each method.
        sites: how many there are, positions counted.
        device: of the solver.
    """
    within = [fold for folds in inner for fold in folds]
    if len(outer) + len(within) < MANY:
        return ""
    seconds = 0.0
    for method, grid in grids.items():
        for folds, labels in ((outer, targets), (within, targets[:1])):
            jobs = [Job(x[f.train], labels[:, f.train].T, [x[f.test]]) for f in folds[:FEW]]
            spent = []
            for some in (jobs[:1], jobs[:2], jobs):  # the first only wakes the solver
                began = time.monotonic()
                if some:
                    held_out(method, some, penalties=grid, device=device)
                spent.append(time.monotonic() - began)
            each = max(0.0, spent[2] - spent[1]) / max(1, len(jobs) - 2)
            seconds += spent[2] + each * (len(folds) - len(jobs))
    return (
        f"{len(outer)} folds and {len(within)} inner ones at each of {sites} sites, about "
        f"{seconds * sites:,.0f} s; crossed='diagonal' has fewer folds, nested=False no inner ones"
    )
