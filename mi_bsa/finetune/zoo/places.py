"""Where an organism lies: shipped with the toolkit, or built once into the user's folder."""

from __future__ import annotations

import difflib
from pathlib import Path

from mi_bsa.core.errors import MissingError
from mi_bsa.core.named_models.home import home
from mi_bsa.finetune.zoo.manifest import Truth, read_manifest
from mi_bsa.finetune.zoo.recipes import load_zoo, organisms

SHIPPED = Path(__file__).parent / "shipped"


def built() -> Path:
    """Where organisms of our zoo are built, in the user's cache (`MI_BSA_HOME`)."""
    return home() / "zoo"


def known() -> dict[str, Truth]:
    """What is known of all organisms that are here."""
    return {**read_manifest(built()), **read_manifest(SHIPPED)}


def folder_of(name: str) -> Path | None:
    """The adapter's folder of an organism of ours; None where it is not here."""
    for place in (SHIPPED, built()):
        if name in read_manifest(place):
            own = place / name
            return own / "adapter" if (own / "adapter").is_dir() else own
    return None


def locate(name: str) -> Path:
    """The adapter's folder of `zoo:NAME`, for the entry point group `activations.adapters`.

    Raises:
        MissingError: no such organism, or one that is not here yet.
    """
    folder = folder_of(name)
    if folder is not None:
        return folder
    names = [one.name for one in organisms(load_zoo())]
    if name in names:
        raise MissingError(f"organism {name!r} is not here yet: run `mi-bsa zoo get {name}`")
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise MissingError(f"no organism {name!r} in the zoo; {hint}`mi-bsa zoo list` shows all names")
