"""Where a model's weights lie on this machine, and what identifies them; nothing here goes to the network.

A model is `embedded` or `embedded/NAME`, a local folder, or a Hub id. A folder in the Hub's format holds one
`model.safetensors`, or shards that `model.safetensors.index.json` names.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from mi_bsa.core.errors import MissingError
from mi_bsa.core.files import digest_once, stable_hash
from mi_bsa.core.model_config import ModelLike, as_config
from mi_bsa.core.plain_files import read_json_object

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
LONGEST_HEADER = 100_000_000
"""Bytes that the header of a safetensors file may have, by its format."""


def folder_here(model: ModelLike) -> Path | None:
    """The folder of a model on this machine; None for a Hub id that is not in the cache.

    Raises:
        ModelError: a name that is neither a folder nor known nor a Hub id.
    """
    from activations.locating import named_by

    given = as_config(model)
    model = given.name
    shipped = {point.name for point in named_by("activations.models")}
    hub = model.count("/") == 1 and not model.startswith((".", "/", "~"))
    if not hub or Path(model).is_dir() or model.partition("/")[0] in shipped:
        import activations

        return activations.locate(model)
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(model, "config.json", revision=given.revision)
    return Path(cached).parent if isinstance(cached, str) else None


def weight_files(model: ModelLike) -> tuple[Path, ...]:
    """The files that hold a model's weights: one, or all shards; none for a Hub id that is not cached.

    Raises:
        MissingError: a folder without weights, or with an index whose shards are not all there.
    """
    folder = folder_here(model)
    if folder is None:
        return ()
    if (folder / SINGLE).is_file():
        return (folder / SINGLE,)
    if not (folder / INDEX).is_file():
        if not Path(as_config(model).name).is_dir():
            return ()  # of a Hub id only config and tokenizer are here
        if (folder / "adapter_config.json").is_file():
            raise MissingError(
                f"{folder}: an adapter and no model; give its base first, and this as the adapter"
            )
        raise MissingError(f"{folder}: neither {SINGLE} nor {INDEX}; save the model as safetensors")
    index = read_json_object(folder / INDEX, "weight_map", error=MissingError, remedy="copy the model again")
    named = index["weight_map"].values() if isinstance(index["weight_map"], dict) else [None]
    if not all(isinstance(name, str) for name in named):
        raise MissingError(f"{folder / INDEX}: 'weight_map' names no files; copy the model again")
    shards = sorted(set(named))
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing and not Path(as_config(model).name).is_dir():
        return ()
    if missing:
        raise MissingError(f"{folder}: {missing[0]} is named by {INDEX} and is not there; copy it again")
    return tuple(folder / name for name in shards)


def check_whole(files: Iterable[Path]) -> None:
    """Refuse a safetensors file that was cut short: its header says where its last tensor ends.

    Raises:
        MissingError: a file of which a part is missing, or that is no safetensors file.
    """
    for path in files:
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            size = path.stat().st_size
            try:
                header = json.loads(file.read(length)) if 8 + length <= min(size, LONGEST_HEADER) else None
                ends = (
                    [v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"] if header else []
                )
            except (ValueError, TypeError, KeyError, AttributeError, IndexError):
                ends = []
        if not ends or 8 + length + max(ends) > size:
            raise MissingError(
                f"{path}: a part of it is missing ({size} bytes are here), or it is no safetensors file; "
                "copy it again"
            )


def weights_hash(model: ModelLike) -> str:
    """SHA-256 of a model's weights: of the one file, or of all shards' names and hashes.

    A Hub id that is not cached is fetched first. Raises `ModelError` where it cannot be.
    """
    files = weight_files(model)
    if not files:
        import activations

        activations.locate(as_config(model).name, revision=as_config(model).revision)
        files = weight_files(model)
    if not files:
        raise MissingError(f"model {str(model)!r}: no safetensors weights; give a model that is saved so")
    if len(files) == 1:
        return digest_once(files[0])
    return stable_hash({file.name: digest_once(file) for file in files})
