"""Which models are here, and where: `smollm2`, `smollm2/bfloat16`, `local/NAME`.

A finished folder holds `mi-bsa-model.json`, written last, with the size and SHA-256 of every file of it; one
without it, or with a file of another size, is never taken for a model. `locate` reads nothing but sizes.
"""

import json
from pathlib import Path
from typing import Any

from mi_bsa.core.errors import MissingError
from mi_bsa.core.files import digest, write_json
from mi_bsa.core.named_models.catalog import DTYPES, LINKED, NAMED
from mi_bsa.core.named_models.home import home

RECORD = "mi-bsa-model.json"
REVISION = 2
"""Of the conversion; a folder of an earlier one is made again, for its tokenizer or its card differed."""
LOCAL = "local"
"""The name before the slash of models that were made from a GGUF of one's own."""


def folder_of(name: str, dtype: str) -> Path:
    """Where a model stands, or would."""
    return home() / "models" / name / dtype


def called(name: str, dtype: str) -> str:
    """What a model is called where one is given; the first of the dtypes is not said."""
    return name if dtype == DTYPES[0] else f"{name}/{dtype}"


def command(name: str, dtype: str) -> str:
    """What puts a known model in place."""
    return f"mi-bsa model get {name}" + ("" if dtype == DTYPES[0] else f" --dtype {dtype}")


def locate_smollm2(variant: str | None) -> Path:
    """The folder of `smollm2` (float32), `smollm2/DTYPE` or a base of known links (`smollm2/linked-0`).

    It serves the entry point group `activations.models`.

    Raises:
        MissingError: it is not here yet, or there is no such dtype.
    """
    if variant in LINKED:
        return locate(f"smollm2/{variant}", None)
    return locate("smollm2", variant)


def locate_local(variant: str | None) -> Path:
    """The folder of `local/NAME` or `local/NAME/DTYPE`. Raises `MissingError` where it is not here."""
    name, _, dtype = (variant or "").partition("/")
    here = sorted(
        {f"{LOCAL}/{folder.parent.name}" for folder in folders_here() if folder.parent.parent.name == LOCAL}
    )
    if not name:
        raise MissingError(
            f"model {LOCAL!r} names no model; say one of: {', '.join(here) or 'none is here yet'}"
        )
    return locate(f"{LOCAL}/{name}", dtype or None)


def locate(name: str, dtype: str | None) -> Path:
    """The folder of a model that is here; without a dtype float32, and where that is not here the other one.

    Raises:
        MissingError: it is not here yet, not whole, or there is no such dtype.
    """
    if dtype is not None and dtype not in DTYPES:
        raise MissingError(f"model '{name}/{dtype}': there is no such dtype; use one of {', '.join(DTYPES)}")
    folder = folder_of(name, dtype or DTYPES[0])
    fault = damage(folder)
    if fault is None:
        return folder
    get = command(name, dtype or DTYPES[0])
    known = name in NAMED or name.partition("/")[2] in LINKED
    if not folder.is_dir():
        other = next((kind for kind in DTYPES if damage(folder_of(name, kind)) is None), None)
        also = f", or use {name}/{other}, which is here" if other is not None else ""
        do = f"run `{get}` once" if known else "`mi-bsa model list` shows what is"
        raise MissingError(
            f"model '{name}{'' if dtype is None else '/' + dtype}' is not here yet; {do}{also}"
        )
    raise MissingError(
        f"{folder}: {fault}; "
        + (f"run `{get}` again" if known else "make it again with `mi-bsa model get FILE.gguf`")
    )


def damage(folder: Path, *, deep: bool = False) -> str | None:
    """Why a folder is no whole model, None where it is one; `deep` compares every byte."""
    try:
        record = read_record(folder)
        files = record["files"]
        if record.get("revision", 0) < REVISION:
            return "it was made by an older version of the conversion"
        for name, known in files.items():
            size = (folder / name).stat().st_size
            if size != known["size"]:
                return f"{name} has {size:,} bytes, not {known['size']:,}"
            if deep and digest(folder / name) != known["sha256"]:
                return f"{name} is not what was written"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{RECORD} cannot be read"
    return None


def read_record(folder: Path) -> dict[str, Any]:
    """What is recorded of a model beside its weights."""
    record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return record


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write the record of a finished folder, with the size and hash of every file in it."""
    files = {
        item.relative_to(folder).as_posix(): {"size": item.stat().st_size, "sha256": digest(item)}
        for item in sorted(folder.rglob("*"))
        if item.is_file() and item.name != RECORD
    }
    write_json(folder / RECORD, record | {"revision": REVISION, "files": files})


def folders_here() -> list[Path]:
    """Every folder of the cache that stands where a model does, whole or not."""
    models = home() / "models"
    folders = [*models.glob("*/*"), *models.glob(f"{LOCAL}/*/*")]
    folders = [item for item in folders if item.parent != models / LOCAL]
    return sorted(item for item in folders if item.name in DTYPES and item.is_dir())
