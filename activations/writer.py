"""Writer: one cache file, created whole, filled row by row, and safe from a kill at any moment.

The law: whatever is committed survives, and what a resumed run leaves behind equals an uninterrupted run's
bit for bit. h5py creates the complete file first: every dataset contiguous and allocated, every attribute
final. After that no HDF5 metadata is ever touched again: values are written at fixed offsets with plain
`pwrite`, each example's checksum beside them, and the batch's flag in `/plan/done` last. The file bears the
suffix `.part` until the last batch is in; renaming it is the final commit. A lock (released by the kernel
when a process dies) keeps a second writer out.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from activations.batches import Plan
from activations.errors import StoreError, first_line
from activations.seals import SEAL, USER_BLOCK, seal, stamp
from activations.sites import Site

NUMBERS: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
}
MUTABLE = ("created", SEAL)
ROW_COLUMNS = ("example", "position", "token_id")
LOG_PROB = "log_prob"
"""A further column of rows where answers were captured as they were generated."""
EXAMPLE_COLUMNS = ("id", "prompt")
"""A cache's own columns; its labels stand beside the latter and bear none of these names."""


class InUseError(StoreError):
    """Another process is writing this cache."""


@dataclass(frozen=True)
class Layout:
    """All that decides a cache file's content but the activations themselves.

    Attributes:
        attributes: root attributes, `created` excepted.
        shapes: each site's row shape.
        dtype: float32, float16 or bfloat16.
        starts: first row of each example, and the number of rows at the end; shape (example + 1,).
        rows: row table columns: example, position, token_id; shape (row,).
        examples: example table: id, prompt and the labels; shape (example,).
        plan: the batches.
    """

    attributes: Mapping[str, Any]
    shapes: Mapping[Site, tuple[int, ...]]
    dtype: str
    starts: np.ndarray
    rows: Mapping[str, np.ndarray]
    examples: Mapping[str, np.ndarray]
    plan: Plan

    @property
    def n_rows(self) -> int:
        """Number of stored rows."""
        return int(self.starts[-1])

    @property
    def tables(self) -> dict[str, Mapping[str, np.ndarray]]:
        """The columns of each table; the batches' commit flags stand beside those of `plan`."""
        plan = {"order": self.plan.order, "starts": self.plan.starts, "row_starts": self.starts}
        return {"rows": self.rows, "examples": self.examples, "plan": plan}

    def row_bytes(self, site: Site) -> int:
        """Bytes of one row of a site."""
        return int(np.prod(self.shapes[site])) * NUMBERS[self.dtype].itemsize

    @property
    def n_bytes(self) -> int:
        """Bytes of all activations."""
        return self.n_rows * sum(self.row_bytes(site) for site in self.shapes)


def path_of(site: Site) -> str:
    """A site's place below `/activations` and `/checksums`."""
    return site.name if site.layer is None else f"{site.name}/{site.layer}"


def digest(values: np.ndarray) -> str:
    """SHA-256 of an array's content; strings are hashed as UTF-8 with lengths."""
    values, found = np.asarray(values), hashlib.sha256()
    if values.dtype == object:
        for start in range(0, len(values), 4096):  # in parts: a column of texts is never held twice
            some = [v if isinstance(v, bytes) else str(v).encode() for v in values[start : start + 4096]]
            found.update(b"".join(len(part).to_bytes(8, "little") + part for part in some))
    else:
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def part_path(out: Path) -> Path:
    """Where an unfinished cache lies."""
    return out.with_name(out.name + ".part")


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Hold the only right to write `out`; the kernel releases it when the process dies.

    Raises:
        StoreError: another process is writing it, or the folder cannot be written.
    """
    lock = out.with_name(out.name + ".lock")
    while True:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(
                f"cannot write {str(out)!r} ({error.strerror}); choose a folder that can be written"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise InUseError(
                f"cache {str(out)!r} is being written by another process: two writers are refused; wait for "
                "it or stop it"
            ) from None
        with contextlib.suppress(FileNotFoundError):
            if os.stat(lock).st_ino == os.fstat(descriptor).st_ino:
                break
        os.close(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(lock)
        os.close(descriptor)


@contextmanager
def _disk(out: Path) -> Iterator[None]:
    """Turn the system's errors on writing into one clear line."""
    try:
        yield
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise StoreError(
                f"the disk is full while writing {str(out)!r} ({error.strerror}): what is committed is "
                "kept; free space and resume"
            ) from None
        reason = error.strerror or first_line(error)
        raise StoreError(
            f"cannot write {str(out)!r} ({reason}); choose a folder that can be written"
        ) from None


def create(out: Path, layout: Layout, *, created: str) -> None:
    """Lay out the whole file under its `.part` name, with its space reserved on disk.

    Raises:
        StoreError: no space, or a folder that cannot be written.
    """
    fresh = out.with_name(out.name + ".new")
    free = shutil.disk_usage(out.parent).free
    if layout.n_bytes > free:
        raise StoreError(
            f"the disk is full: {str(out)!r} needs {layout.n_bytes / 1e9:.2f} GB and {free / 1e9:.2f} GB "
            "are free; free space, or store fewer sites or positions"
        )
    with _disk(out):
        try:
            _probe(fresh, layout)
            with h5py.File(fresh, "w", userblock_size=USER_BLOCK) as file:
                for name, value in {**layout.attributes, "created": created}.items():
                    file.attrs[name] = value
                for site, shape in layout.shapes.items():
                    _allocate(
                        file, f"activations/{path_of(site)}", (layout.n_rows, *shape), NUMBERS[layout.dtype]
                    )
                    _allocate(file, f"checksums/{path_of(site)}", (len(layout.starts) - 1,), np.dtype("<u4"))
                for table, columns in layout.tables.items():
                    write_table(file.require_group(table), columns)
                _allocate(file, "plan/done", (len(layout.plan),), np.dtype("u1"))
                seal(file)
            size = os.path.getsize(fresh)
            with open(fresh, "r+b") as plain:
                os.posix_fallocate(plain.fileno(), 0, size)
                os.fsync(plain.fileno())
            os.replace(fresh, part_path(out))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(fresh)
            raise


def _probe(fresh: Path, layout: Layout) -> None:
    """Reserve the space once with plain calls: HDF5 may crash where a quota or a limit stops it, and they
    only fail."""
    tables = [*layout.rows.values(), *layout.examples.values()]
    words = sum(len(str(value)) + 24 for column in tables if column.dtype == object for value in column)
    size = (
        layout.n_bytes
        + 4 * len(layout.starts) * len(layout.shapes)
        + sum(column.nbytes for column in tables)
        + words
        + 2**16
    )
    descriptor = os.open(fresh, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)


def _allocate(file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """A contiguous dataset whose bytes exist from the start, so that they can be written at a fixed
    offset."""
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.CONTIGUOUS)
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype), space, settings, lcpl=links)


def write_table(group: h5py.Group, columns: Mapping[str, np.ndarray]) -> None:
    """Columns as datasets, each with the SHA-256 of its content as attribute `sha256`."""
    for name, values in columns.items():
        if values.dtype == object:
            made = group.create_dataset(name, data=values, dtype=h5py.string_dtype())
        else:
            made = group.create_dataset(name, data=values)
        made.attrs["sha256"] = digest(values)


def column_of(item: h5py.Dataset) -> np.ndarray:
    """A column's values, texts as strings."""
    return item.asstr()[:] if h5py.check_string_dtype(item.dtype) else item[:]


def identity(file: h5py.File) -> dict[str, str]:
    """Everything of a file that is fixed before its first activation, as comparable strings."""
    found = {f"attribute {name}": str(value) for name, value in file.attrs.items() if name not in MUTABLE}
    for table in ("rows", "examples", "plan"):
        found |= {
            f"column {table}/{name}": str(item.attrs["sha256"])
            for name, item in file[table].items()
            if name != "done"
        }

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            found[f"site {name}"] = str(item.shape)

    file["activations"].visititems(visit)
    return found


def expected_identity(layout: Layout) -> dict[str, str]:
    """`identity` of the file that a layout would make."""
    found = {f"attribute {name}": str(value) for name, value in layout.attributes.items()}
    for table, columns in layout.tables.items():
        found |= {f"column {table}/{name}": digest(values) for name, values in columns.items()}
    for site, shape in layout.shapes.items():
        found[f"site {path_of(site)}"] = str((layout.n_rows, *shape))
    return found


def refuse_difference(path: Path, layout: Layout) -> None:
    """Refuse to go on with a file that another model, prompts file or request made.

    Raises:
        StoreError: what differs, or a file that cannot be read.
    """
    try:
        with h5py.File(path, "r") as file:
            found = identity(file)
    except (OSError, KeyError) as error:
        raise StoreError(
            f"cache {str(path)!r} cannot be read ({first_line(error)}); delete it and capture again"
        ) from None
    wanted = expected_identity(layout)
    different = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
    if different:
        key = different[0]
        raise StoreError(
            f"cache {str(path)!r} was made differently ({', '.join(different[:4])}; {key}: "
            f"{_short(found.get(key))} there, {_short(wanted.get(key))} now): "
            "activations are never mixed; resume with what made it, or choose another out (--out)"
        )


def _short(value: str | None) -> str:
    return "absent" if value is None else value if len(value) <= 24 else value[:21] + "..."


class Writer:
    """Fills a `.part` file. Use as a context manager; `commit` makes a batch count."""

    def __init__(self, out: Path, layout: Layout) -> None:
        self.out, self.layout = out, layout
        with h5py.File(part_path(out), "r") as file:
            self._values = {
                site: file[f"activations/{path_of(site)}"].id.get_offset() for site in layout.shapes
            }
            self._sums = {site: file[f"checksums/{path_of(site)}"].id.get_offset() for site in layout.shapes}
            self._done_at = file["plan/done"].id.get_offset()
            self.done: np.ndarray = file["plan/done"][:]
        self._descriptor = os.open(part_path(out), os.O_RDWR | os.O_CLOEXEC)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: Any) -> None:
        os.close(self._descriptor)

    def put(self, site: Site, examples: np.ndarray, values: np.ndarray) -> None:
        """Write the rows of some examples, which follow each other in `values` in the order of `examples`.

        Raises:
            StoreError: the disk is full.
        """
        assert values.dtype == NUMBERS[self.layout.dtype], f"{values.dtype} is not {self.layout.dtype}"
        width, starts = self.layout.row_bytes(site), self.layout.starts
        data = np.ascontiguousarray(values).data.cast("B") if values.size else memoryview(b"")
        at = 0
        with _disk(self.out):
            for example in examples:
                first = int(starts[example])
                size = (int(starts[example + 1]) - first) * width
                piece = data[at : at + size]
                assert len(piece) == size, (
                    f"{site}: {len(piece)} bytes for example {example}, expected {size}"
                )
                self._write(piece, self._values[site] + first * width)
                self._write(zlib.crc32(piece).to_bytes(4, "little"), self._sums[site] + 4 * int(example))
                at += size
        assert at == len(data), f"{site}: {len(data) - at} bytes too many"

    def _write(self, piece: memoryview | bytes, offset: int) -> None:
        while len(piece):
            written = os.pwrite(self._descriptor, piece, offset)
            piece, offset = piece[written:], offset + written

    def sync(self) -> None:
        """Bring all that was put onto the disk, so that a power cut after the next commit loses nothing."""
        with _disk(self.out):
            os.fdatasync(self._descriptor)

    def commit(self, batch: int) -> None:
        """Mark a batch as done; only after all of its sites were put."""
        with _disk(self.out):
            self._write(b"\x01", self._done_at + batch)
        self.done[batch] = 1

    def finish(self) -> None:
        """Give the complete file its final name."""
        assert self.done.all(), "finished before all batches were committed"
        self.sync()
        with _disk(self.out):
            stamp(part_path(self.out))
            os.replace(part_path(self.out), self.out)
