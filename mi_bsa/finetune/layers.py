"""The modules of a frozen base as stacked training has them: norms, and linear ones with the LoRAs of some
runs.

The law: a module computes what the one that it stands for computes with PEFT's LoRA around it, in the type of
its own weights, and keeps for the backward pass only what the gradients of A and B need: a frozen weight has
none. Factors are float32 whatever the base is in; they are rounded where they are used.
"""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn


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
    """A frozen RMS norm, computed in float32 and given back in `dtype`."""

    def __init__(self, base: Any, *, neutral: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = nn.Parameter(base.weight.detach().float() + (1 - neutral), requires_grad=False)
        self.eps = float(getattr(base, "variance_epsilon", None) or base.eps)
        self.dtype = dtype

    def forward(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """As the norm that it stands for."""
        found: Tensor = _Normalize.apply(x.float(), self.scale, self.eps)
        return found.to(self.dtype)


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


def _plus(small: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """small + x W, rounded once: a small update added to a product that is bfloat16 already would be lost
    wherever it is less than half a step of the grid on which that product lies.
    """
    return torch.addmm(small.flatten(0, 1), x.flatten(0, 1), weight, out=small.flatten(0, 1)).view_as(small)


class _Beside(torch.autograd.Function):
    """x W + scaling (x A) B, whose W is frozen: saves x and the thin x A.

    Two thin products beside the full one. A weight W + scaling B A made for every run would cost a product of
    W's own size in the backward pass: 10 % less at width 64 and rank 4, more from width 128 on.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scaling: float
    ) -> Tensor:
        inner = torch.bmm(x, a.mT).mul_(scaling)
        ctx.save_for_backward(x, weight, a, b, inner)
        ctx.scaling = scaling
        y = _plus(torch.bmm(inner, b.mT), x, weight.t())
        return y if bias is None else y.add_(bias)

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, None, None, Tensor, Tensor, None]:
        x, weight, a, b, inner = ctx.saved_tensors
        back = torch.bmm(given, b).mul_(ctx.scaling)
        to_x = _plus(torch.bmm(back, a), given, weight) if ctx.needs_input_grad[0] else None
        return to_x, None, None, torch.bmm(back.mT, x), torch.bmm(given.mT, inner), None


class StackedLinear(Layer):
    """A linear one; `order`: of its outputs, where it is not that of `b`."""

    names = ("lora_A.weight", "lora_B.weight")
    order: Tensor | None = None

    def forward(self, x: Float[Tensor, "run node d_in"]) -> Float[Tensor, "run node d_out"]:
        """Tokens of run s through W + scaling B_s A_s."""
        weight = self.base.weight
        b = self.b if self.order is None else self.b[:, self.order]
        x, a, b = (one.to(weight.dtype) for one in (x, self.a, b))
        found: Tensor = _Beside.apply(x, weight, self.base.bias, a, b, self.scaling)
        return found


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
