"""The Jacobian lens: where a vector is carried by the blocks that follow, on average, and then unembedded.

    J = mean over texts and source tokens t of  sum over t' >= t of  d h_final[t'] / d h_site[t]
    lens(v) = head(final norm(J v))

The law: J v is what finite differences give when v is added at all tokens of the texts, and at the last
block's output J is the identity. h_final is the stream after the last block, before the final norm. Gurnee
et al. 2026, "Verbalizable representations form a global workspace in language models", whose estimator this
is; nothing of their code.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from activations import hooks
from activations.differences import rows_of
from activations.errors import EditError, SiteError
from activations.lens import direction_logits
from activations.sites import Site

if TYPE_CHECKING:
    from activations.models import Model


@dataclass(frozen=True, eq=False)
class Jacobian:
    """The mean Jacobian from a site to the last block's output; a lens for `activations.lens.read_vector`.

    Attributes:
        model: whose it is.
        site: from where.
        matrix: `matrix @ v` is what a vector v at the site becomes.
        tokens: source tokens behind the mean.
    """

    model: "Model"
    site: str
    matrix: Float[Tensor, "d_model d"] = field(repr=False)
    tokens: int = 0
    name: str = "jacobian"

    def carried(self, vectors: Float[Tensor, "*row d"]) -> Float[Tensor, "*row d_model"]:
        """What vectors at the site become at the last block's output."""
        return vectors.to(self.matrix) @ self.matrix.T

    def logits(self, vectors: Float[Tensor, "*row d"], site: str) -> Float[Tensor, "*row token"]:
        """Final norm and head of what they become.

        Raises:
            SiteError: vectors of another site.
        """
        if site != self.site:
            raise SiteError(
                f"this Jacobian begins at {self.site} and the vector lives at {site}; make one there"
            )
        last = f"resid_post.{self.model.n_layers - 1}"
        return direction_logits(self.model, self.carried(vectors), site=last)


def mean_jacobian(
    model: "Model",
    texts: Sequence[Any],
    *,
    site: str | Site,
    variant: str | None = None,
    batch_tokens: int = 4096,
) -> Jacobian:
    """The mean Jacobian over texts. Takes `d_model` passes forward and backward of all texts, in batches.

    Args:
        model: its weights stay as they are.
        texts: strings or rows, as in `activation_differences`; all tokens but BOS count.
        site: any site but attention patterns; heads are made flat.
        variant: in which it is taken; the active one by default.
        batch_tokens: padded tokens that run at once.

    Raises:
        SiteError: no such site, or a pattern.
        EditError: the model is being edited.
    """
    place = Site.parse(site)
    model.check()
    if model._alterations:
        raise EditError("the model is being edited: its Jacobian would be another's; leave the edit first")
    with model.variant(model.active_name if variant is None else variant):
        shape = model.anatomy.shape(place, adapter=model.active_adapter)
        if place.kind == "pattern" or place.kind == "final_norm":
            raise SiteError(f"site {str(place)!r} has no Jacobian to the last block's output; take another")
        rows = rows_of(model, texts)
        width = int(torch.Size(shape).numel())
        total, count = torch.zeros(model.d_model, width, dtype=torch.float64), 0
        for batch in model.batches(rows, batch_tokens=batch_tokens):
            real = batch.mask.clone()
            for n, example in enumerate(batch.examples):
                real[n, : rows[example].n_bos] = False
            count += int(real.sum())
            copies = max(1, batch_tokens // batch.ids.numel())
            for start in range(0, model.d_model, copies):
                wanted = range(start, min(start + copies, model.d_model))
                total[start : wanted.stop] += _rows(model, batch, place, shape, real, wanted)
    return Jacobian(model, str(place), (total / count).float(), count)


def _rows(
    model: "Model", batch: Any, site: Site, shape: tuple[int, ...], real: Tensor, wanted: range
) -> Tensor:
    """Rows of the Jacobian's sum: one copy of the batch for each output dimension, in one backward pass."""
    k, items = len(wanted), len(batch.examples)
    delta = torch.zeros(k, *shape, device=model.device, requires_grad=True)
    tiled = batch.repeated(k)
    counted = real.repeat(k, 1)

    def moved(value: Tensor) -> Tensor:
        step = delta.repeat_interleave(items, 0)[:, None]
        spread = counted.to(value.device).reshape(*counted.shape, *(1,) * len(shape))
        return value + (step.to(value.device) * spread).to(value.dtype)

    last = Site("resid_post", model.n_layers - 1)
    with torch.enable_grad(), hooks.altering(model, site, moved):
        with hooks.reading(model, [last], lambda _, value: value, stop=False) as found:
            model.forward(tiled)
        final = (found[last].float() * counted.to(found[last].device)[..., None]).sum(1)
        each = final.reshape(k, items, -1).sum(1)
        own = each[torch.arange(k, device=each.device), torch.tensor(list(wanted), device=each.device)]
        (gradient,) = torch.autograd.grad(own.sum(), delta)
    return gradient.reshape(k, -1).double().cpu()
