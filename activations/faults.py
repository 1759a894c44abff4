"""Faults, on purpose: processes killed, bytes flipped, and caches compared bit for bit, for tests of what
survives."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch


def same_cache(one: Path, other: Path) -> list[str]:
    """Every difference between two caches, bit for bit, but for the attribute `created`, the seal over it,
    and the commit log."""
    import h5py

    from activations.writer import MUTABLE, column_of

    def contents(path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with h5py.File(path, "r") as file:
            found |= {f"@{name}": value for name, value in file.attrs.items() if name not in MUTABLE}

            def visit(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset) and name != "plan/done":
                    column = column_of(item)
                    values = column.tolist() if column.dtype == object else column.tobytes()
                    attributes = sorted((key, str(value)) for key, value in item.attrs.items())
                    found[name] = (item.shape, str(item.dtype), values, attributes)

            file.visititems(visit)
        return found

    first, second = contents(one), contents(other)
    return sorted(
        name
        for name in first.keys() | second.keys()
        if name not in first or name not in second or not _equal(first[name], second[name])
    )


def _equal(one: Any, other: Any) -> bool:
    return bool(np.all(one == other)) if isinstance(one, np.ndarray | np.generic) else one == other


@dataclass(frozen=True)
class Flip:
    """One flipped byte: which dataset, where in the file, and whether the deep check reported it."""

    dataset: str
    offset: int
    reported: bool


def flip_bytes(path: Path, *, count: int, seed: int) -> list[Flip]:
    """Flip one random bit of one random byte of the data, `count` times, each time with a deep check; the
    file ends as it began."""
    import h5py

    from activations.store import Store

    generator = np.random.default_rng(seed)
    regions = []
    with h5py.File(path, "r") as file:

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.id.get_offset() is not None:
                regions.append((name, item.id.get_offset(), item.id.get_storage_size()))

        file.visititems(visit)
    sizes = np.array([size for *_, size in regions])
    store, flips = Store(path), []
    for _ in range(count):
        name, start, size = regions[int(generator.choice(len(regions), p=sizes / sizes.sum()))]
        offset = start + int(generator.integers(size))
        with open(path, "r+b", buffering=0) as plain:
            plain.seek(offset)
            old = plain.read(1)
            plain.seek(offset)
            plain.write(bytes([old[0] ^ (1 << int(generator.integers(8)))]))
        try:
            flips.append(Flip(name, offset, bool(store.check(deep=True))))
        finally:
            with open(path, "r+b", buffering=0) as plain:
                plain.seek(offset)
                plain.write(old)
    return flips


def in_child(function: Callable[[], None], *, kill_after: float | None = None) -> int:
    """Run a function in a forked process; its exit code: 0, 1 after an error (printed), -9 if it was killed
    after some seconds.

    The fork is cheap since every framework is loaded already. Torch must be used with one thread in the
    child.
    """
    import os
    import signal
    import time
    import traceback

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            torch.set_num_threads(1)
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
