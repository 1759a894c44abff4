"""Quantizing: weights of four bits while they are loaded, by bitsandbytes.

The law: a quantized model says so. Its type is told with the type it computes in, and its fingerprint is that
of the quantized weights. QLoRA and NF4: Dettmers et al. 2023 (arXiv 2305.14314).
"""

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from activations.errors import ModelError

KINDS = ("nf4",)


def config(quantization: str | None, dtype: torch.dtype) -> Any:
    """transformers' configuration of a quantization that computes in `dtype`; None for none.

    Raises:
        ModelError: an unknown kind, or bitsandbytes is not installed.
    """
    if quantization is None:
        return None
    if quantization not in KINDS:
        raise ModelError(f"quantization {quantization!r} is not known; use 'nf4', or leave it out")
    if find_spec("bitsandbytes") is None:
        raise ModelError(
            "quantization 'nf4' needs the package bitsandbytes, which is not installed; install "
            "'mi-bsa[quantization]', or leave quantization out"
        )
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def kind(module: nn.Module) -> str | None:
    """The four-bit type of a linear module's weight, e.g. `nf4`; None for one that is not quantized."""
    state = getattr(getattr(module, "weight", None), "quant_state", None)
    return None if state is None else str(state.quant_type)


def weight(module: nn.Module) -> Tensor:
    """A linear module's weight as numbers, which for a quantized one are what it computes with."""
    if kind(module) is None:
        return module.weight.detach()  # type: ignore[operator]
    from bitsandbytes.functional import dequantize_4bit

    packed: Any = module.weight
    return dequantize_4bit(packed.data, packed.quant_state)


def keep(inner: nn.Module) -> None:
    """Keep quantized weights as they are while they are used.

    On processors with AVX512-BF16 bitsandbytes repacks a weight at its first use, with scales rounded to
    bfloat16, and packs it back inexactly when its state is read: the numbers would depend on who looked.

    Raises:
        ModelError: weights that were repacked before; or rows that do not end with a block of scales, which
            bitsandbytes 0.50 reads with other scales on the CPU than it wrote.
    """
    for path, module in inner.named_modules():
        if kind(module) is None:
            continue
        state: Any = module.weight.quant_state
        width = int(module.in_features)
        if width % state.blocksize and module.weight.device.type == "cpu":
            raise ModelError(
                f"{path} has rows of {width}, which are no whole blocks of {state.blocksize}: bitsandbytes "
                "reads them wrongly on the CPU; leave quantization out, or use a GPU"
            )
        if getattr(state, "packing_format_for_cpu", False):
            raise ModelError(
                f"{path} was repacked by bitsandbytes when the model ran on the CPU, with scales rounded to "
                "bfloat16; load the model again"
            )
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
