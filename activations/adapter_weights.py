"""Adapter weights: what a LoRA changes, read off its factors alone; nothing runs.

The law: what is said is of the change scaling * B A, not of B and A, which any invertible matrix between them
makes others of the same change; it is never formed, since its singular values and vectors follow from QR of
both factors. Effective rank is the exponential of the entropy of the shares of energy (Roy and Vetterli
2007).

What A reads is told by the tokens whose embeddings, as the block's norm would show them, lie along a right
singular vector: exact at the first block, the direct path at later ones. What B writes is told by the head,
as the logit lens tells a direction. Either stands beside random directions and beside what the base's own
module reads or writes (its weight times a random vector): a finetune that leans on what was there is no news.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from activations import lora, quantizing
from activations.adapter_gates import _adapter
from activations.errors import AdapterError, SiteError
from activations.lens import Nulls, Reading, direction_logits
from activations.sites import Site
from activations.vectors import ADDED_AT
from activations.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pandas as pd

    from activations.models import Model

READERS = {
    "q_proj": "attention_norm",
    "k_proj": "attention_norm",
    "v_proj": "attention_norm",
    "gate_proj": "mlp_norm",
    "up_proj": "mlp_norm",
}
"""Modules that read the residual stream, and the norm of their block through which they do."""
BASE = "base_module"
"""The null of what the base's own module reads or writes."""


@dataclass(frozen=True, eq=False)
class ModuleChange:
    """What an adapter changes at one module: scaling * B A = left diag(singular) right.

    Attributes:
        layer: the block.
        module: such as `down_proj`.
        singular: singular values, largest first; none below the rounding of the largest.
        left: what it writes, columns of unit norm.
        right: what it reads, rows of unit norm.
        base_norm: Frobenius norm of the base's weight there.
    """

    layer: int
    module: str
    singular: Float[Tensor, " rank"]
    left: Float[Tensor, "d_out rank"] = field(repr=False)
    right: Float[Tensor, "rank d_in"] = field(repr=False)
    base_norm: float

    @property
    def name(self) -> str:
        """`down_proj.3`."""
        return f"{self.module}.{self.layer}"

    @property
    def energy(self) -> float:
        """Squared Frobenius norm of the change."""
        return float((self.singular.double() ** 2).sum())

    @property
    def relative(self) -> float:
        """Frobenius norm of the change over that of the base's weight."""
        return self.energy**0.5 / self.base_norm

    @property
    def shares(self) -> np.ndarray:
        """Each singular direction's share of the energy."""
        squares = self.singular.double().numpy() ** 2
        return np.asarray(squares / squares.sum())

    @property
    def effective_rank(self) -> float:
        """exp of the entropy of the shares: r where r directions share alike, 1 where one has all."""
        shares = self.shares[self.shares > 0]
        return float(np.exp(-(shares * np.log(shares)).sum()))

    @property
    def stable_rank(self) -> float:
        """Energy over the largest singular value squared."""
        return self.energy / float(self.singular[0]) ** 2


@torch.no_grad()
def weight_changes(model: "Model", adapter: str | None = None) -> tuple[ModuleChange, ...]:
    """What an adapter changes at each module of the blocks, in the order of blocks.

    A LoRA at the embeddings or at the output layer belongs to no block and is not told.

    Args:
        model: a model with adapters.
        adapter: which; the active one by default.

    Raises:
        AdapterError: no such adapter, or one whose blocks change nothing.
    """
    name = _adapter(model, adapter)
    found = []
    for layer, module in model.anatomy.adapted(name):
        a, b, scaling = lora.factors(model.anatomy, name, layer, module)
        q_b, r_b = torch.linalg.qr(b.double())
        q_a, r_a = torch.linalg.qr(a.double().T)
        left, sizes, right = torch.linalg.svd(r_b @ r_a.T * scaling)
        kept = sizes > sizes[0] * 1e-6  # beyond, directions are the rounding of float32 factors
        if not float(sizes[0]) > 0:
            continue
        u, v = q_b @ left[:, kept], right[kept] @ q_a.T
        sign = torch.sign((u**3).sum(0))  # a pair's sign is free; as in `adapter_vectors`
        sign[sign == 0] = 1.0
        projection: Any = model.anatomy.projection(layer, module)[0]
        base = quantizing.weight(getattr(projection, "base_layer", projection)).float().norm()
        found.append(
            ModuleChange(
                layer,
                module,
                sizes[kept].float().cpu(),
                (u * sign).float().cpu(),
                (v * sign[:, None]).float().cpu(),
                float(base),
            )
        )
    if not found:
        raise AdapterError(f"adapter {name!r} changes no module of a block; there are no weights to read")
    return tuple(found)


def weights_table(changes: Sequence[ModuleChange]) -> "pd.DataFrame":
    """One row a module: layer, module, share (of the adapter's energy), relative, base (norm of its weight),
    entries (of it), rank, effective_rank, stable_rank, largest (singular value).
    """
    import pandas as pd

    whole = sum(one.energy for one in changes)
    return pd.DataFrame(
        {
            "layer": one.layer,
            "module": one.module,
            "share": one.energy / whole,
            "relative": one.relative,
            "base": one.base_norm,
            "entries": len(one.left) * one.right.shape[1],
            "rank": len(one.singular),
            "effective_rank": one.effective_rank,
            "stable_rank": one.stable_rank,
            "largest": float(one.singular[0]),
        }
        for one in changes
    )


def _alike(width: int, weight: Tensor, n: int, seed: int) -> Nulls:
    """Random directions, and what a weight makes of random ones."""
    plain = Nulls.draw(width, n=n, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    given = torch.randn(n, weight.shape[1], generator=generator)
    made = given @ weight.float().cpu().T
    made = made / made.norm(dim=1, keepdim=True).clamp_min(1e-30)
    return Nulls(torch.cat([plain.vectors, made]), (*plain.kinds, *[BASE] * n))


@torch.no_grad()
def written(
    model: "Model",
    change: ModuleChange,
    k: int = 0,
    *,
    n: int = 64,
    seed: int,
    vocabulary: Vocabulary | None = None,
) -> Reading:
    """What the k-th singular direction of a module writes, in words by the head.

    Args:
        model: whose head and base weights.
        change: of `o_proj` or `down_proj`, whose output the stream gets.
        k: which direction, 0 the strongest.
        n: null vectors of either kind.
        seed: of their draw.
        vocabulary: the model's words, where they are at hand.

    Raises:
        SiteError: a module whose output other modules alone read.
    """
    if change.module not in ADDED_AT:
        raise SiteError(
            f"{change.name} writes to other modules of its block and not to the stream; its reading side is "
            "told by `embedded`"
        )
    vocabulary = Vocabulary.of(model) if vocabulary is None else vocabulary
    direct = model.anatomy.family.direct
    site = Site(ADDED_AT[change.module], change.layer) if direct else None
    weight = lora.weight(model.anatomy, change.layer, change.module, adapter=None)
    vector = change.left[:, k]
    nulls = _alike(len(vector), weight, n, seed)
    together = torch.cat([vector[None], nulls.vectors])
    if site is None:  # behind the family's norm, which every vector passes
        parts = model.anatomy.parts[change.layer]
        after: Any = parts.attention_after if change.module == "o_proj" else parts.mlp_after
        if after is not None:
            size = together.shape[1] ** 0.5
            together = after((together * size).to(model.device, after.weight.dtype)).cpu()
        site = Site(ADDED_AT[change.module], change.layer)
    scores = vocabulary.scores(direction_logits(model, together, site=site))
    name = f"{change.name} writes {k}"
    return Reading(name, str(site), "head", vocabulary, scores[0], scores[1:], nulls.kinds)


@torch.no_grad()
def embedded(
    model: "Model",
    change: ModuleChange,
    k: int = 0,
    *,
    n: int = 64,
    seed: int,
    vocabulary: Vocabulary | None = None,
) -> Reading:
    """What the k-th singular direction of a module reads, by the tokens whose embeddings lie along it.

    Args: as `written`; the module is one that reads the stream.

    Raises:
        SiteError: `o_proj` or `down_proj`, which read heads and neurons.
    """
    if change.module not in READERS:
        raise SiteError(
            f"{change.name} reads {'heads' if change.module == 'o_proj' else 'neurons'} and no token; what "
            f"it "
            "writes is told by `written`"
        )
    vocabulary = Vocabulary.of(model) if vocabulary is None else vocabulary
    ids = torch.arange(len(vocabulary.word_of), device=model.device)
    known = int(model.anatomy.embed.weight.shape[0])  # type: ignore[index]
    hidden = model.anatomy.embed(ids.clamp_max(known - 1))
    norm: Any = getattr(model.anatomy.parts[change.layer], READERS[change.module])
    shown = (hidden if norm is None else norm(hidden)).float().cpu()
    weight = lora.weight(model.anatomy, change.layer, change.module, adapter=None)
    vector = change.right[k]
    nulls = _alike(len(vector), weight.T, n, seed)
    scores = vocabulary.scores(torch.cat([vector[None], nulls.vectors]) @ shown.T)
    name = f"{change.name} reads {k}"
    place = f"{'resid_pre' if READERS[change.module] == 'attention_norm' else 'resid_mid'}.{change.layer}"
    return Reading(name, place, "embeddings", vocabulary, scores[0], scores[1:], nulls.kinds)
