"""The TransformerLens backend: the same sites under their hook names in a TransformerBridge; the one file
that imports transformer_lens.

The law: same unmerged weights, no processing, no folding, so that names mean the same numbers. Building a
bridge rewires the module tree and forces eager attention, so it is built on a copy of the tree that shares
every weight; the model itself stays as it was. TransformerLens: Nanda and Bloom 2022.
"""

import copy
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from activations import lora
from activations.batches import Batch
from activations.errors import BackendError
from activations.hooks import Gather
from activations.sites import Site

if TYPE_CHECKING:
    from activations.models import Model


class TransformerLensBackend:
    """Reads sites with `run_with_cache` of a TransformerBridge over shared weights.

    Raises:
        BackendError: a TransformerLens version whose bridge is not known here.
    """

    def __init__(self) -> None:
        if not version("transformer-lens").startswith("4."):
            raise BackendError(
                f"transformer-lens {version('transformer-lens')} is installed: this backend is made for "
                "4.3; install transformer-lens>=4.3,<5"
            )
        self._bridged: tuple[Any, Any, Any] = (None, None, None)

    def read(self, model: "Model", batch: Batch, sites: Sequence[Site], gather: Gather) -> dict[Site, Tensor]:
        """One forward pass over a batch; each site's gathered value, a copy.

        Raises:
            BackendError: an adapter site, or an edit in force.
        """
        if model._alterations:
            raise BackendError(
                "an edit is in force, which a TransformerLens bridge does not see; read edited models with "
                "backend='hooks'"
            )
        names = {site: _name(site) for site in sites}
        bridge = self.bridge(model)
        with torch.no_grad():
            _, cache = bridge.run_with_cache(
                batch.ids,
                attention_mask=batch.mask.long(),
                position_ids=batch.positions,
                names_filter=list(names.values()),
                return_cache_object=False,
            )
        found = {}
        for site, name in names.items():
            if name not in cache:
                raise BackendError(
                    f"the TransformerLens bridge of a {model.anatomy.family.name} has no {name!r}; read "
                    f"{site} with backend='hooks'"
                )
            value = cache[name]
            if site.kind == "pattern":
                value = rearrange(value, "example head pos key -> example pos head key")
            found[site] = gather(site, value).clone()
        return found

    def bridge(self, model: "Model") -> Any:
        """The bridge of a model in its active variant; it shares the weights and leaves the model's own
        modules alone.

        Raises:
            BackendError: a family that TransformerLens does not know.
        """
        if self._bridged[0] is not model:
            shared = {id(tensor): tensor for tensor in (*model.inner.parameters(), *model.inner.buffers())}
            twin = copy.deepcopy(model.inner, shared)
            try:
                bridge = TransformerBridge.boot_transformers(
                    str(model.folder or model.name),
                    hf_model=twin,
                    tokenizer=copy.deepcopy(model.tokenizer),
                    device=str(model.device),
                )
            except ValueError as error:
                if "supported architecture" not in str(error):
                    raise
                raise BackendError(
                    f"TransformerLens has no bridge for a {model.anatomy.family.name}; read it with "
                    "backend='hooks'"
                ) from None
            self._bridged = (model, twin, bridge)
        _, twin, bridge = self._bridged
        name, alpha = model.active
        lora.activate(twin, None if name == "base" else name)
        for adapter, values in model._scalings.items():
            lora.set_scaling(twin, adapter, values, alpha if adapter == name else 1.0)
        return bridge


def _name(site: Site) -> str:
    try:
        return site.lens_name
    except ValueError as error:
        raise BackendError(str(error)) from None
