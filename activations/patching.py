"""Activation patching: values of one run put into another, over layer x position, layer x head, or both.

The law: patching a run into itself changes nothing, and patching everything gives the other run. Cells whose
two values are equal bit for bit, and cells that the answer slot cannot see, are filled in and counted, never
run. All other cells run as rows of large batches, from their own layer and position on (`recompute`).
Meng et al. 2022 (arXiv 2202.05262); conventions of Heimersheim and Nanda 2024 (arXiv 2404.15255). Base <->
fine-tune patching puts the adapter's activations on the same prompt into the base, after Prakash et al. 2024
(arXiv 2402.14811).
"""

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from activations.cells import Cells
from activations.experiment import Experiment, Setup, chunks
from activations.maps import PatchMap
from activations.metrics import Function, Metric
from activations.progress import Shown, Told

if TYPE_CHECKING:
    from activations.models import Model


def patch_map(
    model: "Model",
    pairs: Any,
    *,
    metric: Metric | Function,
    batch_tokens: int = 4096,
    progress: Told = None,
    **setup: Unpack[Setup],
) -> PatchMap:
    """Patch a source run into a target run, cell by cell, and read a metric at the answer slot.

    Args:
        model: the model; its variants are what `source` and `target` name.
        pairs: a tuple (source prompt, target prompt) each, or one prompt that both runs read.
        metric: see `activations.metrics`; any function of (logits of shape (row, vocab), pair index of
            each row) gives (row,).
        batch_tokens: token positions that run at once.
        progress: called with (pairs done, pairs in all); False is silent, and None the default of
            `activations.progress`.
        **setup: `sites`, `source`, `target`, `align`, `positions`, `by_head`, `mode`: see `experiment.Setup`.

    Raises:
        PatchError: a metric that is constant or not finite; a mode or a site that cannot be patched; runs
            without any difference.
        PositionError: pairs that do not align.
        SiteError: a site that the model does not have.
    """
    experiment = Experiment.of(model, pairs, metric=metric, **setup)
    found = experiment.blank()
    found.counts.update(dict.fromkeys(("cells", "equal", "unreachable", "run", "block_tokens"), 0))
    pairs_done, pairs_all = 0, len(experiment.given[0])
    with Shown(progress, "patching", "pairs") as tell:
        tell.begin(0, pairs_all)
        for members in chunks(experiment.given, batch_tokens):

            def share(done: int, rows: int, before: int = pairs_done, here: int = len(members)) -> None:
                tell(before + here * done // rows, pairs_all)

            Cells(model, experiment, np.asarray(members)).run(found, batch_tokens, share)
            pairs_done += len(members)
    return experiment.map(found)
