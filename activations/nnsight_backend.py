"""The nnsight backend: the same taps, read inside an nnsight trace; the one file that imports nnsight.

The law: it reads what the hooks backend reads, exactly, on the same unmerged weights. nnsight: Fiotto-Kaufman
et al. 2024 (arXiv 2407.14561). With `remote=True` the trace runs on NDIF's servers, where the model must be
one that they host; `remote="local"` sends the same request through nnsight's serialization and runs it here.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from nnsight import NNsight
from nnsight.modeling.transformers import TransformersModel
from torch import Tensor

from activations.batches import Batch
from activations.errors import BackendError
from activations.hooks import Gather
from activations.sites import Site

if TYPE_CHECKING:
    from activations.models import Model


class NnsightBackend:
    """Reads sites in an nnsight trace, which stops after the deepest one.

    Raises:
        BackendError: an nnsight version whose traces are not known here.
    """

    def __init__(self, *, remote: bool | str = False) -> None:
        if not version("nnsight").startswith("0.8."):
            raise BackendError(
                f"nnsight {version('nnsight')} is installed: this backend is made for 0.8; install "
                "nnsight>=0.8,<0.9"
            )
        self.remote = remote
        self._wrapped: tuple[Any, Any] = (None, None)

    def read(self, model: "Model", batch: Batch, sites: Sequence[Site], gather: Gather) -> dict[Site, Tensor]:
        """One forward pass over a batch; each site's gathered value, a copy.

        Raises:
            BackendError: an edit in force.
        """
        ordered = sorted(sites, key=lambda site: site.depth)
        taps = [model.anatomy.tap(site, adapter=model.active_adapter) for site in ordered]
        inputs = {**batch.inputs, "use_cache": False}
        places = [(tap.path, tap.side, tap.element) for tap in taps]
        # a trace takes a module's value before the edit's hook, and elsewhere sees none
        if model._alterations:
            raise BackendError(
                "an edit is in force, which an nnsight trace does not see where it reads; read edited models "
                "with backend='hooks'"
            )
        if self.remote:
            found = _remotely(self._wrap(model, TransformersModel), inputs, places, self.remote)
        else:
            found = _here(self._wrap(model, NNsight), inputs, places)
        return {
            site: gather(site, tap.view(value)).clone()
            for site, tap, value in zip(ordered, taps, found, strict=True)
        }

    def _wrap(self, model: "Model", kind: Any) -> Any:
        if self._wrapped[0] is not model:
            words = {"tokenizer": model.tokenizer, "task": "text-generation"}
            self._wrapped = (model, kind(model.inner, **(words if kind is TransformersModel else {})))
        return self._wrapped[1]


def _envoy(root: Any, path: str) -> Any:
    for part in path.split("."):
        root = root[int(part)] if part.isdigit() else getattr(root, part)
    return root


def _here(wrapped: Any, inputs: dict[str, Any], places: Sequence[tuple[str, str, int]]) -> list[Tensor]:
    """A trace in this process that ends after the last place."""
    envoys = [_envoy(wrapped, path) for path, _, _ in places]
    found: list[Any] = []
    value: Any
    with torch.no_grad(), wrapped.trace(**inputs) as tracer:
        for envoy, (_, side, element) in zip(envoys, places, strict=True):
            value = envoy.input if side == "in" else envoy.output
            chosen: Any = value if isinstance(value, torch.Tensor) else value[element]
            found.append(chosen.save())
        tracer.stop()
    return found


def _remotely(
    wrapped: Any, inputs: dict[str, Any], places: Sequence[tuple[str, str, int]], remote: bool | str
) -> list[Tensor]:
    """A trace on a server (or through the same serialization). Its block holds nothing of this package, since
    the server has none of it."""
    root = wrapped
    ids = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
    with (
        torch.no_grad(),
        wrapped.trace(ids, position_ids=inputs["position_ids"], use_cache=False, remote=remote),
    ):
        found: Any = []
        for path, side, element in places:
            at = root
            for part in path.split("."):
                at = at[int(part)] if part.isdigit() else getattr(at, part)
            value = at.input if side == "in" else at.output
            found.append(value if isinstance(value, torch.Tensor) else value[element])
        found.save()
    return [value.to(inputs["input_ids"].device) for value in found]
