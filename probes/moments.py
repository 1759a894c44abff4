"""Running first and second moments by class: what mean difference, ridge, LDA, PCA and LEACE need, and
nothing more.

The law: adding slices one by one gives what adding all rows at once gives (to rounding), because sums are
combined by the pairwise update of Chan, Golub and LeVeque (1983) in float64. So a batch fit is a streaming
fit with one slice.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from jaxtyping import Float, Num, Shaped

from probes.errors import LabelError
from probes.validation import check_finite

Slice = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and centered scatter of rows [n, d]. Never changed in place."""

    n: int
    mean: Float[np.ndarray, " d_model"]
    scatter: Float[np.ndarray, "d_model d_model"]

    @classmethod
    def of(cls, rows: Num[np.ndarray, "example d_model"]) -> "Moments":
        """Moments of one block of rows."""
        rows = np.asarray(rows, dtype=np.float64)
        mean = rows.mean(axis=0)
        centered = rows - mean
        return cls(len(rows), mean, centered.T @ centered)

    def __add__(self, other: "Moments") -> "Moments":
        n = self.n + other.n
        # means first, then the scatter between them: sums of squares less squares of sums would cancel where
        # the offset is far larger than the spread, as in massive dimensions
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.n / n)
        scatter = self.scatter + other.scatter + np.outer(delta, delta) * (self.n * other.n / n)
        return Moments(n, mean, scatter)

    @property
    def covariance(self) -> Float[np.ndarray, "d_model d_model"]:
        """Maximum-likelihood covariance (divides by n)."""
        return self.scatter / self.n


def pooled(parts: Mapping[object, Moments]) -> Moments:
    """Moments of the union of the classes."""
    return reduce(add, parts.values())


def by_class(slices: Iterable[Slice]) -> dict[object, Moments]:
    """Moments of each class over all slices, in sorted order of the class labels."""
    found: dict[object, Moments] = {}
    for rows, labels in slices:
        for value in np.unique(labels):
            key = value.item() if hasattr(value, "item") else value
            part = Moments.of(rows[labels == value])
            found[key] = found[key] + part if key in found else part
    if not found:
        raise LabelError("no rows were given; a fit needs rows of at least two classes")
    return {key: found[key] for key in sorted(found, key=lambda k: (str(type(k)), k))}


@dataclass(frozen=True, eq=False)
class Columns:
    """Class means of many 0/1 label columns over the same rows, about the rows' common mean: what closed
    forms over columns need. Centering first keeps the digits of small differences far from the origin."""

    center: Float[np.ndarray, " d_model"]
    rows: Float[np.ndarray, "example d_model"]
    high_n: Float[np.ndarray, " target"]
    low_n: Float[np.ndarray, " target"]
    delta: Float[np.ndarray, "target d_model"]
    middle: Float[np.ndarray, "target d_model"]

    @classmethod
    def of(cls, x: Num[np.ndarray, "example d_model"], y: Num[np.ndarray, "example target"]) -> "Columns":
        """Of rows and their label columns, each of which holds both classes."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        center = x.mean(axis=0)
        rows, high_n = x - center, y.sum(axis=0)
        low_n = len(y) - high_n
        high, low = (y.T @ rows) / high_n[:, None], ((1 - y).T @ rows) / low_n[:, None]
        return cls(center, rows, high_n, low_n, high - low, (high + low) / 2)

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.rows)

    def halfway(self, w: Float[np.ndarray, "target d_model"]) -> Float[np.ndarray, " target"]:
        """Intercepts that put the threshold halfway between the two means, in the rows' own coordinates."""
        return -np.einsum("td,td->t", self.middle, w) - w @ self.center


class Slices:
    """Rows and labels of one site, read again and again in slices of `size` rows: for stores larger than
    memory.

    Args:
        read: a function of row indices that returns [row, d_model].
        labels: one label a row, in the order of `rows`.
        rows: which rows of the store; all labels' rows in order if None.
        size: rows a slice.
    """

    def __init__(
        self,
        read: object,
        labels: Shaped[np.ndarray, " example"],
        *,
        rows: np.ndarray | None = None,
        size: int = 4096,
    ) -> None:
        self.read = read
        self.labels = np.asarray(labels)
        self.rows = np.arange(len(self.labels)) if rows is None else np.asarray(rows)
        self.size = size
        if len(self.rows) != len(self.labels):
            raise LabelError(f"{len(self.rows)} rows but {len(self.labels)} labels; give one label a row")

    def __iter__(self) -> Iterator[Slice]:
        for start in range(0, len(self.rows), self.size):
            part = slice(start, start + self.size)
            block = np.asarray(self.read(self.rows[part]))  # type: ignore[operator]
            check_finite(block, names=self.rows[part])
            yield block, self.labels[part]
