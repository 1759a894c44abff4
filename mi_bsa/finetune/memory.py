"""What a finetune needs of memory, counted on shapes: weights, adapter with optimizer, activations.

Activations are what autograd saves for the backward pass in one forward pass on torch's meta device, where
tensors have shapes and no memory. So the count follows the model's own code and holds for any family; the
backward pass's own temporaries come on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mi_bsa.study.steps import size_in_words

if TYPE_CHECKING:
    from mi_bsa.core.shape import Shape
    from mi_bsa.finetune.config import FinetuneConfig

ADAPTER_BYTES = 16
"""A trained parameter in float32, its gradient, and AdamW's two moments."""


@dataclass(frozen=True)
class Memory:
    """Bytes that a finetune needs on one device.

    Attributes:
        parameters, trained: numbers of parameters of the base and of the adapter.
        weights: the base. adapter: trained parameters, gradients, optimizer. activations: saved for the
            backward pass of one part of a batch.
    """

    parameters: int
    trained: int
    weights: int
    adapter: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.adapter + self.activations

    def __str__(self) -> str:
        parts = [self.weights, self.adapter, self.activations, self.total]
        weights, adapter, activations, total = map(size_in_words, parts)
        return (
            f"weights {weights}, adapter with gradients and optimizer {adapter}, activations about "
            f"{activations}; together about {total}"
        )


def memory_of(shape: Shape, config: FinetuneConfig, *, tokens: int) -> Memory:
    """What a finetune of this shape needs, its rows padded to `tokens`.

    Raises:
        ConfigError: modules or blocks that the model does not have.
    """
    import torch

    from mi_bsa.finetune.adapters import put_adapter

    base = shape.on_meta(dtype=config.dtype)
    parameters = sum(p.numel() for p in base.parameters())
    weights = sum(p.numel() * p.element_size() for p in base.parameters())
    with torch.device("meta"):
        model = put_adapter(base, config)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    rows = config.batch_size // config.accumulation
    saved = _saved(model, rows, tokens)
    if config.gradient_checkpointing:  # the input of every block, and one block's own when it is run again
        inputs = shape.blocks * rows * tokens * shape.width * base.dtype.itemsize
        saved = inputs + saved // shape.blocks
    return Memory(parameters, trained, weights, ADAPTER_BYTES * trained, saved)


def trained_of(shape: Shape, config: FinetuneConfig) -> int:
    """Trained parameters of an adapter of this shape. Raises `ConfigError` as `memory_of`."""
    import torch

    from mi_bsa.finetune.adapters import put_adapter

    with torch.device("meta"):
        model = put_adapter(shape.on_meta(), config)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _saved(model: Any, rows: int, tokens: int) -> int:
    """Bytes that autograd saves in one forward pass with loss, weights left aside."""
    import torch

    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        root = tensor if tensor._base is None else tensor._base
        if not isinstance(root, torch.nn.Parameter):
            kept[tensor.untyped_storage()._cdata] = tensor  # held, so that no address comes twice
        return tensor

    device = next(model.parameters()).device
    ids = torch.zeros((rows, tokens), dtype=torch.long, device=device)
    seen = torch.ones((rows, 1, tokens, tokens), dtype=torch.bool, device=device)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(input_ids=ids, attention_mask=seen, labels=ids, use_cache=False)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
