"""Adapters of many runs on one frozen small model: one forward pass for several, each run's rows through its
own weights.

Every adapted linear module multiplies run s's tokens by W + scaling B_s A_s, several runs in one batched
product; for narrow models this beats the two thin products of a LoRA layer. Adapted embeddings look run s's
tokens up in its own A_s. Outside attention a token is computed once for all rows of its run that begin alike
(`packed`, `attention`). The last block is computed at the tokens before trained ones only (its keys and
values at all), since nothing else reaches the loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from activations import families
from activations.anatomy import Anatomy
from mi_bsa.core.errors import ConfigError
from mi_bsa.finetune.attention import Attention, pair
from mi_bsa.finetune.packed import NO_LOSS, Pack, Table, pack

LARGEST = 50_000_000
"""Parameters of the largest base: beyond, a weight for every run costs more than it saves."""

ABREAST = 5
"""Runs in one pass on a processor. Processor milliseconds of a step of ten runs: 222 with 1, 173 with 2, 160
with 5, 186 with 10, which no longer fit the cache.
"""

PIECES = 3
"""Lengths into which a pass's rows are cut for attention: 2 to 4 cost the same, 1 costs 8 % more."""


def is_small(config: Any, parameters: int) -> bool:
    """Whether a base is small, with one mask for all blocks and nothing capped: adapters of it can stack."""
    return families.of(config).is_plain(config) and parameters <= LARGEST


class _Normalize(torch.autograd.Function):
    """x / sqrt(mean x^2 + eps) * scale, whose scale is frozen."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, eps: float) -> Tensor:
        mean = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1])
        inverse = mean.add_(eps).rsqrt_()
        normed = x * inverse
        ctx.save_for_backward(normed, inverse, scale)
        return normed * scale

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, None, None]:
        normed, inverse, scale = ctx.saved_tensors
        given = given * scale
        along = (given * normed).mean(-1, keepdim=True)
        return torch.addcmul(given, normed, along, value=-1).mul_(inverse), None, None


class Norm(nn.Module):
    """A frozen RMS norm."""

    def __init__(self, base: Any, *, neutral: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(base.weight.detach() + (1 - neutral), requires_grad=False)
        self.eps = float(getattr(base, "variance_epsilon", None) or base.eps)

    def forward(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """As the norm that it stands for."""
        found: Tensor = _Normalize.apply(x, self.scale, self.eps)
        return found


class Layer(nn.Module):
    """A frozen module and the LoRAs of some runs; `a`: (run, rank, in), `b`: (run, out, rank)."""

    names: tuple[str, str]
    base: Any
    a: Tensor
    b: Tensor

    def __init__(self, base: nn.Module, scaling: float) -> None:
        super().__init__()
        self.base = base
        self.scaling = scaling


class StackedLinear(Layer):
    """A linear one; `order`: of its outputs, where it is not that of `b`."""

    names = ("lora_A.weight", "lora_B.weight")
    order: Tensor | None = None

    def forward(self, x: Float[Tensor, "run node d_in"]) -> Float[Tensor, "run node d_out"]:
        """Tokens of run s through W + scaling B_s A_s."""
        b = self.b if self.order is None else self.b[:, self.order]
        # One product with W + scaling B A, made anew in every pass: for narrow models cheaper than x through
        # A and then B, two thin products that read and write more than they multiply.
        weight = torch.baddbmm(self.base.weight.expand(len(b), -1, -1), b, self.a, alpha=self.scaling)
        y = torch.bmm(x, rearrange(weight, "run d_out d_in -> run d_in d_out"))
        return y if self.base.bias is None else y + self.base.bias


class StackedEmbedding(Layer):
    """Embeddings, whose `a` is (run, rank, token)."""

    names = ("lora_embedding_A", "lora_embedding_B")

    def forward(self, ids: Int[Tensor, "run node"]) -> Float[Tensor, "run node d_model"]:
        """Token t of run s as E[t] + scaling B_s A_s[t]."""
        runs, _, tokens = self.a.shape
        # The runs' A as one long table, for one lookup: token t of run s is row s * tokens + t.
        first = tokens * torch.arange(runs, device=ids.device)[:, None]
        inner = nn.functional.embedding(ids + first, rearrange(self.a, "run rank token -> (run token) rank"))
        if self.base.padding_idx is not None:  # its row is not trained, as in `nn.Embedding`
            inner = torch.where((ids == self.base.padding_idx)[..., None], inner.detach(), inner)
        y = torch.bmm(inner, rearrange(self.b, "run d_out rank -> run rank d_out"))
        found: Tensor = self.base(ids) + self.scaling * y
        return found


class Stacked:
    """A model whose adapted modules are stacked; changes `model`, which is the caller's own copy.

    `adapters`: one mapping a run, `<module>.lora_A.weight` -> tensor, or `<embeddings>.lora_embedding_A`.
    Raises `ConfigError` for a model that is large, not in float32, or has windows or caps.

    Attributes:
        weights: all adapters, first axis the run, with their gradients: these are never None, since a pass
            adds to a part of them in place.
    """

    def __init__(self, model: Any, adapters: Sequence[Mapping[str, Tensor]], scaling: float) -> None:
        size = sum(p.numel() for p in model.parameters())
        if not is_small(model.config, size) or model.dtype != torch.float32:
            raise ConfigError(
                f"a {type(model).__name__} of {size:,} parameters in {model.dtype}: only models of at most "
                f"{LARGEST:,} in float32, without windows and caps, are trained together; train this one by "
                "one"
            )
        self.model = model.requires_grad_(False)
        self.runs = len(adapters)
        self.weights = {
            name: nn.Parameter(torch.stack([one[name] for one in adapters])) for name in adapters[0]
        }
        for weight in self.weights.values():
            weight.grad = torch.zeros_like(weight)
        self.layers: dict[str, StackedLinear | StackedEmbedding] = {}
        for name in sorted({key.rpartition(".lora_")[0] for key in adapters[0]}):
            module = model.get_submodule(name)
            assert isinstance(module, nn.Linear | nn.Embedding)
            kind = StackedLinear if isinstance(module, nn.Linear) else StackedEmbedding
            self.layers[name] = kind(module, scaling)
            model.set_submodule(name, self.layers[name])
        neutral = families.of(model.config).neutral
        for name, module in list(model.named_modules()):
            if type(module).__name__.endswith("RMSNorm"):
                model.set_submodule(name, Norm(module, neutral=neutral))
        self.anatomy = Anatomy.of(model)
        for part in self.anatomy.parts:
            pair(part)
        abreast = ABREAST if model.device.type == "cpu" else self.runs
        self.passes = [slice(n, n + abreast) for n in range(0, self.runs, abreast)]
        self.leaves = [self._leaves(some) for some in self.passes]

    def _leaves(self, some: slice) -> dict[str, Tensor]:
        """Some runs' part of `weights`, in the same memory, gradients too."""
        found = {}
        for name, weight in self.weights.items():
            assert weight.grad is not None
            found[name] = weight.detach()[some].requires_grad_()
            found[name].grad = weight.grad[some]
        return found

    def of(self, run: int) -> dict[str, Tensor]:
        """One run's adapter, named as those that were given."""
        return {name: weight[run].detach().clone() for name, weight in self.weights.items()}

    def backward(
        self, tables: Sequence[Table], chosen: Sequence[Int[np.ndarray, " row"]]
    ) -> Float[Tensor, " run"]:
        """Mean completion loss of each run on the chosen ones of its own rows, equally many a run; adds each
        run's gradient to its own adapter.
        """
        found = []
        for some, leaves in zip(self.passes, self.leaves, strict=True):
            losses = self._losses(pack(tables[some], chosen[some], pieces=PIECES), leaves)
            losses.sum().backward()  # runs share no weight, so each gets the gradient of its own loss alone
            found.append(losses.detach())
        return torch.cat(found).cpu()

    def _losses(self, batch: Pack, leaves: Mapping[str, Tensor]) -> Float[Tensor, " run"]:
        """Mean completion loss of each run in a pack."""
        for name, layer in self.layers.items():
            layer.a, layer.b = (leaves[f"{name}.{key}"] for key in layer.names)
        hidden = self._hidden(batch)
        logits = self.anatomy.head(hidden)
        targets = torch.from_numpy(batch.targets).to(hidden.device)
        each = nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=NO_LOSS
        )
        return each.view(len(targets), -1).sum(1) / (targets != NO_LOSS).sum((1, 2))

    def _hidden(self, batch: Pack) -> Float[Tensor, "run place d_model"]:
        """The final hidden states at the places only."""
        device = self.model.device
        x = self.anatomy.embed(torch.from_numpy(batch.ids).to(device))
        attention = Attention(self.anatomy, batch, x)
        for part in self.anatomy.parts[:-1]:
            x = x + part.attention_adds(attention.everywhere(part, part.attention_reads(x)))
            x = x + part.mlp_adds(x)
        last = self.anatomy.parts[-1]
        mixed = attention.last(last, last.attention_reads(x))
        x = x.flatten(0, 1)[attention.places] + last.attention_adds(mixed)
        found: Tensor = self.anatomy.norm(x + last.mlp_adds(x))
        return found
