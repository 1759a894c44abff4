"""Hooks: reading and changing sites with plain torch hooks; the default and the reference of all backends.

The law: a model is left exactly as it was found, also after an error, and what is read is a copy, so that
nothing later can change it. Hooks fire in the order in which they were registered: a reading inside an edit
sees the edited value. transformers 5 blocks return a tensor and earlier ones a tuple; both are handled, and
shapes are asserted.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from activations.anatomy import Tap
from activations.batches import Batch
from activations.errors import EditError
from activations.sites import Site

if TYPE_CHECKING:
    from activations.models import Model

Gather = Callable[[Site, Float[Tensor, "example pos *site"]], Tensor]
Change = Callable[[Float[Tensor, "example pos *site"]], Float[Tensor, "example pos *site"]]


class _Stop(BaseException):  # noqa: N818  a signal, no error: it must pass through every `except Exception`
    """Ends a forward pass after the deepest site."""


def _pick(value: Any, element: int) -> Tensor:
    tensor = value if isinstance(value, Tensor) else value[element]
    if not isinstance(tensor, Tensor):
        raise EditError(
            f"a module returned {type(tensor).__name__} where a tensor was expected; this transformers "
            "version is not supported"
        )
    return tensor


def _put(value: Any, element: int, tensor: Tensor) -> Any:
    if isinstance(value, Tensor):
        return tensor
    return type(value)([*value[:element], tensor, *value[element + 1 :]])


def attach(tap: Tap, function: Callable[[Tensor], Tensor | None]) -> Any:
    """Register `function` on a tap; it gets the site's value and returns a new one, or None to leave it.
    Returns the handle."""

    def changed(tensor: Tensor) -> Tensor | None:
        assert tensor.ndim >= 3, f"{tap.path}: expected (example, pos, ...), got {tuple(tensor.shape)}"
        result = function(tap.view(tensor))
        return None if result is None else tap.unview(result)

    if tap.side == "out":

        def after(_: Any, __: Any, output: Any) -> Any:
            result = changed(_pick(output, tap.element))
            return None if result is None else _put(output, tap.element, result)

        return tap.module.register_forward_hook(after)

    def before(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if arguments:
            result = changed(arguments[0])
            return None if result is None else ((result, *arguments[1:]), named)
        result = changed(named["hidden_states"])
        return None if result is None else (arguments, {**named, "hidden_states": result})

    return tap.module.register_forward_pre_hook(before, with_kwargs=True)


@contextmanager
def altering(model: "Model", site: Site, change: Change) -> Iterator[None]:
    """Inside, `change` maps the site's value in every forward pass; everything downstream sees the new value.

    `change` returns a new tensor (or the same one, unchanged) and never writes in place. `resid_mid` has no
    module of its own, so its change is added through what attention adds; a change of zero is exact.

    Raises:
        SiteError: the model does not have the site.
        EditError: attention patterns, which can only be read.
    """
    if site.kind == "pattern":
        raise EditError(
            f"site {str(site)!r} can be read but not changed: attention computes it inside one call; edit "
            "head_z instead"
        )
    with ExitStack() as stack:
        if site.kind == "resid_mid":
            assert site.layer is not None
            entering: list[Tensor] = []
            before = attach(
                model.anatomy.tap(Site("resid_pre", site.layer)),
                lambda value: entering.__setitem__(slice(None), [value]),
            )
            stack.callback(before.remove)

            def through_attention(added: Tensor) -> Tensor:
                middle = entering[0].to(added.device) + added
                return added + (change(middle) - middle)

            handle = attach(model.anatomy.tap(Site("attn_out", site.layer)), through_attention)
        else:
            handle = attach(model.anatomy.tap(site, adapter=model.active_adapter), change)
        stack.callback(handle.remove)
        model._alterations += 1
        try:
            yield
        finally:
            model._alterations -= 1


@contextmanager
def reading(
    model: "Model", sites: Sequence[Site], gather: Gather, *, stop: bool = True
) -> Iterator[dict[Site, Tensor]]:
    """Inside, each forward pass puts `gather(site, value)` of every site into the dictionary that is given
    out.

    With `stop`, a forward pass ends after the deepest site: run it with `run_until_stop`.

    Raises:
        SiteError: the model does not have a site.
    """
    found: dict[Site, Tensor] = {}
    ordered = sorted(sites, key=lambda site: site.depth)
    with ExitStack() as stack:
        for site in ordered:

            def read(value: Tensor, site: Site = site) -> None:
                found[site] = gather(site, value)
                if stop and len(found) == len(ordered):
                    raise _Stop

            handle = attach(model.anatomy.tap(site, adapter=model.active_adapter), read)
            stack.callback(handle.remove)
        yield found


def run_until_stop(model: "Model", batch: Batch) -> None:
    """A forward pass of the decoder that may end early."""
    with suppress(_Stop):
        model.forward(batch)


def read(model: "Model", batch: Batch, sites: Sequence[Site], gather: Gather) -> dict[Site, Tensor]:
    """One forward pass over a batch; each site's gathered value (a copy). The hooks backend.

    Runs no further than the deepest site and never computes logits.
    """
    with torch.no_grad(), reading(model, sites, gather) as found:
        run_until_stop(model, batch)
    assert len(found) == len(sites), f"read {len(found)} of {len(sites)} sites"
    return dict(found)


def whole(_: Site, value: Tensor) -> Tensor:
    """A gather that copies everything."""
    return value.detach().clone()


class HooksBackend:
    """The default backend: plain torch hooks."""

    def read(self, model: "Model", batch: Batch, sites: Sequence[Site], gather: Gather) -> dict[Site, Tensor]:
        """See `read` of this module."""
        return read(model, batch, sites, gather)
