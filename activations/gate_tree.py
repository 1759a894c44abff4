"""Settings of gates as a tree: a block runs once for all settings whose gates are the same up to it.

The law: what a block gives depends on the gates of its own modules and of those below it. Settings that
differ in higher gates alone share it, and in an order in which gates are opened one after another most of
them do: of 15 blocks of gates, half of the rows need not run. Rows come out in their order, as if each had
run for itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from activations.hooks import altering
from activations.sites import Site

if TYPE_CHECKING:
    from activations.models import Model


@contextmanager
def shared(
    model: "Model",
    gates: Float[Tensor, "setting module"],
    modules: Sequence[tuple[int, str]],
    *,
    inside: str,
    examples: int,
) -> Iterator[None]:
    """Inside, a pass over `examples` prompts, again and again for each setting in turn, is gated, and a block
    runs once for all settings that are alike up to it.

    Args:
        gates: of each setting.
        modules: (layer, projection) of each gate.
        inside: kind of the site that a gate multiplies.
    """
    layers = sorted({layer for layer, _ in modules})
    with ExitStack() as stack:
        for layer in layers:
            upto = [n for n, (at, _) in enumerate(modules) if at <= layer]
            _, groups = torch.unique(gates[:, upto], dim=0, return_inverse=True)
            one, first = _first(groups)
            for n, (at, name) in enumerate(modules):
                if at == layer:
                    factor = gates[one, n].repeat_interleave(examples)
                    stack.enter_context(altering(model, Site(inside, layer, name), _times(factor)))
            stack.enter_context(_once(model, layer, _rows(one, examples), _rows(first[groups], examples)))
        yield


def _first(groups: Int[Tensor, " setting"]) -> tuple[Int[Tensor, " group"], Int[Tensor, " group"]]:
    """The first setting of each group, in the settings' order, and each group's place in that order."""
    seen: dict[int, int] = {}
    for n, group in enumerate(groups.tolist()):
        seen.setdefault(group, n)
    place = torch.empty(len(seen), dtype=torch.int64)
    for k, group in enumerate(seen):
        place[group] = k
    return torch.tensor(list(seen.values())), place


def _rows(settings: Int[Tensor, " setting"], examples: int) -> Int[Tensor, " row"]:
    return (settings[:, None] * examples + torch.arange(examples)).reshape(-1)


def _times(factor: Float[Tensor, " row"]) -> Any:
    def change(value: Tensor) -> Tensor:
        return value * factor.to(value).reshape(-1, *(1,) * (value.ndim - 1))

    return change


@contextmanager
def _once(
    model: "Model", layer: int, first: Int[Tensor, " group"], each: Int[Tensor, " row"]
) -> Iterator[None]:
    """Inside, a block runs on the rows `first` alone, and every row is given that of `each`."""
    block: Any = model.anatomy.layers[layer]
    own, before = block.forward, block.__dict__.get("forward")
    rows = len(each)

    def some(value: Any) -> Any:
        if isinstance(value, Tensor) and value.ndim > 1 and len(value) == rows and rows > 1:
            return value[first.to(value.device)]
        if isinstance(value, tuple):
            return tuple(some(part) for part in value)
        return value

    def again(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[each.to(value.device)]
        return tuple(again(part) if isinstance(part, Tensor) else part for part in value)

    def forward(*arguments: Any, **named: Any) -> Any:
        given = {name: some(value) for name, value in named.items()}
        return again(own(*(some(value) for value in arguments), **given))

    block.forward = forward
    try:
        yield
    finally:
        block.__dict__.pop("forward", None)
        if before is not None:
            block.forward = before
