"""What folds cost, said before they are fitted: how many training sets a sweep has, and how long they take.

Crossed group columns have a fold for every pair of theirs, and inner folds by the same rule: two columns of
five folds make 25 and 100 training sets where one column makes 5 and 10. The time is measured on a few
training sets of the first site: small ones are cheaper in company than alone. It is time by the clock, on the
machine as busy as it is: that is what is waited for, and neither a second thread nor an accelerator shows in
processor time as what it saves.
"""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from probes.fits import Fold, held_out_folds

MANY = 60
"""Training sets a site from which it is worth a word: one column of five folds has 20."""

FEW = 8
"""So many of a kind are timed; from two to eight tells what one more costs in a batch."""


def told(
    x: np.ndarray,
    targets: np.ndarray,
    outer: Sequence[Fold],
    inner: Sequence[Fold],
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
        inner: the fits inside their training rows.
        grids: the penalties of each method.
        sites: how many there are, positions counted.
        device: of the solver.
    """
    if len(outer) + len(inner) < MANY:
        return ""
    seconds = 0.0
    for method, grid in grids.items():
        for folds, labels in ((outer, targets), (inner, targets[:1])):
            few, spent = folds[:FEW], []
            for some in (few[:1], few[:2], few):  # the first only wakes the solver
                began = time.monotonic()
                for _ in held_out_folds(method, x, labels, some, penalties=grid, device=device):
                    pass
                spent.append(time.monotonic() - began)
            each = max(0.0, spent[2] - spent[1]) / max(1, len(few) - 2)
            seconds += spent[2] + each * (len(folds) - len(few))
    return (
        f"{len(outer)} folds and {len(inner)} inner ones at each of {sites} sites, about "
        f"{seconds * sites:,.0f} s; crossed='diagonal' has fewer folds, nested=False no inner ones"
    )
