"""A value on disk as a pair of files: numbers in `<path>.safetensors`, what is said about them in
`<path>.json`.

The law: what is loaded is what was saved, to the last bit, or an error. The JSON holds the SHA-256 of the
numbers and of itself; nothing is pickled, so that a file from elsewhere runs no code; an existing pair is
never overwritten, because a direction that changed under its name would steer unseen.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from probes.errors import DirectionError, ProbesError

T = TypeVar("T")


def write(
    path: str | Path, arrays: Mapping[str, np.ndarray], said: Mapping[str, Any], *, form: str, what: str
) -> Path:
    """Write a pair; returns the file of numbers.

    Args:
        path: with or without either suffix.
        arrays: the numbers, by name.
        said: JSON-ready facts.
        form: name and version of the format, for whoever reads it.
        what: the kind of value, for messages.

    Raises:
        DirectionError: one of the two files exists.
    """
    from safetensors.numpy import save_file

    tensors, about = _files(path)
    if tensors.exists() or about.exists():
        raise DirectionError(f"{tensors} exists already; {what}s are never overwritten: choose another name")
    tensors.parent.mkdir(parents=True, exist_ok=True)
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(whole, str(tensors), metadata={"format": form})
    body = {"format": form, **said}
    body["sha256"] = _seal(tensors, body)
    about.write_text(json.dumps(body, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return tensors


def read(
    path: str | Path,
    make: Callable[[Mapping[str, np.ndarray], Mapping[str, Any]], T],
    *,
    form: str,
    what: str,
    error: type[ProbesError],
) -> T:
    """What `make` makes of the numbers and facts that `write` wrote.

    Raises:
        ProbesError: as `error`: a file is missing, its bytes have changed, or it holds something else.
    """
    from safetensors.numpy import load_file

    tensors, about = _files(path)
    for file in (tensors, about):
        if not file.is_file():
            raise error(f"{file} does not exist; a {what} is a .safetensors file with a .json beside it")
    try:
        body = json.loads(about.read_text(encoding="utf-8"))
        if "sha256" in body and body["sha256"] != _seal(tensors, body):  # older versions wrote no hash
            raise ValueError("its bytes have changed since they were written")
        arrays = load_file(str(tensors))
        if body.get("format") != form:
            raise ValueError(f"format {body.get('format')!r}; this version reads {form!r}")
        return make(arrays, body)
    except error:
        raise
    except Exception as reason:  # safetensors, json and a value of another shape: three families of errors
        raise error(
            f"{tensors} holds no {what} ({reason}); write it with {what.capitalize()}.save or mi-bsa"
        ) from reason


def _seal(tensors: Path, body: Mapping[str, Any]) -> str:
    """SHA-256 of the numbers and of what is said about them."""
    said = {key: value for key, value in body.items() if key != "sha256"}
    total = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    total.update(tensors.read_bytes())
    return total.hexdigest()


def _files(path: str | Path) -> tuple[Path, Path]:
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in {".safetensors", ".json"} else path
    return stem.with_name(stem.name + ".safetensors"), stem.with_name(stem.name + ".json")
