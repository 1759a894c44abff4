"""Where rows come from: plain arrays with a row table, or any store that can read one site and layer.

The law: row i of `table()` describes row i of every array. An `activations.Store` fits the protocol as it
is; nothing here imports it. A cell is one (site, layer); its printed name is ``resid_post.12`` (or
``embed``, without a layer).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from probes.errors import ActivationError, GroupError, LabelError, SourceError, nearest
from probes.validation import check_finite


@runtime_checkable
class ActivationSource(Protocol):
    """What the probes floor asks of a store."""

    def read(self, site: str, layer: int | None, rows: Any = None) -> np.ndarray:
        """Rows [row, *site shape] of one cell."""
        ...

    def table(self) -> pd.DataFrame:
        """One line a row: position, prompt id, and every label column."""
        ...


@dataclass(frozen=True, order=True)
class Cell:
    """One (site, layer) of a source."""

    site: str
    layer: int | None = None

    @classmethod
    def parse(cls, text: object) -> "Cell":
        """From ``resid_post.12``, ``embed``, or anything that prints so."""
        match = re.fullmatch(r"(?P<site>[A-Za-z_][\w.]*?)(?:\.(?P<layer>\d+))?", str(text))
        if match is None:
            raise SourceError(f"{text!s} is no site; write it as resid_post.12 (site, dot, layer) or embed")
        layer = match["layer"]
        return cls(match["site"], None if layer is None else int(layer))

    def __str__(self) -> str:
        return self.site if self.layer is None else f"{self.site}.{self.layer}"


class Arrays:
    """Plain arrays as a source.

    Args:
        arrays: one array [row, d_model] named by its cell (``{"resid_post.3": x}``), or one unnamed array.
        table: one line a row.

    Raises:
        ActivationError: an array has the wrong number of rows or dimensions.
    """

    def __init__(self, arrays: np.ndarray | Mapping[str, np.ndarray], table: pd.DataFrame) -> None:
        named = arrays if isinstance(arrays, Mapping) else {"array": arrays}
        self._table = table.reset_index(drop=True)
        self._arrays: dict[Cell, np.ndarray] = {}
        for name, array in named.items():
            array = np.asarray(array)
            if array.ndim < 2 or len(array) != len(table):
                raise ActivationError(
                    f"{name} has shape {array.shape} and the table {len(table)} lines; give [row, d_model], "
                    "one row a line"
                )
            self._arrays[Cell.parse(name)] = array

    @property
    def sites(self) -> tuple[str, ...]:
        """Printed names of the cells held."""
        return tuple(str(cell) for cell in self._arrays)

    def read(self, site: str, layer: int | None, rows: Any = None) -> np.ndarray:
        """Rows of one cell; see ActivationSource."""
        cell = Cell(site, layer)
        if cell not in self._arrays:
            raise SourceError(f"no {cell} here; {nearest(str(cell), self.sites)}")
        array = self._arrays[cell]
        return array if rows is None else array[rows]

    def table(self) -> pd.DataFrame:
        """The row table; see ActivationSource."""
        return self._table


def as_source(source: Any, table: pd.DataFrame | None = None) -> ActivationSource:
    """A source from a store, an array, or a mapping of arrays (both with `table`)."""
    if isinstance(source, (np.ndarray, Mapping)):
        if table is None:
            raise SourceError("arrays were given without a table; pass table=DataFrame with one line a row")
        return Arrays(source, table)
    if table is not None:
        raise SourceError("a store brings its own table; leave table= out, or pass arrays")
    if not isinstance(source, ActivationSource):
        raise SourceError(
            f"{type(source).__name__} can not be read from; pass an array, a mapping of arrays, "
            "or a store with read(site, layer, rows) and table()"
        )
    return source


def cells_of(source: Any, sites: str | object | Sequence[Any] | None = None) -> list[Cell]:
    """The cells of a source, or those of them that are asked for: whole sites (``resid_post``) or single
    cells."""
    held = getattr(source, "sites", None)
    held = held() if callable(held) else held
    known = [Cell.parse(item) for item in held] if held is not None else []
    if sites is None:
        if not known:
            raise SourceError(
                "the source does not say which sites it holds; name them: sites=['resid_post.3']"
            )
        return known
    asked = [sites] if isinstance(sites, str) or not isinstance(sites, Iterable) else list(sites)
    out: list[Cell] = []
    for item in asked:
        cell = Cell.parse(item)
        if not known or cell in known:
            out.append(cell)
            continue
        whole = [k for k in known if k.site == str(item)]
        if not whole:
            raise SourceError(
                f"no site {item} here; {nearest(str(item), [*map(str, known), *{k.site for k in known}])}"
            )
        out.extend(whole)
    return list(dict.fromkeys(out))


def read_rows(source: ActivationSource, cell: Cell, rows: Any = None) -> np.ndarray:
    """Finite rows [row, d] of one cell; heads and further axes are flattened.

    Raises:
        ActivationError: NaN or infinite entries (the rows are named).
    """
    block = np.asarray(source.read(cell.site, cell.layer, rows=rows))
    block = block.reshape(len(block), -1)
    check_finite(block, names=rows, where=f" of {cell}")
    return block


def column(table: pd.DataFrame, name: str, *, what: str = "label") -> pd.Series:
    """A column of the row table that has no missing values.

    Raises:
        LabelError, GroupError: no such column (nearest names offered), or values missing.
    """
    kind = GroupError if what == "group" else LabelError
    if name not in table.columns:
        raise kind(f"no {what} column {name!r} in the row table; {nearest(name, table.columns)}")
    values = table[name]
    if values.isna().any():
        bad = np.flatnonzero(values.isna().to_numpy())[:5].tolist()
        raise kind(
            f"{what} column {name!r} is empty in {int(values.isna().sum())} rows ({bad} first); select rows "
            "that have it"
        )
    return values


def two_classes(table: pd.DataFrame, label: str) -> tuple[np.ndarray, tuple[Any, Any]]:
    """A binary label as 0/1 in sorted order of its values, and those two values.

    Raises:
        LabelError: constant, or more than two values.
    """
    values = column(table, label)
    # sorted, so that the positive class does not hang on the order of rows; by type first, as 1 < "b" is an
    # error
    found = sorted(values.unique().tolist(), key=lambda v: (str(type(v)), v))
    if len(found) < 2:
        raise LabelError(
            f"label {label!r} is constant ({found[0]!r} in all {len(values)} rows); a probe needs two classes"
        )
    if len(found) > 2:
        raise LabelError(
            f"label {label!r} has {len(found)} values ({', '.join(map(str, found[:5]))}, ...); select two of "
            "them, or use method 'ridge' for graded labels and LogisticProbe for several classes"
        )
    return (values == found[1]).to_numpy().astype(np.int64), (found[0], found[1])
