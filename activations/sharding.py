"""Sharding: many ranks write one cache together, each a shard; one file of virtual datasets joins them.

The law: a shard is a run of whole examples in file order, cut so that tokens are balanced, so that each
joined dataset maps one block a shard. Whoever finishes last joins; a joined file whose shards are gone is an
error at opening, since HDF5 would read zeros.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from activations.errors import StoreError
from activations.seals import USER_BLOCK, seal, stamp
from activations.store import Store
from activations.writer import InUseError, exclusive, path_of, write_table

_SHARD_ONLY = ("shard", "first_example")


def mine(shard: tuple[int, int] | None) -> tuple[int, int]:
    """(part, parts): as given, or from RANK and WORLD_SIZE as `torchrun` and `accelerate launch` set them;
    else (0, 1).

    Raises:
        StoreError: a part that does not exist.
    """
    part, parts = (
        shard if shard is not None else (int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
    )
    if not 0 <= part < parts:
        raise StoreError(
            f"shard {part}/{parts} does not exist: parts count from 0; give 0/{parts} to "
            f"{max(parts - 1, 0)}/{parts}"
        )
    return part, parts


def bounds(lengths: Sequence[int] | np.ndarray, part: int, parts: int) -> tuple[int, int]:
    """First and last example (excluded) of a part; parts hold about equally many tokens.

    Raises:
        StoreError: more parts than examples.
    """
    if parts > len(lengths):
        raise StoreError(f"{parts} shards for {len(lengths)} prompts: a shard needs one at least; use fewer")
    if parts == 1:
        return 0, len(lengths)
    total = np.concatenate([[0], np.cumsum(lengths)])
    cuts = [int(np.searchsorted(total, total[-1] * n / parts)) for n in range(parts + 1)]
    # every part keeps one example at least, and leaves one for each that follows
    for n in range(1, parts + 1):
        cuts[n] = min(max(cuts[n], cuts[n - 1] + 1), len(lengths) - (parts - n))
    return cuts[part], cuts[part + 1]


def path(out: Path, part: int, parts: int) -> Path:
    """Where a shard lies: `acts.shard-0-of-4.h5` beside `acts.h5`."""
    return out.with_name(f"{out.stem}.shard-{part}-of-{parts}{out.suffix}")


def join_if_complete(out: Path, parts: int) -> Store | None:
    """Join the shards if all are finished; None if some are not yet, or if another rank is joining right
    now."""
    if not all(path(out, n, parts).is_file() for n in range(parts)):
        return None
    try:
        with exclusive(out):
            return Store(out) if out.exists() else join(out, [path(out, n, parts) for n in range(parts)])
    except InUseError:
        return None


def join(out: Path, shards: Sequence[Path]) -> Store:
    """One file whose datasets map the shards' blocks; tables are copied, values are not.

    Raises:
        StoreError: shards of different captures.
    """
    stores = [Store(shard) for shard in shards]
    first = stores[0]
    for other in stores[1:]:
        for name, value in first.attributes.items():
            if name not in (*_SHARD_ONLY, "created", "parity") and other.attributes.get(name) != value:
                raise StoreError(
                    f"shards {str(first.path)!r} and {str(other.path)!r} differ in {name}: they are of "
                    "different captures; make them alike"
                )
        if other.sites != first.sites:
            raise StoreError(
                f"shards {str(first.path)!r} and {str(other.path)!r} hold different sites; make them alike"
            )
    fresh = out.with_name(out.name + ".new")
    n_examples = [len(store.examples["id"]) for store in stores]
    n_rows = [len(store) for store in stores]
    with h5py.File(fresh, "w", userblock_size=USER_BLOCK) as file:
        for name, value in first.attributes.items():
            if name not in _SHARD_ONLY:
                file.attrs[name] = value
        file.attrs["shards"] = len(shards)
        for site in first.sites:
            _virtual(file, f"activations/{path_of(site)}", shards, n_rows)
            _virtual(file, f"checksums/{path_of(site)}", shards, n_examples)
        offset = np.concatenate([[0], np.cumsum(n_examples)])
        rows = {name: np.concatenate([store.rows[name] for store in stores]) for name in first.rows}
        rows["example"] = np.concatenate(
            [store.rows["example"] + offset[n] for n, store in enumerate(stores)]
        )
        write_table(file.require_group("rows"), rows)
        write_table(
            file.require_group("examples"),
            {name: np.concatenate([store.examples[name] for store in stores]) for name in first.examples},
        )
        write_table(
            file.require_group("plan"),
            {"row_starts": np.searchsorted(rows["example"], np.arange(offset[-1] + 1)).astype(np.int64)},
        )
        file["plan"].create_dataset("done", data=np.ones(len(shards), np.uint8))
        seal(file)
    stamp(fresh)
    os.replace(fresh, out)
    return Store(out)


def _virtual(file: h5py.File, name: str, shards: Sequence[Path], sizes: Sequence[int]) -> None:
    with h5py.File(shards[0], "r") as source:
        shape, dtype = source[name].shape[1:], source[name].dtype
    layout = h5py.VirtualLayout(shape=(sum(sizes), *shape), dtype=dtype)
    at = 0
    for shard, size in zip(shards, sizes, strict=True):
        layout[at : at + size] = h5py.VirtualSource(shard.name, name, shape=(size, *shape))
        at += size
    file.create_virtual_dataset(name, layout)
