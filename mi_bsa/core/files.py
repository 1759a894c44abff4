"""Files that are there whole or not at all, and what identifies their content.

The law it keeps: after a crash at any moment a file holds its old content or its new one, never a part.
"""

import hashlib
import json
import os
import re
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Write a file through a temporary neighbor, fsync and rename; parent folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically; non-finite numbers are refused, key order is kept."""
    write_atomic(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def digest(path: str | Path) -> str:
    """SHA-256 of a file, or of a folder's relative names and contents; reads in pieces of 1 MiB."""
    path = Path(path)
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    total = hashlib.sha256()
    for file in files:
        if path.is_dir():
            total.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while piece := stream.read(1 << 20):
                total.update(piece)
    return total.hexdigest()


def digest_once(path: str | Path) -> str:
    """`digest`; of a large file once in a process while its size and time stay, for weights may have 100 GB.

    A file of the Hub's cache is named by its SHA-256, which is then taken from there.
    """
    whole = Path(path).resolve()
    if whole.parent.name == "blobs" and re.fullmatch("[0-9a-f]{64}", whole.name):
        return whole.name
    state = whole.stat()
    if whole.is_dir() or state.st_size < 1 << 20:
        return digest(whole)
    return _digest_of(whole, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1024)
def _digest_of(path: Path, size: int, time: int) -> str:
    return digest(path)


def size(path: str | Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    path = Path(path)
    if path.is_dir():
        return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())
    return path.stat().st_size


def stable_hash(value: Any) -> str:
    """SHA-256 of a JSON-like value, the same in every process: keys sorted, no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
