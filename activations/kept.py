"""Kept passes: what blocks gave for a prompt is not computed again while nothing below has changed.

The law: a kept pass is the pass; what begins at a higher block gives what a whole pass gives, up to the order
in which batches of other sizes add. Passes are kept where somebody says so (`keep`).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from activations import recompute
from activations.batches import Batch
from activations.edits import Edit

if TYPE_CHECKING:
    from activations.models import Model

ROOM = 2**30
"""Bytes that are kept by default: 24 prompts of 110 tokens in seven variants of a 135M model, in 16 bits."""


class Kept:
    """Finished passes of prompts, to be run on from again: those used last, up to `room` bytes. Who keeps
    them says that no weight changes meanwhile; one that does without saying so (an optimizer's step) is seen,
    and all is dropped.

    Attributes:
        weights: of the model.
        room: bytes that are kept at most; a pass that takes more is not.
    """

    def __init__(self, weights: Iterable[Tensor], room: int = ROOM) -> None:
        self.room = room
        self._of = list(weights)  # a walk through twenty adapters at every call takes longer than a block
        self._traces: dict[Any, recompute.Trace] = {}
        self._weights = 0

    def trace(self, model: "Model", batch: Batch) -> recompute.Trace:
        """The finished pass of a batch in the active variant."""
        weights = sum(one._version for one in self._of)
        if weights != self._weights:
            self._traces.clear()
            self._weights = weights
        ids = batch.ids.cpu().numpy()
        key = (model.active, ids.shape, ids.tobytes(), batch.lengths.cpu().numpy().tobytes())
        found = self._traces.pop(key, None) or recompute.trace(model, batch)
        if found.bytes <= self.room:
            self._traces[key] = found
            while sum(one.bytes for one in self._traces.values()) > self.room:
                del self._traces[next(iter(self._traces))]
        return found


@contextmanager
def standing_still(
    model: "Model", count: int, given: Float[Tensor, "row pos d_model"] | None
) -> Iterator[None]:
    """Inside, so many of the lowest blocks compute nothing and the highest of them gives `given`; whatever
    reads or edits what comes out of it does so as ever.
    """
    blocks: Any = list(model.anatomy.layers)[:count]
    before = [block.__dict__.get("forward") for block in blocks]
    try:
        for block in blocks[:-1]:
            block.forward = lambda hidden, *_, **__: hidden
        for block in blocks[-1:]:
            block.forward = lambda *_, **__: given
        yield
    finally:
        for block, own in zip(blocks, before, strict=True):
            block.__dict__.pop("forward", None)
            if own is not None:  # as accelerate's, which moves what comes in to the block's device
                block.forward = own


def keep(model: "Model", *, room: int = ROOM) -> None:
    """From now on finished passes of this model are kept (`Kept`), and conditions over the same prompts and
    variant begin at the block that they change, whatever call they are of. For who loaded it for one purpose
    and changes no weight.
    """
    model._kept = Kept(model.inner.parameters(), room)


def trace(model: "Model", batch: Batch) -> recompute.Trace:
    """The finished pass of a batch in the active variant; an earlier one where it was kept."""
    return recompute.trace(model, batch) if model._kept is None else model._kept.trace(model, batch)


def is_on(model: "Model") -> bool:
    """Whether finished passes may stand for passes now: they are kept, and no edit is in force."""
    return model._kept is not None and not (model._alterations or model.anatomy.decoder._forward_pre_hooks)


def below(model: "Model", edits: Sequence[Edit]) -> int:
    """How many of the lowest blocks give under some edits what they give without, where passes are kept."""
    if not is_on(model):
        return 0
    sites = [site for one in edits for site in model.sites(one.sites)]
    ends = [0 if site.layer is None else site.layer + (site.kind == "resid_post") for site in sites]
    return min(ends, default=model.n_layers)
