"""Where a model lies: a local folder, one that an installed package ships, or the Hub's cache."""

import os
from importlib.metadata import entry_points
from pathlib import Path

from activations.errors import ModelError


def locate(name: str | os.PathLike[str], *, revision: str | None = None) -> Path:
    """The folder of a model: a local one, one that an entry point of group `activations.models` names, or a
    Hub download.

    Raises:
        ModelError: nothing is found under that name.
    """
    text = os.fspath(name)
    if Path(text).is_dir():
        return Path(text)
    head, _, variant = text.partition("/")
    for point in entry_points(group="activations.models"):
        if point.name == head:
            folder: Path = point.load()(variant or None)
            return folder
    known = (
        ", ".join(sorted(point.name for point in entry_points(group="activations.models")))
        or "none installed"
    )
    if text.startswith((".", "/", "~")) or text.count("/") != 1:
        raise ModelError(
            f"model {text!r} is neither a folder nor a known name ({known}) nor a Hub id (owner/name); "
            "check its spelling"
        )
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            text,
            revision=revision,
            allow_patterns=["*.json", "*.safetensors", "*.jinja", "tokenizer*", "*.model"],
        )
    except (
        Exception
    ) as error:  # the Hub raises a family of errors without a common base for absent, offline and gated
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"model {text!r} could not be fetched ({reason}); check the id, your connection and your "
            "access, or give a folder"
        ) from None
    return Path(found)
