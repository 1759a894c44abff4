"""Adapters of many runs on one frozen small model: one forward pass for all, each run's rows through its
own weights.

Every adapted linear module multiplies run s's rows by W + scaling B_s A_s, all runs in one batched product;
for narrow models this beats the two thin products of a LoRA layer. Adapted embeddings look run s's tokens up
in its own A_s. The last block is computed at the tokens before trained ones only (its keys and values at
all), since nothing else reaches the loss. Rows are padded on the right and the model is causal, so no real
token sees padding and no mask is needed.
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
from activations.recompute import turned
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.rows import Encoded, collate

LARGEST = 50_000_000
"""Parameters of the largest base: beyond, a weight for every run costs more than it saves."""


def is_small(config: Any, parameters: int) -> bool:
    """Whether a base is small, with one mask for all blocks and nothing capped: adapters of it can stack."""
    return families.of(config).is_plain(config) and parameters <= LARGEST


class StackedLinear(nn.Module):
    """A frozen linear module and one LoRA a run; `a`: (run, rank, in), `b`: (run, out, rank)."""

    names = ("lora_A.weight", "lora_B.weight")

    def __init__(self, base: nn.Linear, a: Tensor, b: Tensor, scaling: float) -> None:
        super().__init__()
        self.base = base
        self.a = nn.Parameter(a)
        self.b = nn.Parameter(b)
        self.scaling = scaling

    def forward(self, x: Float[Tensor, "example pos d_in"]) -> Float[Tensor, "example pos d_out"]:
        """Rows of run s, which stand together, through W + scaling B_s A_s."""
        runs = self.a.shape[0]
        # One product with W + scaling B A, made anew in every pass: for narrow models cheaper than x through
        # A and then B, two thin products that read and write more than they multiply.
        weight = torch.baddbmm(self.base.weight.expand(runs, -1, -1), self.b, self.a, alpha=self.scaling)
        y = torch.bmm(x.reshape(runs, -1, x.shape[-1]), rearrange(weight, "run d_out d_in -> run d_in d_out"))
        y = y.view(*x.shape[:-1], -1)
        return y if self.base.bias is None else y + self.base.bias


class StackedEmbedding(nn.Module):
    """Frozen embeddings and one LoRA a run; `a`: (run, rank, token), `b`: (run, d_model, rank)."""

    names = ("lora_embedding_A", "lora_embedding_B")

    def __init__(self, base: nn.Embedding, a: Tensor, b: Tensor, scaling: float) -> None:
        super().__init__()
        self.base = base
        self.a = nn.Parameter(a)
        self.b = nn.Parameter(b)
        self.scaling = scaling

    def forward(self, ids: Int[Tensor, "example pos"]) -> Float[Tensor, "example pos d_model"]:
        """Token t of run s, whose rows stand together, as E[t] + scaling B_s A_s[t]."""
        runs, _, tokens = self.a.shape
        # The runs' A as one long table, for one lookup: token t of run s is row s * tokens + t.
        own = ids.reshape(runs, -1)
        first = tokens * torch.arange(runs, device=ids.device)[:, None]
        inner = nn.functional.embedding(own + first, rearrange(self.a, "run rank token -> (run token) rank"))
        if self.base.padding_idx is not None:  # its row is not trained, as in `nn.Embedding`
            inner = torch.where((own == self.base.padding_idx)[..., None], inner.detach(), inner)
        y = torch.bmm(inner, rearrange(self.b, "run d_out rank -> run rank d_out"))
        found: Tensor = self.base(ids) + self.scaling * y.view(*ids.shape, -1)
        return found


class Stacked:
    """A model whose adapted modules are stacked; changes `model`, which is the caller's own copy.

    `adapters`: one mapping a run, `<module>.lora_A.weight` -> tensor, or `<embeddings>.lora_embedding_A`.
    Raises `ConfigError` for a model that is large, not in float32, or has windows or caps.
    """

    def __init__(self, model: Any, adapters: Sequence[Mapping[str, Tensor]], scaling: float) -> None:
        size = sum(p.numel() for p in model.parameters())
        if not is_small(model.config, size) or model.dtype != torch.float32:
            raise ConfigError(
                f"a {type(model).__name__} of {size:,} parameters in {model.dtype}: only models of at most "
                f"{LARGEST:,} in float32, without windows and caps, are trained together; train this one by "
                "one"
            )
        self.model = model
        self.anatomy = Anatomy.of(model)
        self.runs = len(adapters)
        self.layers: dict[str, StackedLinear | StackedEmbedding] = {}
        for name in sorted({key.rpartition(".lora_")[0] for key in adapters[0]}):
            parent, _, leaf = name.rpartition(".")
            module = model.get_submodule(name)
            assert isinstance(module, nn.Linear | nn.Embedding)
            kind = StackedLinear if isinstance(module, nn.Linear) else StackedEmbedding
            a, b = (torch.stack([one[f"{name}.{key}"] for one in adapters]) for key in kind.names)
            layer = kind(module, a, b, scaling)  # type: ignore[arg-type]
            setattr(model.get_submodule(parent), leaf, layer)
            self.layers[name] = layer

    def parameters(self) -> list[nn.Parameter]:
        """Every stacked tensor, first axis the run."""
        return [p for layer in self.layers.values() for p in (layer.a, layer.b)]

    def of(self, run: int) -> dict[str, Tensor]:
        """One run's adapter, named as those that were given."""
        return {
            f"{name}.{key}": w[run].detach().clone()
            for name, layer in self.layers.items()
            for key, w in zip(layer.names, (layer.a, layer.b), strict=True)
        }

    def backward(self, rows: Sequence[Sequence[Encoded]], *, parts: int, pad: int) -> Float[Tensor, " run"]:
        """Mean completion loss of each run on its own rows; adds each run's gradient to its own adapter.

        `rows`: one batch a run, equally long. Each is sorted by length and cut into `parts`, so that short
        rows are not padded to the longest; the parts' gradients add up.
        """
        count = torch.tensor([sum(sum(row.trained[1:]) for row in own) for own in rows], dtype=torch.float32)
        ordered = [sorted(own, key=lambda row: len(row.ids)) for own in rows]
        total = torch.zeros(self.runs)
        # Every run gives equally many rows to a part: they stand together, and products can be batched.
        for chosen in np.array_split(np.arange(len(rows[0])), min(parts, len(rows[0]))):
            some = [own[n] for own in ordered for n in chosen]
            sums = self.sums(some, pad=pad) / count.to(self.model.device)
            sums.sum().backward()  # runs share no weight, so each gets the gradient of its own loss alone
            total += sums.detach().cpu()
        return total

    def sums(self, rows: Sequence[Encoded], *, pad: int) -> Float[Tensor, " run"]:
        """Sum of the completion losses of each run; `rows`: the runs' rows one run after the other."""
        device = self.model.device
        batch = collate(rows, pad=pad)
        labels: Int[Tensor, "example pos"] = batch["labels"][:, 1:].to(device)
        wanted = labels != -100
        most = int(wanted.sum(1).max())
        # A row with fewer trained tokens than another has spare places; they stand at 0 and carry no loss.
        columns = torch.arange(wanted.shape[1], device=device)
        at = torch.where(wanted, columns, -1).sort(dim=1, descending=True).values[:, :most]
        places = at.clamp(min=0)
        targets = torch.where(at >= 0, labels.gather(1, places), -100)
        hidden = self._hidden(batch["input_ids"].to(device), places)
        logits = self.anatomy.head(hidden)
        each = nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-100
        )
        return rearrange(each, "(run rest) -> run rest", run=self.runs).sum(1)

    def _hidden(
        self, ids: Int[Tensor, "example pos"], places: Int[Tensor, "example place"]
    ) -> Float[Tensor, "example place d_model"]:
        """The final hidden states at `places` only."""
        x = self.anatomy.embed(ids)
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
        turn = self.anatomy.decoder.rotary_emb(x, positions)  # type: ignore[operator]
        mask = None  # causal by itself in sdpa; eager attention sees everything unless it is told
        if self.model.config._attn_implementation != "sdpa":
            width = ids.shape[1]
            mask = torch.full((width, width), torch.finfo(x.dtype).min, device=ids.device).triu(1)[None, None]
        for layer in self.anatomy.layers[:-1]:
            x = layer(x, attention_mask=mask, position_ids=positions, position_embeddings=turn)
        last = self.anatomy.parts[-1]
        row = torch.arange(len(ids), device=ids.device)[:, None]
        normed = last.attention_reads(x)
        cos, sin = (part[0] for part in turn)
        q = turned(last.heads("q", normed[row, places]), cos[places][:, None], sin[places][:, None])
        k, v = turned(last.heads("k", normed), cos, sin), last.heads("v", normed)
        seen = positions[:, None, None, :] <= places[:, None, :, None]
        mixed = nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=seen, scale=last.scaling, enable_gqa=q.shape[1] != k.shape[1]
        )
        x = x[row, places] + last.attention_adds(
            rearrange(mixed, "example head place d_head -> example place (head d_head)")
        )
        found: Tensor = self.anatomy.norm(x + last.mlp_adds(x))
        return found
