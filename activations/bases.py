"""Bases: which base an adapter was trained on, and whether the one at hand is that one.

The law: an adapter on another base is another adapter. A finetune of ours records sums over all weights of
its base, in the type it was trained in and in the narrower ones, so that the base in another type is known
again; where they differ the load fails. A foreign adapter has only a name: where it is not the name, the
folder or the files of the base at hand, a warning says so.
"""

import filecmp
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from activations.adapter_files import AdapterFile
from activations.errors import AdapterError, AdapterWarning
from activations.locating import locate_here

RECORD, KEY = "finetune.json", "base"
"""The file that a finetune leaves beside its adapter, and the key under which it names its base:
`{"name": ..., "sums": {dtype: sha256}}`."""

NARROWER = {
    torch.float64: (torch.float64, torch.float32, torch.bfloat16, torch.float16),
    torch.float32: (torch.float32, torch.bfloat16, torch.float16),
    torch.bfloat16: (torch.bfloat16,),
    torch.float16: (torch.float16,),
}
_BITS = {8: torch.int64, 4: torch.int32, 2: torch.int16}


@torch.no_grad()
def sums(inner: nn.Module, dtypes: tuple[torch.dtype, ...] | None = None) -> dict[str, str]:
    """By type, a digest of the sums of the bits of all base weights when rounded to it: any other weight is
    another digest, but for weights that swap their places within one tensor.

    Far cheaper than a fingerprint, and equal for a base loaded in two types. Empty for quantized weights.
    """
    weights = {
        key.replace(".base_layer.", "."): weight
        for key, weight in inner.named_parameters()
        if ".lora_" not in key
    }
    own = {weight.dtype for weight in weights.values()}
    if len(own) != 1 or not own <= set(NARROWER):
        return {}
    found = {}
    for dtype in NARROWER[own.pop()]:
        if dtypes is not None and dtype not in dtypes:
            continue
        digest = hashlib.sha256()
        for key in sorted(weights):
            values = weights[key].to(dtype).reshape(-1)
            # whole words where they fit, whose sum may wrap around: 30 times faster than widening
            word = torch.int64 if values.nbytes % 8 == 0 else _BITS[dtype.itemsize]
            total = int(values.view(word).sum(dtype=torch.int64))
            digest.update(json.dumps([key, list(weights[key].shape), total]).encode())
        found[str(dtype).removeprefix("torch.")] = digest.hexdigest()
    return found


def record(inner: nn.Module, name: str) -> dict[str, Any]:
    """What a finetune writes of its base under `KEY` of its `RECORD`."""
    return {"name": name, "sums": sums(inner)}


def check(inner: Any, file: AdapterFile, *, name: str, folder: Path | None) -> None:
    """Refuse an adapter of ours on another base; warn of a foreign one whose configuration names another.

    Args:
        inner: the base's Hugging Face model.
        file: the adapter's folder.
        name: the base's name as it was given.
        folder: where it lies, if that is known.

    Raises:
        AdapterError: a record whose sums are not this base's.
    """
    theirs = _recorded(file)
    if theirs is not None:
        wanted = {getattr(torch, key): value for key, value in theirs["sums"].items() if hasattr(torch, key)}
        ours = sums(inner, tuple(wanted))
        shared = [key for key in ours if key in theirs["sums"]]
        if shared:
            if not any(ours[key] == theirs["sums"][key] for key in shared):
                raise AdapterError(
                    f"adapter {file.name!r} was trained on {theirs['name']!r}, whose weights are not those "
                    f"of {name!r}: on another base it is another adapter; load it on the base that it was "
                    "trained on"
                )
            return
    said = file.base
    if said is None or _same_name(said, inner, name, folder):
        return
    warnings.warn(
        f"adapter {file.name!r} names the base {said!r} and is put on {name!r}: if these are not the same "
        "weights its numbers mean nothing; load it on the base that it was trained on",
        AdapterWarning,
        stacklevel=3,
    )


def _recorded(file: AdapterFile) -> dict[str, Any] | None:
    """The record of our own finetune: beside the adapter, or above its checkpoints."""
    path = file.path.resolve()
    for folder in (path, path.parent, path.parent.parent):
        if (folder / RECORD).is_file():
            try:
                found = json.loads((folder / RECORD).read_text(encoding="utf-8")).get(KEY)
            except (ValueError, AttributeError, RecursionError):
                raise AdapterError(
                    f"adapter {file.name!r}: {str(folder / RECORD)!r} is broken; copy the run again, or take "
                    "the adapter's folder out of it"
                ) from None
            if isinstance(found, Mapping) and isinstance(found.get("sums"), Mapping) and found["sums"]:
                return {"name": str(found.get("name")), "sums": dict(found["sums"])}
            return None
    return None


def _same_name(said: str, inner: Any, name: str, folder: Path | None) -> bool:
    known = {name, str(getattr(inner, "name_or_path", "") or "")}
    if folder is not None:
        known |= {str(folder), _hub_id(folder)}
    if said in known:
        return True
    if folder is None:
        return False
    try:
        theirs = locate_here(os.path.expanduser(said))
    except Exception:  # a package's own model that is not here, as that package says it: another name, then
        theirs = None
    return theirs is not None and (theirs.resolve() == folder.resolve() or _same_files(theirs, folder))


def _hub_id(folder: Path) -> str:
    """`owner/name` of a folder in the Hub's cache, `models--owner--name/snapshots/REVISION`."""
    above = folder.parent.parent.name
    return above.removeprefix("models--").replace("--", "/") if above.startswith("models--") else ""


def _same_files(one: Path, two: Path) -> bool:
    """Whether two folders hold the same weights files, byte for byte."""
    names = [sorted(path.name for path in folder.glob("*.safetensors")) for folder in (one, two)]
    if names[0] != names[1] or not names[0]:
        return False
    if any((one / name).stat().st_size != (two / name).stat().st_size for name in names[0]):
        return False
    return all(filecmp.cmp(one / name, two / name, shallow=False) for name in names[0])
