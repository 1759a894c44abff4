"""In which type stacked training multiplies: looked up on the machine, never assumed.

The law: bfloat16 is chosen only where the processor has instructions for it (AVX512-BF16 or AMX), and only
for bases large enough to gain by it. A base that was loaded in bfloat16 on a processor without them is
multiplied in float32: the same weights, without bfloat16's rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from activations.devices import LARGE, has_bfloat16

if TYPE_CHECKING:
    import torch

    from mi_bsa.finetune.config import FinetuneConfig


def is_large(model: Any) -> bool:
    """Whether a base has more than `LARGE` parameters.

    Smaller ones would gain by bfloat16 too (a third at width 64), but train in minutes anyway, and their
    numbers stay those of every machine.
    """
    return sum(p.numel() for p in model.parameters()) > LARGE


def dtype_of(config: FinetuneConfig, model: Any) -> torch.dtype:
    """The type of products for a base that stands where it is trained."""
    import torch

    if config.compute != "auto":
        found: torch.dtype = getattr(torch, config.compute)
        return found
    own: torch.dtype = model.dtype
    if model.device.type != "cpu":
        return own
    wanted = is_large(model) or own == torch.bfloat16
    return torch.bfloat16 if wanted and has_bfloat16() else torch.float32
