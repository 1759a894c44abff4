"""Checks of a cache file: at opening (do its parts fit), shallow (is it whole), deep (is every byte right).

The law: a file that plain h5py wrote or changed is read for what it is, or refused with the part that is
wrong.
"""

import json
import os
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from activations.errors import StoreError
from activations.sites import Site
from activations.writer import EXAMPLE_COLUMNS, LOG_PROB, NUMBERS, ROW_COLUMNS, digest, path_of

REQUIRED = ("variant", "index_hash", "dtype", "layer_convention")
"""Attributes without which a file can not be read for what it is."""


def datasets_of(file: h5py.File, path: Path) -> dict[Site, h5py.Dataset]:
    """The datasets below /activations by their sites: `<site>`, or `<site>/<layer>`, and nothing deeper.

    Raises:
        StoreError: groups within groups, or names that are no sites.
    """
    found: dict[Site, h5py.Dataset] = {}
    for name, item in file["activations"].items():
        inner = (
            {name: item} if isinstance(item, h5py.Dataset) else {f"{name}.{k}": v for k, v in item.items()}
        )
        for text, data in inner.items():
            if not isinstance(data, h5py.Dataset):
                raise StoreError(
                    f"cache {str(path)!r} holds groups within groups at activations/{text[:60]}; a "
                    "cache has activations/<site> and activations/<site>/<layer> and nothing deeper"
                )
            found[Site.parse(text)] = data
    return found


def refuse_malformed(file: h5py.File, sites: Mapping[Site, h5py.Dataset], path: Path) -> None:
    """Refuse a file whose parts do not belong together; plain h5py may have written or changed it.

    Raises:
        StoreError: an attribute or column that is missing, reserved or of another length, or another number
            type than the attribute `dtype` says.
    """

    def refuse(what: str) -> StoreError:
        return StoreError(f"cache {str(path)!r} is malformed: {what}; restore it, or capture it again")

    missing = [name for name in REQUIRED if name not in file.attrs]
    if missing:
        raise refuse(f"attribute {missing[0]!r} is missing")
    dtype = file.attrs["dtype"]
    if dtype not in NUMBERS:
        raise refuse(f"attribute 'dtype' is {str(dtype)[:20]!r}, not one of {', '.join(NUMBERS)}")
    lengths = {}
    for table, needed in (("rows", ROW_COLUMNS), ("examples", EXAMPLE_COLUMNS)):
        group = file.get(table)
        columns = dict(group.items()) if isinstance(group, h5py.Group) else {}
        for name in needed:
            if name not in columns:
                raise refuse(f"{table}/{name} is missing")
        lengths[table] = len(columns[needed[0]])
        for name, item in columns.items():
            if not isinstance(item, h5py.Dataset) or item.shape != (lengths[table],):
                shape = getattr(item, "shape", "a group")
                raise refuse(f"{table}/{name} is {shape}, not ({lengths[table]},)")
            if table == "rows" and item.dtype.kind not in ("f" if name == LOG_PROB else "iu"):
                wanted = "fractions" if name == LOG_PROB else "whole numbers"
                raise refuse(f"rows/{name} holds {item.dtype}, not {wanted}")
            if table == "examples" and name in ROW_COLUMNS:
                raise refuse(f"the label {name!r} has the name of a column of rows; rename it")
    for site, item in sites.items():
        if not item.shape or item.shape[0] != lengths["rows"]:
            raise refuse(
                f"activations/{path_of(site)} has shape {item.shape}, and there are {lengths['rows']} rows"
            )
        if item.dtype.kind != NUMBERS[dtype].kind or item.dtype.itemsize != NUMBERS[dtype].itemsize:
            raise refuse(f"activations/{path_of(site)} holds {item.dtype}, and 'dtype' says {dtype}")


def shallow(file: h5py.File) -> list[str]:
    n_rows = len(file["rows/example"])
    faults = [
        f"{table}/{name} has {len(item)} rows, not {size}"
        for table, size in (("rows", n_rows), ("examples", len(file["examples/id"])))
        for name, item in file[table].items()
        if len(item) != size
    ]
    missing = int((file["plan/done"][:] != 1).sum())
    if missing:
        faults.append(f"{missing} of {len(file['plan/done'])} batches are not committed")

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and len(item) != n_rows:
            faults.append(f"activations/{name} has {len(item)} rows, not {n_rows}")

    file["activations"].visititems(visit)
    return faults


def contents(file: h5py.File, sites: Sequence[Site]) -> list[str]:
    faults = []
    for table in ("rows", "examples", "plan"):
        for name, item in file[table].items():
            if name == "done":
                continue
            if "sha256" not in item.attrs:
                faults.append(f"{table}/{name} has no checksum: it was not written with this cache")
            elif digest(item[:]) != item.attrs["sha256"]:
                faults.append(f"{table}/{name} does not match its checksum")
    starts = file["plan/row_starts"][:]
    summed: list[str] = []
    file["checksums"].visititems(lambda n, item: summed.append(n) if isinstance(item, h5py.Dataset) else None)
    held = {path_of(site) for site in sites}
    faults += [f"activations/{name} is gone" for name in summed if name not in held]
    faults += [f"activations/{name} has no checksums" for name in held if name not in summed]
    if faults:
        return faults
    for site in sites:
        data, sums = file[f"activations/{path_of(site)}"], file[f"checksums/{path_of(site)}"][:]
        block = max(1, int(2**26 // max(1, data.dtype.itemsize * int(np.prod(data.shape[1:])))))
        first = 0
        while first < len(sums):
            last = max(first + 1, int(np.searchsorted(starts, starts[first] + block, side="right")) - 1)
            last = min(last, len(sums))
            values = data[int(starts[first]) : int(starts[last])]
            for example in range(first, last):
                piece = values[slice(*(starts[example : example + 2] - starts[first]))]
                if zlib.crc32(np.ascontiguousarray(piece).data) != int(sums[example]):
                    faults.append(
                        f"activations/{path_of(site)}: example {example} does not match its checksum"
                    )
            first = last
    return faults


def survey(path: Path, *, deep: bool) -> tuple[list[str], bool]:
    """The faults of a cache, and whether it is sealed, found in a process of its own.

    HDF5 itself may crash on a damaged file (a flipped bit in an address), and no caller must crash with it.

    Raises:
        StoreError: what opening the cache raises.
    """
    from activations.store import Store

    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: the child only reads
        child = os.fork()
    if child == 0:
        try:
            os.close(read)
            try:
                store = Store(path)
                found: dict[str, Any] = {"faults": store.check(deep=deep), "sealed": store.sealed}
            except StoreError as error:
                found = {"error": str(error)}
            with os.fdopen(write, "w") as pipe:
                json.dump(found, pipe)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    if not text:
        return ["HDF5 crashes on the file"], True
    said = json.loads(text)
    if "error" in said:
        raise StoreError(said["error"])
    return said["faults"], said["sealed"]
