"""The header of a GGUF file (version 2 or 3, little-endian), read within the file's bounds.

The package gguf walks an array as long as the file says it is, also past the end; a damaged count then never
ends. Here every count is held against the bytes that are left, so a file is read in time that its size
bounds, or refused. Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from mi_bsa.core.errors import GgufError

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
MOST_DIMENSIONS = 4
LONGEST_NAME = 200
"""Letters; ggml itself takes 64 for a tensor."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file: its kind (`Q4_1`, `F32`), its shape in torch's order, where its bytes lie."""

    kind: str
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True)
class Header:
    """All fields and tensors of a file, by name."""

    fields: dict[str, Any]
    tensors: dict[str, Tensor]


def read_header(path: Path) -> Header:
    """Read a file's header, and see that the file holds every tensor to its last byte.

    Raises:
        GgufError: no GGUF, another version, cut off, or damaged.
    """
    with path.open("rb") as file:
        magic = file.read(4)
        if magic != b"GGUF":
            raise GgufError(f"{path}: no GGUF file (it begins with {magic!r}); give a .gguf file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            try:
                with sense(path):
                    return _Reader(whole).read()
            except GgufError as error:
                raise error if str(path) in str(error) else GgufError(f"{path}: {error}") from None


@contextmanager
def sense(path: Path) -> Iterator[None]:
    """Turn what a field that makes no sense (a text for a number, a negative size) leads to into one line."""
    try:
        yield
    except GgufError:
        raise
    except (
        struct.error,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        ArithmeticError,
        AttributeError,
    ) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise GgufError(
            f"{path}: the header is cut off or damaged ({reason[:200]}); get the file again"
        ) from error


class _Reader:
    """A place in the file that moves on."""

    def __init__(self, whole: mmap.mmap) -> None:
        self.whole = whole
        self.at = 4
        self.end = len(whole)

    def read(self) -> Header:
        version = self.scalar("I")
        if version not in (2, 3):
            raise GgufError(f"GGUF version {version} is not read; 2 and 3 are (little-endian)")
        n_tensors, n_fields = self.scalar("Q"), self.scalar("Q")
        fields: dict[str, Any] = {}
        for _ in range(self.bounded(n_fields, 13)):
            name = self.name()
            if name in fields:
                raise GgufError(f"the field {name} stands there twice; get another file")
            fields[name] = self.value(self.scalar("I"))
        rows = [self.row() for _ in range(self.bounded(n_tensors, 28))]
        step = fields.get("general.alignment", 32)
        if not isinstance(step, int) or step < 1 or step & (step - 1):
            raise GgufError(f"general.alignment is {step!r}, no power of two; get another file")
        data = -(-self.at // step) * step
        tensors: dict[str, Tensor] = {}
        for name, shape, kind, start in rows:
            if name in tensors:
                raise GgufError(f"the tensor {name} stands there twice; get another file")
            tensors[name] = _tensor(name, shape, kind, data + start)
            if tensors[name].start + tensors[name].size > self.end:
                raise GgufError(f"cut off within {name}; get the file again")
        return Header(fields, tensors)

    def scalar(self, form: str) -> Any:
        (value,) = struct.unpack_from(f"<{form}", self.whole, self.at)
        self.at += struct.calcsize(f"<{form}")
        return value

    def bounded(self, count: int, least: int) -> int:
        """A count of things that have `least` bytes each, if they fit into what is left."""
        if count * least > self.end - self.at:
            raise GgufError(
                f"the header names {count:,} entries, more than the file can hold; get the file again"
            )
        return count

    def string(self) -> str:
        size = self.bounded(self.scalar("Q"), 1)
        self.at += size
        return self.whole[self.at - size : self.at].decode("utf-8")

    def name(self) -> str:
        name = self.string()
        if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
            raise GgufError("a name in the header makes no sense: it is damaged; get the file again")
        return name

    def value(self, kind: int) -> Any:
        if kind in SCALARS:
            return self.scalar(SCALARS[kind])
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            raise GgufError(f"a field of kind {kind} is not known; get another file")
        inner, count = self.scalar("I"), self.scalar("Q")
        if inner == STRING:
            return [self.string() for _ in range(self.bounded(count, 8))]
        if inner not in SCALARS:
            raise GgufError(f"an array of kind {inner} is not known; get another file")
        form = f"<{self.bounded(count, struct.calcsize(SCALARS[inner]))}{SCALARS[inner]}"
        values = struct.unpack_from(form, self.whole, self.at)
        self.at += struct.calcsize(form)
        return list(values)

    def row(self) -> tuple[str, tuple[int, ...], int, int]:
        name, n = self.name(), self.scalar("I")
        if not 1 <= n <= MOST_DIMENSIONS:
            raise GgufError(f"the tensor {name} has {n} dimensions; get another file")
        shape = tuple(self.scalar("Q") for _ in range(n))
        return name, shape[::-1], self.scalar("I"), self.scalar("Q")  # ggml names the fastest one first


def _tensor(name: str, shape: tuple[int, ...], kind: int, start: int) -> Tensor:
    """A tensor with its bytes, from the sizes of its kind's blocks."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        known = GGMLQuantizationType(kind)
    except ValueError:
        raise GgufError(
            f"the tensor {name} is of kind {kind}, which the package gguf does not know; update it"
        ) from None
    values, size = GGML_QUANT_SIZES[known]
    if shape[-1] % values:
        raise GgufError(
            f"the tensor {name} has rows of {shape[-1]}, no multiple of {values}; get another file"
        )
    return Tensor(known.name, shape, start, prod(shape) // values * size)
