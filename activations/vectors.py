"""Vectors: directions that need the model to be found, each as a vector and the site where it may be added.

The law: the model's weights stay as they are. An adapter's vectors are read off its factors: the columns of B
and the left singular vectors of B A span all that the module can add. A trained vector is optimized on the
loss of the answers alone, the model frozen (one vector recovers most of what a LoRA does: arXiv 2511.04875).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from activations import edits, lora
from activations.adapter_gates import _adapter
from activations.errors import PatchError, PromptError, SiteError
from activations.sites import RESIDUAL, Site

if TYPE_CHECKING:
    from activations.models import Model

ADDED_AT = {"o_proj": "attn_out", "down_proj": "mlp_out"}
"""Projections whose output is added to the residual stream as it is, in families without norms behind them.
"""


@dataclass(frozen=True, eq=False)
class SiteVector:
    """A vector and its site; unpacks as (vector, site) and is taken by `activations.add`.

    Attributes:
        vector: unit norm for adapter vectors, raw for trained ones.
        site: where it lives; for a module behind no norm the residual addition (`attn_out.L`,
            `mlp_out.L`), else the module's output.
        name: what it is, such as `down_proj.0 B 1` or `trained`.
        strength: norm of the column of B times the adapter's scaling, singular value times scaling, or
            norm of the trained vector.
        losses: training loss by step, for trained vectors.
    """

    vector: Float[Tensor, " d"]
    site: str
    name: str
    strength: float
    losses: tuple[float, ...] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter((self.vector, self.site))


def adapter_vectors(
    model: "Model",
    *,
    adapter: str | None = None,
    kind: str = "singular",
    modules: Sequence[str] | None = None,
) -> tuple[SiteVector, ...]:
    """What each LoRA module of a block can add: columns of B, or left singular vectors of B A, strongest
    first within a module.

    Signs of singular vectors are free; the one with a positive sum of cubes is given. Signs of B's columns
    are the adapter's own.

    Args:
        model: a model with adapters.
        adapter: which adapter; the active one by default.
        kind: `b` for the columns of B, `singular` for the left singular vectors of B A.
        modules: `down_proj`, `down_proj.3`, ...; all by default.

    Raises:
        AdapterError: no such adapter.
        PatchError: another kind, or modules that the adapter does not have.
    """
    if kind not in ("b", "singular"):
        raise PatchError(f"kind {kind!r} is neither 'b' nor 'singular'; use one of these")
    name = _adapter(model, adapter)
    found = []
    for layer, module in model.anatomy.adapted(name):
        if modules is not None and module not in modules and f"{module}.{layer}" not in modules:
            continue
        a, b, scaling = lora.factors(model.anatomy, name, layer, module)
        if kind == "b":
            columns, sizes = b.float().T, b.float().norm(dim=0)
        else:
            # in float64: what lies beyond the rank is zero only up to rounding, and its directions are noise
            left, sizes, _ = torch.linalg.svd(b.double() @ a.double(), full_matrices=False)
            sizes = sizes[: len(a)]
            # cubes let the largest entries decide the sign, where a plain sum near zero would be a coin's
            left = left[:, : len(a)].float() * torch.sign((left[:, : len(a)] ** 3).sum(0)).float()
            columns = left.T
        direct = module in ADDED_AT and model.anatomy.family.direct
        site = Site(ADDED_AT[module], layer) if direct else Site("lora_out", layer, module)
        for n, (column, size) in enumerate(zip(columns, sizes, strict=True)):
            if float(size) > 0:
                label = "B" if kind == "b" else "singular"
                vector = (column / column.norm()).detach().clone()
                found.append(
                    SiteVector(vector, str(site), f"{module}.{layer} {label} {n}", float(size) * abs(scaling))
                )
    if not found:
        raise PatchError(
            f"adapter {name!r} has nothing at {list(modules or ())}; choose modules that it targets, with "
            "weights beyond zero"
        )
    return tuple(found)


def train_vector(
    model: "Model",
    rows: Any,
    *,
    site: str | Site,
    seed: int,
    variant: str = "base",
    steps: int = 100,
    batch_size: int = 32,
    learning_rate: float = 0.05,
    norm: float | None = None,
) -> SiteVector:
    """Optimize one vector, added at a site at all positions, on the loss of the answers; the model stays
    frozen.

    Args:
        rows: chat rows that end with the assistant's answer; only the answer's tokens count.
        site: a residual site.
        seed: of the order of rows; the vector starts at zero.
        variant: what the vector is added to.
        steps: AdamW steps without weight decay, learning rate falling linearly to zero.
        batch_size: rows a step.
        learning_rate: AdamW's, about what an entry moves in a step.
        norm: longest the vector may become; free by default.

    Raises:
        PromptError: rows without a closing answer.
        SiteError: a site that is not as wide as the residual stream.
        PatchError: steps, batch size, learning rate or norm that are not positive.
    """
    place = Site.parse(site)
    if place.kind not in RESIDUAL:
        raise SiteError(
            f"site {str(place)!r} is not as wide as the residual stream; use one of {', '.join(RESIDUAL)}"
        )
    model.anatomy.tap(place)
    if steps < 1 or batch_size < 1 or not learning_rate > 0 or (norm is not None and not norm > 0):
        raise PatchError(
            f"steps={steps}, batch_size={batch_size}, learning_rate={learning_rate}, norm={norm}: all must "
            "be positive"
        )
    model.check()
    tokens = model.rows(rows)
    if any(row.answer is None for row in tokens):
        raise PromptError(
            "a training row has no closing assistant message: there is no answer to learn; give rows that "
            "end with one"
        )
    generator = torch.Generator().manual_seed(seed)
    vector = torch.zeros(model.d_model, device=model.device, requires_grad=True)
    losses: list[float] = []
    with model.variant(variant):
        # .95: with some hundred steps, gradients of the first must not weigh on the last; decay would bound
        # the vector, which `norm` does in plain words
        optimizer = torch.optim.AdamW([vector], lr=learning_rate, weight_decay=0.0, betas=(0.9, 0.95))
        order: list[int] = []
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * (1 - step / steps)
            while len(order) < batch_size:
                order += torch.randperm(len(tokens), generator=generator).tolist()
            chosen, order = order[:batch_size], order[batch_size:]
            with torch.enable_grad(), edits.edit(model, edits.add((vector, place), units="raw")):
                loss = _answer_loss(model, [tokens[n] for n in chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if norm is not None:
                with torch.no_grad():
                    vector *= min(1.0, norm / max(float(vector.norm()), 1e-12))  # a zero vector stays one
            losses.append(float(loss.detach()))
    trained = vector.detach().clone()
    if not bool(torch.isfinite(trained).all()):
        raise PatchError(
            f"the trained vector is not finite after {steps} steps; lower learning_rate ({learning_rate})"
        )
    return SiteVector(trained, str(place), "trained", float(trained.norm()), tuple(losses))


def _answer_loss(model: "Model", rows: Sequence[Any]) -> Tensor:
    """Mean cross-entropy over the tokens of the answers."""
    batch = model.collate(rows)
    places = [(n, t) for n, row in enumerate(rows) for t in range(row.answer, len(row))]
    line = torch.tensor([n for n, _ in places], device=batch.ids.device)
    at = torch.tensor([t for _, t in places], device=batch.ids.device)
    logits = model.unembed(model.forward(batch)[line, at - 1])
    return torch.nn.functional.cross_entropy(logits.float(), batch.ids[line, at])
