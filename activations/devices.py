"""Devices: where a model goes when nobody says where.

The law: the accelerator where there is one, else the processor; what is asked for is never swapped silently.
"""

from typing import Any

import torch

from activations.errors import ModelError


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


def check_map(inner: Any, name: str) -> None:
    """Refuse a placement that leaves weights outside of memory, where they cannot be read, hashed or adapted.

    Raises:
        ModelError: weights on disk, or moved in for each use.
    """
    away = [key for key, weight in inner.named_parameters() if weight.device.type == "meta"]
    if away:
        raise ModelError(
            f"model {name!r}: {len(away)} weights are offloaded (e.g. {away[0]}) and come in for each use "
            "only, so that nothing can be read from them or adapted; use more devices, dtype='bfloat16' or "
            "quantization='nf4'"
        )
