"""Number types: those a model may be loaded in, and the true one of what was loaded.

The law: a type is told from the weights themselves, never from what was asked for.
"""

import torch
from torch import nn

from activations import quantizing

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


def of_base(inner: nn.Module) -> str:
    """The base's type, e.g. `float32`; `nf4 (bfloat16 compute)` where it is quantized, and every type where
    there are several, e.g. `bfloat16 and float32`."""
    packed = sorted({kind for module in inner.modules() if (kind := quantizing.kind(module))})
    own = _types(inner, adapters=False)
    return f"{' and '.join(packed)} ({own} compute)" if packed else own


def of_adapters(inner: nn.Module) -> str:
    """The adapters' type; the empty string without adapters."""
    return _types(inner, adapters=True)


def _types(inner: nn.Module, *, adapters: bool) -> str:
    found = {
        str(weight.dtype).removeprefix("torch.")
        for key, weight in inner.named_parameters()
        if (".lora_" in key) == adapters and weight.is_floating_point()
    }
    return " and ".join(sorted(found))
