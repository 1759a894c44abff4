"""Attribution patching: all cells of a patch map at once, from gradients.

The law: an attribution is the first-order estimate of what patching would do, (source - target) . d metric /
d site, and it is checked against exact patching on its top cells before anyone reads it. Integrated gradients
average the gradient along the way from the target's value to the source's, one site at a time, so that a
layer's cells add up to the effect of patching the whole layer. Nanda 2023, "Attribution patching";
Sundararajan et al. 2017 (arXiv 1703.01365); Kramar et al. 2024 (arXiv 2403.00745).

The base's weights are frozen (PEFT does that), so the gradient is taken at a zero added to each site, never
at a weight.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from activations import alignment, hooks
from activations.errors import PatchError
from activations.experiment import Experiment, Setup, Source, chunks
from activations.maps import PatchMap
from activations.metrics import Function, Metric
from activations.sites import Site

if TYPE_CHECKING:
    from activations.models import Model

METHODS = ("gradient", "integrated")


@dataclass(frozen=True)
class _Given:
    """Some pairs: the target's tokens and slots, and the source's run."""

    into: Any
    slots: Tensor
    source: Source


def attribute(
    model: "Model",
    pairs: Any,
    *,
    metric: Metric | Function,
    method: str = "gradient",
    steps: int = 8,
    batch_tokens: int = 4096,
    **setup: Unpack[Setup],
) -> PatchMap:
    """Estimate a patch map from gradients; arguments as in `patch_map`, and the same kind of map comes back.

    Args:
        pairs: as in `patch_map`.
        metric: as in `patch_map`; it must be differentiable.
        method: `gradient` takes one backward pass for all cells; `integrated` takes `steps` a layer.
        steps: points of the Gauss-Legendre rule of integrated gradients.
        batch_tokens: token positions that run at once.
        **setup: as in `patch_map`; a column of several tokens is the sum of theirs.

    Raises:
        PatchError: as in `patch_map`; an unknown method; a metric without a gradient.
    """
    if method not in METHODS or steps < 1:
        raise PatchError(
            f"method={method!r}, steps={steps}: use 'gradient' or 'integrated', and at least one step"
        )
    experiment = Experiment.of(model, pairs, metric=metric, **setup)
    out_of, into = experiment.variants
    found = experiment.blank()
    found.counts.update(cells=0, backward=0)
    # half the budget: the backward pass needs what the forward pass made
    for members in chunks(experiment.given, batch_tokens // 2):
        sources, targets = experiment.rows(members)
        at = [experiment.aligned.at[n] for n in members]
        run = Source.of(model, experiment.metric, experiment.sites, sources, np.asarray(members), out_of)
        slots = torch.from_numpy(alignment.slots(targets)).to(model.device)
        part = _Given(model.collate(targets), slots, run)
        found.full[members] = run.full.cpu().numpy()
        with model.variant(into), torch.enable_grad():
            found.before[members] = _value(model, part, []).detach().cpu().numpy()
            for layer, gains in _gains(model, part, experiment, at, method, steps):
                found.patched[members, layer] = _columns(gains, at, len(experiment.aligned.columns))
                found.counts["backward"] += 1 if method == "gradient" else steps
    found.counts["cells"] = int(np.isfinite(found.patched).sum())
    found.patched[...] += found.before[:, None, None, None]
    return experiment.map(found, method=f" ({method})")


def _value(model: "Model", part: _Given, changes: Sequence[tuple[Site, hooks.Change]]) -> Tensor:
    """The metric of the target run with some changes, one number a pair; keeps the graph."""
    rows = torch.arange(len(part.slots), device=part.slots.device)
    with ExitStack() as stack:
        for site, change in changes:
            stack.enter_context(hooks.altering(model, site, change))
        final = model.forward(part.into)[rows, part.slots]
    return part.source.reader.of_final(final, rows)


def _difference(part: _Given, site: Site, value: Tensor, at: Sequence[np.ndarray]) -> Tensor:
    """source - target at aligned positions, zero elsewhere, laid out as the target's value."""
    gap = torch.zeros_like(value)
    for n, rows in enumerate(at):
        s, t = torch.from_numpy(rows[:, 1]).to(value.device), torch.from_numpy(rows[:, 2]).to(value.device)
        gap[n, t] = part.source.values[site][n, s].to(value.dtype) - value[n, t]
    return gap


def _gains(
    model: "Model", part: _Given, experiment: Experiment, at: Sequence[np.ndarray], method: str, steps: int
) -> Any:
    """(layer index, gain of every position (and head)), layer by layer."""
    sites, by_head = experiment.sites, bool(experiment.heads)
    if method == "gradient":
        zeros: dict[Site, Tensor] = {}
        values: dict[Site, Tensor] = {}

        def watch(site: Site) -> hooks.Change:
            def change(value: Tensor) -> Tensor:
                values[site] = value.detach()
                zeros[site] = torch.zeros_like(value, requires_grad=True)
                return value + zeros[site]

            return change

        total = _value(model, part, [(site, watch(site)) for site in sites]).sum()
        gradients = _gradients(total, [zeros[site] for site in sites], part.source.reader.metric)
        for n, (site, gradient) in enumerate(zip(sites, gradients, strict=True)):
            yield n, _sum(gradient * _difference(part, site, values[site], at), by_head)
        return
    points, weights = np.polynomial.legendre.leggauss(steps)
    for n, site in enumerate(sites):
        gain: Tensor | None = None
        for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
            seen: list[Tensor] = []

            def change(
                value: Tensor, share: float = float(point), site: Site = site, seen: list[Tensor] = seen
            ) -> Tensor:
                gap = _difference(part, site, value.detach(), at)
                moved = (value.detach() + share * gap).requires_grad_()
                seen.extend([moved, gap])
                return moved

            total = _value(model, part, [(site, change)]).sum()
            (gradient,) = _gradients(total, [seen[0]], part.source.reader.metric)
            gain = weight * gradient * seen[1] + (0 if gain is None else gain)
        assert gain is not None
        yield n, _sum(gain, by_head)


def _gradients(total: Tensor, inputs: list[Tensor], metric: Metric) -> list[Tensor]:
    if not total.requires_grad:
        raise PatchError(
            f"metric {metric.name!r} has no gradient; give a differentiable one, or patch exactly"
        )
    found = torch.autograd.grad(total, inputs, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


def _sum(gain: Tensor, by_head: bool) -> Tensor:
    """(example, pos, head): summed over the site's own axes, heads kept where they are asked for."""
    return gain.sum(-1) if by_head else gain.flatten(2).sum(-1, keepdim=True)


def _columns(gain: Tensor, at: Sequence[np.ndarray], count: int) -> Float[np.ndarray, "example column head"]:
    """Sums over the tokens of each column; NaN where a pair has none."""
    values = gain.detach().float().cpu().numpy()
    found = np.full((len(at), count, values.shape[-1]), np.nan)
    for n, rows in enumerate(at):
        for column, _, t in rows:
            found[n, column] = np.nan_to_num(found[n, column]) + values[n, t]
    return found
