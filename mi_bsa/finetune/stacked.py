"""Adapters of many runs on one frozen model: one forward pass for several, each run's rows through its own
weights.

Every adapted linear module multiplies run s's tokens by W and by its own thin B_s A_s, several runs in one
batched product (`layers`); adapted embeddings look run s's tokens up in its own A_s. Outside attention a
token is computed once for all rows of its run that begin alike (`packed`, `attention`). The last block is
computed at the tokens before trained ones only (its keys and values at all), since nothing else reaches the
loss, and so is the vocabulary. Blocks below the lowest adapted one are the same for all runs and steps: they
run without gradients, and once where `lower` keeps what they give.

Products are made in `dtype`, the residual stream, the norms, the loss and the factors are float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from activations import families
from activations.anatomy import Anatomy, Parts
from mi_bsa.core.errors import ConfigError
from mi_bsa.finetune.attention import Attention, pair
from mi_bsa.finetune.layers import Norm, StackedEmbedding, StackedLinear
from mi_bsa.finetune.lower import Lower
from mi_bsa.finetune.packed import NO_LOSS, Pack, Table, pack

ABREAST = 5
"""Runs in one pass on a processor. Processor milliseconds of a step of ten runs of width 64: 222 with 1, 173
with 2, 160 with 5, 186 with 10, which no longer fit the cache.
"""

NARROW = 256
"""Width up to which several runs in one pass pay on a processor; wider ones fill it one by one."""

PIECES = 3
"""Lengths into which a pass's rows are cut for attention: 2 to 4 cost the same, 1 costs 8 % more."""

SAVED = 4 * 2**30
"""Bytes that a pass may keep for its backward pass. A step whose rows need more is several passes, the
shortest rows first; for the 8B Llama in bfloat16 that is about 400 tokens a pass, enough to fill its
products.
"""


def is_plain(config: Any) -> bool:
    """Whether adapters of a base can stack: one mask for all blocks, and nothing capped."""
    return families.of(config).is_plain(config)


class Stacked:
    """A model whose adapted modules are stacked; changes `model`, which is the caller's own copy.

    `adapters`: one mapping a run, `<module>.lora_A.weight` -> tensor, or `<embeddings>.lora_embedding_A`.
    `dtype`: in which products are made; that of the model, if absent. Raises `ConfigError` for a model that
    has windows or caps.

    Attributes:
        weights: all adapters, first axis the run, with their gradients: these are never None, since a pass
            adds to a part of them in place.
        first: the lowest adapted block, 0 where embeddings are adapted.
        lower: what the blocks below it give, once it is kept.
    """

    def __init__(
        self,
        model: Any,
        adapters: Sequence[Mapping[str, Tensor]],
        scaling: float,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        if not is_plain(model.config):
            raise ConfigError(
                f"a {type(model).__name__} has windows or caps: only models without them are trained "
                "together; train this one by one"
            )
        self.model = model.requires_grad_(False)
        self.dtype: torch.dtype = dtype or model.dtype
        self.runs = len(adapters)
        self.weights = {
            name: nn.Parameter(torch.stack([one[name] for one in adapters]).float()) for name in adapters[0]
        }
        for weight in self.weights.values():
            weight.grad = torch.zeros_like(weight)
        neutral = families.of(model.config).neutral
        for name, module in list(model.named_modules()):
            if type(module).__name__.endswith("RMSNorm"):
                model.set_submodule(name, Norm(module, neutral=neutral, dtype=self.dtype))
            elif isinstance(module, nn.Linear | nn.Embedding):
                module.to(self.dtype)
        self.layers: dict[str, StackedLinear | StackedEmbedding] = {}
        for name in sorted({key.rpartition(".lora_")[0] for key in adapters[0]}):
            module = model.get_submodule(name)
            assert isinstance(module, nn.Linear | nn.Embedding)
            kind = StackedLinear if isinstance(module, nn.Linear) else StackedEmbedding
            self.layers[name] = kind(module, scaling)
            model.set_submodule(name, self.layers[name])
        self.anatomy = Anatomy.of(model)
        for part in self.anatomy.parts:
            pair(part)
        self.first = 0 if isinstance(self.anatomy.embed, StackedEmbedding) else self._lowest()
        self.lower: Lower | None = None
        narrow = model.config.hidden_size <= NARROW
        abreast = self.runs if model.device.type != "cpu" else ABREAST if narrow else 1
        self.passes = [slice(n, n + abreast) for n in range(0, self.runs, abreast)]
        self.leaves = [self._leaves(some) for some in self.passes]

    def _lowest(self) -> int:
        """The lowest block with an adapter."""
        for n, part in enumerate(self.anatomy.parts):
            if any(isinstance(part.linear(name), StackedLinear) for name in part.linears):
                return n
        return len(self.anatomy.parts) - 1  # an adapter of the output layer alone

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
            self._take(leaves)
            own = list(zip(tables[some], chosen[some], strict=True))
            counts = torch.tensor([(t.targets[rows] != NO_LOSS).sum() for t, rows in own]).to(
                self.model.device
            )
            losses = torch.zeros(len(own), device=self.model.device)
            for part in self._cut(tables[some], chosen[some]):
                sums = self._losses(pack(tables[some], part, pieces=PIECES), some) / counts
                sums.sum().backward()  # runs share no weight, so each gets the gradient of its own loss alone
                losses += sums.detach()
            found.append(losses)
        return torch.cat(found).cpu()

    def keep(self, tables: Sequence[Table], used: Sequence[Int[np.ndarray, " _"]], folder: Path) -> None:
        """Compute what the blocks below the lowest adapted one give for the rows that will be used, in a file
        in `folder`, and read it from here on; not where it is too much.
        """
        if self.first:
            width = self.model.config.hidden_size
            self.lower = Lower.of(tables, used, width=width, folder=folder, below=self.below)

    @torch.no_grad()
    def below(self, batch: Pack) -> Float[Tensor, "run node d_model"]:
        """What enters the lowest adapted block."""
        x = self._embedded(batch)
        attention = Attention(self.anatomy, batch, x, self.dtype)
        for part in self.anatomy.parts[: self.first]:
            x = self._through(part, attention, x)
        return x

    def size(self, tables: Sequence[Table], chosen: Sequence[Int[np.ndarray, " row"]]) -> int:
        """About the bytes that a pass keeps for its backward pass: what norms save in float32, and in `dtype`
        what linear modules read, queries, keys and values, and attention's probabilities.
        """
        lengths = [(table.reads[rows] >= 0).sum(1) for table, rows in zip(tables, chosen, strict=True)]
        config = self.model.config
        width, inner, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
        one = 8 * width + self.dtype.itemsize * (6 * width + 4 * inner)
        each = sum(int((own * one + self.dtype.itemsize * heads * own**2).sum()) for own in lengths)
        return each * (len(self.anatomy.parts) - self.first)

    def _cut(
        self, tables: Sequence[Table], chosen: Sequence[Int[np.ndarray, " row"]]
    ) -> list[list[Int[np.ndarray, " _"]]]:
        """The rows of a step in parts of at most about `SAVED` bytes, each run's shortest rows first."""
        parts = min(len(chosen[0]), -(-self.size(tables, chosen) // SAVED))
        if parts == 1:
            return [list(chosen)]
        ordered = [
            rows[np.argsort((table.reads[rows] >= 0).sum(1), kind="stable")]
            for table, rows in zip(tables, chosen, strict=True)
        ]
        return [list(part) for part in zip(*(np.array_split(rows, parts) for rows in ordered), strict=True)]

    def _take(self, leaves: Mapping[str, Tensor]) -> None:
        """Let the modules use these factors."""
        for name, layer in self.layers.items():
            layer.a, layer.b = (leaves[f"{name}.{key}"] for key in layer.names)

    def _losses(self, batch: Pack, runs: slice) -> Float[Tensor, " run"]:
        """The sum of the completion losses of each of some runs in their pack."""
        hidden = self._hidden(batch, runs)
        logits = self.anatomy.head(hidden).float()
        targets = torch.from_numpy(batch.targets).to(hidden.device)
        each = nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=NO_LOSS
        )
        return each.view(len(targets), -1).sum(1)

    def _hidden(self, batch: Pack, runs: slice) -> Float[Tensor, "run place d_model"]:
        """The final hidden states at the places only."""
        if self.lower is not None:
            x = self.lower.read(batch, runs).to(self.model.device)
        else:
            x = self.below(batch) if self.first else self._embedded(batch)
        attention = Attention(self.anatomy, batch, x, self.dtype)
        for part in self.anatomy.parts[self.first : -1]:
            x = self._through(part, attention, x)
        last = self.anatomy.parts[-1]
        mixed = attention.last(last, self._reads(last.attention_norm, x))
        x = x.flatten(0, 1)[attention.places] + last.attention_adds(mixed)
        found: Tensor = self.anatomy.norm(x + self._mlp(last, x))
        return found

    def _embedded(self, batch: Pack) -> Float[Tensor, "run node d_model"]:
        found: Tensor = self.anatomy.embed(torch.from_numpy(batch.ids).to(self.model.device))
        return found.float()

    def _through(self, part: Parts, attention: Attention, x: Tensor) -> Tensor:
        """The stream behind a block."""
        x = x + part.attention_adds(attention.everywhere(part, self._reads(part.attention_norm, x)))
        return x + self._mlp(part, x)

    def _reads(self, norm: nn.Module | None, x: Tensor) -> Tensor:
        """The stream as a block's modules read it: behind a norm, or as it is, in the type of products."""
        return x.to(self.dtype) if norm is None else norm(x)

    def _mlp(self, part: Parts, x: Tensor) -> Tensor:
        return part.mlp_adds(x.to(self.dtype) if part.mlp_norm is None else x)
