"""Repacking: one plain contiguous file out of a joined one, or a compressed one out of either; values do not
change by a bit.

Compression saves at most a quarter of activations and costs memory mapping and random reads: it is for the
archive.
"""

import os
from pathlib import Path

import h5py
import numpy as np

from activations.errors import StoreError
from activations.seals import SEAL, USER_BLOCK, seal, stamp
from activations.store import Store
from activations.writer import column_of, exclusive

COMPRESSIONS = ("none", "gzip", "lzf")
_CHUNK_BYTES = 2**20


def repack(
    source: str | os.PathLike[str], out: str | os.PathLike[str], *, compression: str = "gzip"
) -> Store:
    """Copy a finished cache into a new file, compressed (`gzip`, `lzf`) or plain and contiguous (`none`).

    Raises:
        StoreError: an unknown compression, a source with faults, or an `out` that exists.
    """
    if compression not in COMPRESSIONS:
        raise StoreError(
            f"compression {compression!r} is none of {', '.join(COMPRESSIONS)}; use one of these"
        )
    store, target = Store(source), Path(out)
    if target.exists():
        raise StoreError(
            f"cache {str(target)!r} exists: a cache is never overwritten; choose another target (--out)"
        )
    faults = store.check(deep=True)
    if faults:
        raise StoreError(
            f"cache {str(store.path)!r} has faults ({faults[0]}), so it is not repacked; capture it again"
        )
    fresh = target.with_name(target.name + ".new")
    with exclusive(target):
        try:
            with store.open() as old, h5py.File(fresh, "w", userblock_size=USER_BLOCK) as new:
                for name, value in old.attrs.items():
                    if name not in ("shards", SEAL):
                        new.attrs[name] = value
                new.attrs["compression"] = compression

                def copy(name: str, item: h5py.Dataset | h5py.Group) -> None:
                    if not isinstance(item, h5py.Dataset):
                        return
                    if not name.startswith("activations/"):
                        made = new.create_dataset(name, data=column_of(item), dtype=item.dtype)
                        for key, value in item.attrs.items():
                            made.attrs[key] = value
                        return
                    width = max(1, item.dtype.itemsize * int(np.prod(item.shape[1:])))
                    rows = max(1, min(len(item), _CHUNK_BYTES // width))
                    chunks = (rows, *item.shape[1:])
                    packed = {"chunks": chunks, "compression": compression, "shuffle": True}
                    how = {} if compression == "none" else packed
                    made = new.create_dataset(name, shape=item.shape, dtype=item.dtype, **how)
                    for first in range(0, len(item), rows):
                        made[first : first + rows] = item[first : first + rows]

                old.visititems(copy)
                seal(new)
            stamp(fresh)
            os.replace(fresh, target)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            if isinstance(error, StoreError):
                raise
            raise StoreError(
                f"cannot write {str(target)!r} ({error.strerror or error}); free space or choose another "
                "folder"
            ) from None
    copied = Store(target)
    faults = copied.check(deep=True)
    if faults:
        target.unlink()
        raise StoreError(
            f"the copy {str(target)!r} does not match its source ({faults[0]}); it was deleted, check the "
            "disk"
        )
    return copied
