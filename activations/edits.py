"""Edits: add, project out, clamp, replace and gate, at chosen sites and positions, as one context manager.

The law: an edit returns new tensors and never writes in place; the model is left as it was, also after an
error; an edit of strength zero is an identity, and one that selects nothing is an error. Positions are
absolute in each row's real tokens, also in `generate` with its cache, where a hook sees one token at a time:
they come from the attention mask and the cache, never from the column. Every strength and vector may differ
by row, so that many edits run as one batch. Steering by addition: Turner et al. 2023 (arXiv 2308.10248);
projecting out: Arditi et al. 2024 (arXiv 2406.11717).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from activations.errors import EditError
from activations.hooks import altering
from activations.moments import NOWHERE, Moment, Tracker, Use, Where, read_where
from activations.sites import Site

if TYPE_CHECKING:
    from activations.models import Model

SiteLike = str | Site | Sequence[str | Site]


@runtime_checkable
class DirectionLike(Protocol):
    """Anything with a vector and the site that it lives at, such as `probes.Direction`."""

    vector: Any
    site: Any


@dataclass(frozen=True)
class Edit:
    """One change at one or more sites.

    Attributes:
        sites: what `Model.sites` reads: a site, a name without layer (all layers), or several.
        change: maps (value, moment) to a new value of the same shape.
        where: `all`, `prompt`, `generated`, `from:K`, or positions: one integer for all rows, or integers of
            shape (example,) or (example, k), also lists of unequal lengths. Negative ones count back from the
            end of each row as it was given: in `generate` and in questions that is the prompt, so that -1 is
            the token before the answer. A position named twice is one position.
        name: how it is called in messages.
    """

    sites: SiteLike
    change: Callable[[Tensor, Moment], Tensor]
    where: Where = "all"
    name: str = "edit"


@contextmanager
def edit(model: "Model", *edits: Edit) -> Iterator["Model"]:
    """Inside, every forward pass and generation of the model is edited; edits at one site apply in the order
    given. What differs by row is found by the row's place among the prompts that were given, or among the
    rows of a batch that was.

    Raises:
        EditError: an edit that cannot mean what was asked; a position that a row does not have; at the end,
            an edit that selected nothing, or was never applied, in all the forward passes that ran.
        SiteError: a site that the model does not have.
    """
    model.check()
    for one in edits:
        if not isinstance(one, Edit):
            raise EditError(
                f"{one!r} is no edit; make one with activations.add, project_out, clamp, replace or gate"
            )
    uses = [Use(read_where(one.where, one.name), one.name) for one in edits]
    tracker = Tracker(model, uses)
    with ExitStack() as stack:
        decoder = model.anatomy.decoder
        stack.callback(decoder.register_forward_pre_hook(tracker, with_kwargs=True).remove)
        stack.callback(decoder.register_forward_hook(tracker.completed).remove)
        for one, use in zip(edits, uses, strict=True):
            sites = model.sites(one.sites)
            if not sites:
                raise EditError(f"{one.name}: sites {one.sites!r} name no site; give one")
            for site in sites:

                def change(value: Tensor, one: Edit = one, use: Use = use, site: Site = site) -> Tensor:
                    moment = tracker.moment(use)
                    result = one.change(value, moment)
                    if result is value:
                        return value
                    if not isinstance(result, Tensor) or result.shape != value.shape:
                        raise EditError(
                            f"{one.name} at {site}: shape {tuple(value.shape)} became "
                            f"{tuple(getattr(result, 'shape', (type(result).__name__,)))}; vectors must fit "
                            "the site"
                        )
                    spread = moment.selected.reshape(*moment.selected.shape, *(1,) * (value.ndim - 2))
                    return torch.where(spread.to(value.device), result.to(value.dtype), value)

                stack.enter_context(altering(model, site, change))
        yield model
        tracker.settle(lambda use: _described(edits[uses.index(use)]))


def _described(one: Edit) -> str:
    where = one.where if isinstance(one.where, str | int) else "given"
    sites = str(one.sites) if isinstance(one.sites, str | Site) else ", ".join(map(str, one.sites))
    return f"{one.name} at {sites if len(sites) < 80 else sites[:77] + '...'} with positions {where!r}"


def _vector(x: Any, name: str) -> tuple[Tensor, SiteLike, float | None]:
    """(vector, site, typical norm) out of a direction or a (vector, site) pair."""
    if isinstance(x, tuple) and len(x) == 2:
        vector, site, norm = x[0], x[1], None
    elif isinstance(x, DirectionLike):
        vector, site, norm = x.vector, x.site, getattr(x, "scale", None)
    else:
        raise EditError(
            f"{name}: got a {type(x).__name__}; give a (vector, site) pair, or an object with .vector and "
            ".site"
        )
    tensor = torch.as_tensor(np.array(vector) if not isinstance(vector, Tensor) else vector)
    tensor = tensor.detach().float() if not tensor.requires_grad else tensor
    if tensor.ndim not in (1, 2) or not bool(torch.isfinite(tensor).all()):
        raise EditError(
            f"{name}: a vector of shape {tuple(tensor.shape)} must be finite and (d_model,) or (example, "
            "d_model); mend it"
        )
    where: SiteLike = (
        site if isinstance(site, str | Site) else str(site) if not isinstance(site, Sequence) else site
    )
    return tensor, where, None if norm is None else float(norm)


def _unit(vector: Tensor, name: str) -> Tensor:
    norm = vector.norm(dim=-1, keepdim=True)
    if bool((norm == 0).any()):
        raise EditError(f"{name}: the vector is zero, so it has no direction; give another")
    return vector / norm


def _amount(value: Any, name: str) -> Tensor:
    tensor = torch.as_tensor(value, dtype=torch.float32)
    if tensor.ndim > 1 or not bool(torch.isfinite(tensor).all()):
        raise EditError(f"{name}: strength {value!r} must be a finite number, or one for each row; mend it")
    return tensor


def _norm(norm: float | None, units: str, name: str) -> float:
    if units == "raw":
        return 1.0
    if units != "site":
        raise EditError(f"{name}: units {units!r} are neither 'site' nor 'raw'; use one of these")
    if norm is None:
        raise EditError(
            f"{name}: a (vector, site) pair has no typical norm, so units='site' mean nothing; pass "
            "units='raw' or a probes.Direction"
        )
    return norm


def _rows(tensor: Tensor, value: Tensor, moment: Moment, name: str) -> Tensor:
    """Shape (d,) or (example, d) so that it broadcasts over positions of `value`."""
    tensor = tensor.to(value.device)
    if tensor.shape[-1] != value.shape[-1]:
        raise EditError(
            f"{name}: the vector has {tensor.shape[-1]} entries and the site {value.shape[-1]}; give one "
            "that was made at this site"
        )
    if tensor.ndim == 1:
        return tensor
    return rearrange(moment.own(tensor, len(value), name, "vectors for"), "example d -> example 1 d")


def _column(amount: Tensor, value: Tensor, moment: Moment, name: str) -> Tensor:
    amount = amount.to(value.device)
    if not amount.ndim:
        return amount
    return moment.own(amount, len(value), name, "strengths for").reshape(-1, *(1,) * (value.ndim - 1))


def add(
    x: Any, *, scale: Any = 1.0, units: str = "site", sites: SiteLike | None = None, positions: Where = "all"
) -> Edit:
    """Add a vector: `value + scale * norm * vector`.

    Args:
        x: a (vector, site) pair, or an object with `.vector` and `.site` (and `.scale`, the site's typical
            norm). The vector has shape (d_model,), or (example, d_model) for one a row.
        scale: strength; one number, or one for each row.
        units: `site` counts in the site's typical norm (`x.scale`, the vector made a unit); `raw` adds `scale
            * vector` as it is.
        sites: elsewhere than at the vector's own site.
        positions: `all`, `prompt`, `generated`, `from:K`, or integers; see `Edit.where`.

    Raises:
        EditError: no typical norm for units of the site, or a strength that is not finite.
    """
    vector, own, norm = _vector(x, "add")
    factor = _norm(norm, units, "add")
    vector = vector if units == "raw" else _unit(vector, "add") * factor
    amount = _amount(scale, "add")

    def change(value: Tensor, moment: Moment) -> Tensor:
        step = _column(amount, value, moment, "add") * _rows(vector, value, moment, "add")
        return value + step.to(value.dtype)

    return Edit(own if sites is None else sites, change, positions, "add")


def project_out(
    x: Any, *, sites: SiteLike | None = None, positions: Where = "all", fraction: Any = 1.0
) -> Edit:
    """Take a direction out: `value - fraction * (value . v) v` with v of unit norm; `sites="resid_post"` does
    so at all layers.

    Raises:
        EditError: a zero vector.
    """
    vector, own, _ = _vector(x, "project_out")
    unit, amount = _unit(vector, "project_out"), _amount(fraction, "project_out")

    def change(value: Tensor, moment: Moment) -> Tensor:
        along = _rows(unit, value, moment, "project_out").to(value.dtype)
        share = _column(amount, value, moment, "project_out").to(value.dtype)
        return value - share * (value * along).sum(-1, keepdim=True) * along

    return Edit(own if sites is None else sites, change, positions, "project_out")


def clamp(
    x: Any, *, value: Any, units: str = "raw", sites: SiteLike | None = None, positions: Where = "all"
) -> Edit:
    """Set the projection on a direction to a value, and leave the rest: `h + (value - h . v) v` with v of
    unit norm.

    Args:
        x: as in `add`.
        value: the projection wanted; one number, or one for each row.
        units: `raw`, or `site` for multiples of the site's typical norm.
        sites: elsewhere than at the vector's own site.
        positions: as in `add`.

    Raises:
        EditError: a zero vector, or a value that is not finite.
    """
    vector, own, norm = _vector(x, "clamp")
    unit, amount = _unit(vector, "clamp"), _amount(value, "clamp") * _norm(norm, units, "clamp")

    def change(values: Tensor, moment: Moment) -> Tensor:
        along = _rows(unit, values, moment, "clamp").to(values.dtype)
        wanted = _column(amount, values, moment, "clamp").to(values.dtype)
        return values + (wanted - (values * along).sum(-1, keepdim=True)) * along

    return Edit(own if sites is None else sites, change, positions, "clamp")


def replace(site: SiteLike, values: Any, *, positions: Where = "all", heads: Any = None) -> Edit:
    """Put other values at a site: the elementary move of activation patching.

    Args:
        site: where.
        values: (*site) for one value everywhere, (example, *site) for one a row, (example, k, *site) for the
            k positions of each row, in the order of `positions` of shape (example, k).
        positions: as in `add`.
        heads: with `head_z`, only these heads are replaced: indices, negative ones from the last.

    Raises:
        EditError: values that do not fit.
    """
    new = values.detach() if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
    some = None if heads is None else _heads(heads)

    def change(value: Tensor, moment: Moment) -> Tensor:
        inner = value.ndim - 2
        fresh = new.to(value.device, value.dtype)
        if fresh.ndim > inner + 2 or fresh.shape[fresh.ndim - inner :] != value.shape[2:]:
            raise EditError(
                f"replace: values of shape {tuple(fresh.shape)} do not fit a site of shape "
                f"{tuple(value.shape)}; see its docstring"
            )
        if fresh.ndim > inner:
            fresh = moment.own(fresh, len(value), "replace", "values for")
        if fresh.ndim == inner + 2:
            full = _scatter(fresh, positions, value, moment)
        else:
            full = (fresh.unsqueeze(1) if fresh.ndim > inner else fresh).expand(value.shape)
        if some is None:
            return full
        if inner != 2:
            raise EditError("replace: heads are only at head_z; drop heads=, or give that site")
        beyond = [head for head in some if not -value.shape[2] <= head < value.shape[2]]
        if beyond:
            raise EditError(
                f"replace: head {beyond[0]} is beyond the {value.shape[2]} heads; give one of 0 to "
                f"{value.shape[2] - 1}"
            )
        chosen = torch.zeros(value.shape[2], dtype=torch.bool, device=value.device)
        chosen[some] = True
        return torch.where(rearrange(chosen, "head -> 1 1 head 1"), full, value)

    return Edit(site, change, positions, "replace")


def _heads(heads: Any) -> list[int]:
    """Head indices as plain integers."""
    if len(heads) == 0 or any(isinstance(n, bool | np.bool_) or not hasattr(n, "__index__") for n in heads):
        raise EditError(f"replace: heads={list(heads)!r}: give the index of one head or more, as integers")
    return [int(n) for n in heads]


def _scatter(fresh: Tensor, positions: Where, value: Tensor, moment: Moment) -> Tensor:
    """Values of (example, k, *site) laid out over the columns that hold positions (example, k); elsewhere the
    old value."""
    if isinstance(positions, str):
        if positions == "all" and fresh.shape == value.shape:
            return fresh
        raise EditError(
            f"replace: values for k positions need positions of shape (example, k), not {positions!r}; give "
            "integers"
        )
    wanted = moment.table
    assert wanted is not None
    if wanted.shape != fresh.shape[:2]:
        raise EditError(
            f"replace: positions of shape {tuple(wanted.shape)} do not fit values of shape "
            f"{tuple(fresh.shape)}; give (example, k)"
        )
    sorted_ = wanted.sort(1).values
    if bool(((sorted_[:, 1:] == sorted_[:, :-1]) & (sorted_[:, 1:] != NOWHERE)).any()):
        raise EditError("replace: a row names one position twice, with two values; name each once")
    match = rearrange(moment.positions, "example pos -> example pos 1") == rearrange(
        wanted, "example k -> example 1 k"
    )
    match = match.to(value.device)  # blocks may lie on several
    which = match.int().argmax(-1)
    picked = fresh[torch.arange(len(fresh), device=value.device).unsqueeze(1), which]
    found = match.any(-1).reshape(*match.shape[:2], *(1,) * (value.ndim - 2))
    return torch.where(found, picked, value)


def gate(modules: SiteLike, factor: Any, *, positions: Where = "all") -> Edit:
    """Multiply what LoRA modules add: 0 closes one, 1 leaves it, any other number scales it.

    Args:
        modules: `down_proj.3`, `q_proj` (all layers), a `lora_out` site, or several of these.
        factor: one number, or one for each row (so that many gate settings run as one batch).
        positions: as in `add`.

    Raises:
        EditError: a factor that is not finite.
    """
    names = [modules] if isinstance(modules, str | Site) else list(modules)
    where = [
        name if isinstance(name, Site) or name.startswith("lora_out") else f"lora_out.{name}"
        for name in names
    ]
    amount = _amount(factor, "gate")

    def change(value: Tensor, moment: Moment) -> Tensor:
        return value * _column(amount, value, moment, "gate").to(value.dtype)

    return Edit(where, change, positions, "gate")
