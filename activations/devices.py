"""Devices: where a model goes when nobody says where.

The law: the accelerator where there is one, else the processor; what is asked for is never swapped silently.
"""

import platform
import warnings
from collections.abc import Mapping
from typing import Any

import torch

from activations.errors import ModelError

LARGE = 50_000_000
"""Parameters from which on it matters in which type a processor multiplies."""


class DeviceWarning(UserWarning):
    """Work that runs where it was asked to, and slowly."""


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 by instructions of its own (AVX512-BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def warn_slow(inner: Any, name: str) -> None:
    """Say that a large model in 16 bits stands on a processor that has no instructions for such numbers.

    On an AVX2 processor products of matrices ran at 1.3 GFLOP/s in bfloat16 and .8 in float16, where float32
    had 60 to 90, and nothing said so. Those that multiply float16 have the instructions for bfloat16 too.
    """
    weight = next(inner.parameters())
    half = weight.dtype in (torch.bfloat16, torch.float16)
    # other makes of processor are not told by these flags
    known = weight.device.type == "cpu" and platform.machine().lower() in ("x86_64", "amd64")
    if not half or not known or has_bfloat16():
        return
    if sum(p.numel() for p in inner.parameters()) > LARGE:
        kind = str(weight.dtype).removeprefix("torch.")
        warnings.warn(
            f"model {name!r} is in {kind} and this processor has no instructions for it (AVX512-BF16 or "
            "AMX): each pass takes many times as long as in float32; use dtype float32 here",
            DeviceWarning,
            stacklevel=2,
        )


def default() -> torch.device:
    """The accelerator of this machine (CUDA, ROCm, MPS, XPU), or the CPU where there is none."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return torch.device("cpu") if found is None else found


def parse(device: str | torch.device | None) -> torch.device:
    """A device from its name; the default one where none is given.

    Raises:
        ModelError: a name that torch does not know.
    """
    if device is None:
        return default()
    try:
        return torch.device(device)
    except RuntimeError:
        raise ModelError(
            f"device {device!r} is not a device of torch; use cpu, cuda, cuda:0 or mps, or leave it out"
        ) from None


def check_map(device_map: str | Mapping[str, Any] | None, name: str) -> None:
    """Refuse a placement that asks for the disk, before anything is read.

    Raises:
        ModelError: weights on disk.
    """
    if isinstance(device_map, Mapping) and "disk" in device_map.values():
        part = next(key for key, place in device_map.items() if place == "disk")
        raise ModelError(
            f"model {name!r}: device_map puts {part!r} on disk, so that it is offloaded: {_AWAY}"
        )


def check_placed(inner: Any, device_map: str | Mapping[str, Any], name: str) -> None:
    """Refuse a placement that left out weights, or that left some outside of memory.

    Raises:
        ModelError: weights that no entry names, or that are moved in for each use.
    """
    keys = [key for key, _ in inner.named_parameters()]
    if isinstance(device_map, Mapping):
        heads = tuple(f"{part}." if part else "" for part in device_map)
        left = [key for key in keys if not f"{key}.".startswith(heads)]
        if left:
            raise ModelError(
                f"model {name!r}: device_map says nowhere to put {left[0]}; name every module, or '' for all"
            )
    away = [key for key, weight in inner.named_parameters() if weight.device.type == "meta"]
    if away:
        raise ModelError(f"model {name!r}: {len(away)} weights are offloaded (e.g. {away[0]}): {_AWAY}")


_AWAY = (
    "what comes in for each use only cannot be read or adapted; use more devices, dtype='bfloat16' or "
    "quantization='nf4'"
)
