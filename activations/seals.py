"""Seals: digests of what a cache says about itself, so that `cache check --deep` sees every changed bit.

The law: whatever can be read from a sealed file is covered. Columns have a SHA-256 each, activations a CRC-32
an example, commit flags one legal value; the seal covers the rest: every root attribute (name, type, value),
and the list of all datasets (names, shapes, types, their own attributes). It is written once, when the file
is laid out, as an attribute of the root; a digest of the seal stands on the group `plan`, so that a seal that
is lost or renamed is seen too. Caches of older toolkits have none; they are checked as far as they go.

HDF5 leaves bytes that no read depends on (about half of a small file). So that a flip among them is no silent
change either, a finished file is stamped: its user block, 512 bytes in front that HDF5 passes over, holds
the SHA-256 of all that follows.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

SEAL = "seal"
USER_BLOCK = 512
"""Bytes in front of a cache: the smallest user block that HDF5 knows."""
_STAMP = b"mi-bsa cache of activations (HDF5 begins at byte 512); SHA-256 of what follows: "
_HDF5 = b"\x89HDF\r\n\x1a\n"


def seal(file: h5py.File) -> None:
    """Write the seal; nothing but the content of datasets may change afterwards."""
    text = json.dumps(_facts(file), sort_keys=True)
    file.attrs[SEAL] = text
    file["plan"].attrs[SEAL] = _sha256(text.encode())


def is_sealed(file: h5py.File) -> bool:
    """Was the file made by a toolkit that seals?"""
    return SEAL in file.attrs or ("plan" in file and SEAL in file["plan"].attrs)


def broken(file: h5py.File) -> list[str]:
    """What does not match the seal, one line each; nothing for a file without one."""
    if not is_sealed(file):
        return []
    text, mark = file.attrs.get(SEAL), file["plan"].attrs.get(SEAL) if "plan" in file else None
    if not isinstance(text, str) or mark != _sha256(text.encode()):
        return ["the seal over attributes and datasets is damaged"]
    then, now = json.loads(text), _facts(file)
    names = then["attributes"].keys() | now["attributes"].keys()
    faults = [
        f"attribute {name!r} is not what was written"
        for name in sorted(names)
        if then["attributes"].get(name) != now["attributes"].get(name)
    ]
    if then["datasets"] != now["datasets"]:
        faults.append(
            "the list of datasets (names, shapes, types) is not what was written: "
            f"{now['n_datasets']} now, {then['n_datasets']} then"
        )
    return faults


def stamp(path: Path) -> None:
    """Write into a finished file's user block what the rest of it hashes to."""
    with open(path, "r+b") as plain:
        plain.write(_block(plain))
        plain.flush()
        os.fsync(plain.fileno())


def stamp_broken(path: Path) -> list[str]:
    """One line where a byte of a stamped file is not what was written; nothing for files without a user
    block, which older toolkits and other programs make."""
    with open(path, "rb") as plain:
        found = plain.read(USER_BLOCK)
        if found.startswith(_HDF5) or found == _block(plain):
            return []
    return ["a byte of the file is not what was written, though no dataset or attribute shows it"]


def _block(plain: BinaryIO) -> bytes:
    """The user block that belongs to an open file; its position is then at the beginning."""
    plain.seek(USER_BLOCK)
    digest = hashlib.sha256()
    while piece := plain.read(1 << 20):  # pieces of 1 MiB: flat memory, and long enough for full speed
        digest.update(piece)
    plain.seek(0)
    return (_STAMP + digest.hexdigest().encode() + b"\n").ljust(USER_BLOCK, b"\0")


def _facts(file: h5py.File) -> dict[str, Any]:
    """Digests of the root attributes one by one, and of all datasets together."""
    listed: list[str] = []

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        attributes = {key: _digest(item.attrs[key]) for key in sorted(item.attrs) if key != SEAL}
        kind = ["group"]
        if isinstance(item, h5py.Dataset):
            kind = [str(item.shape), "text" if h5py.check_string_dtype(item.dtype) else item.dtype.str]
        listed.append(json.dumps([name, *kind, attributes]))

    file.visititems(visit)
    return {
        "attributes": {name: _digest(value) for name, value in file.attrs.items() if name != SEAL},
        "datasets": _sha256("\n".join(sorted(listed)).encode()),
        "n_datasets": sum('"group"' not in line for line in listed),
    }


def _digest(value: Any) -> str:
    """Of an attribute's type and content."""
    if isinstance(value, str | bytes):
        content = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        return _sha256(type(value).__name__.encode() + content)
    array = np.asarray(value)
    content = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
    return _sha256(f"{array.dtype.str}{array.shape}".encode() + content)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
