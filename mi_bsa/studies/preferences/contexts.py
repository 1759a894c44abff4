"""Contexts of choice: who chooses what, by five attributes with units and ranges; and pairs of options.

Law: both options of a pair are independent and uniform over each attribute's range, on its grid of `step`;
option A is right where the sum of target weight x (value - low) / (high - low) is larger. A pair on which
nothing can be chosen is drawn again and counted. Plunkett et al. 2025 (arXiv 2505.17120).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mi_bsa.core.errors import ItemError
from mi_bsa.studies.preferences.estimate import LARGEST


@dataclass(frozen=True)
class Attribute:
    """One attribute: how it is named, in which unit, and its range.

    `step` is the grid on which values lie. Raises `ItemError` for one without a range.
    """

    name: str
    unit: str
    low: float | int | None = None
    high: float | int | None = None
    step: float | int = 1

    def __post_init__(self) -> None:
        if self.low is None or self.high is None or not self.low < self.high:
            raise ItemError(
                f"attribute {self.name!r} has no range (low {self.low}, high {self.high}); give low < high"
            )
        if not self.step > 0:
            raise ItemError(f"attribute {self.name!r}: step {self.step} is not above zero; give one that is")

    @property
    def values(self) -> int:
        """How many values lie on its grid."""
        low, high = self.ends
        return int(np.floor((high - low) / self.step + 1e-9)) + 1

    @property
    def ends(self) -> tuple[float, float]:
        """Its lowest and its highest value."""
        assert self.low is not None
        assert self.high is not None
        return float(self.low), float(self.high)

    def shown(self, value: float | int) -> str:
        """A value with its unit, as options show it."""
        number = f"{value:.10g}" if self.step % 1 else f"{round(value):,}"
        return f"{number} {self.unit}".rstrip()


@dataclass(frozen=True)
class Context:
    """Who chooses what: an id, a role, a kind of choice, and the attributes of its options.

    Raises `ItemError` where two attributes share a name, or where no two options can differ.
    """

    id: str
    role: str
    choice: str
    attributes: tuple[Attribute, ...]

    def __post_init__(self) -> None:
        names = [attribute.name for attribute in self.attributes]
        if not names or len(set(names)) < len(names):
            raise ItemError(f"context {self.id!r}: attributes {names}; give at least one, each name once")
        if all(attribute.values < 2 for attribute in self.attributes):
            raise ItemError(
                f"context {self.id!r}: its options never differ, every attribute has one value; widen the "
                "ranges or make the steps smaller"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the attributes."""
        return tuple(attribute.name for attribute in self.attributes)


@dataclass(frozen=True)
class Pairs:
    """Pairs of options of one context: `a`, `b` (pair, attribute), and how many draws had no right option."""

    context: Context
    a: Float[np.ndarray, "pair attribute"]
    b: Float[np.ndarray, "pair attribute"]
    redrawn: int

    @property
    def differences(self) -> Float[np.ndarray, "pair attribute"]:
        """A less B, each attribute divided by its range."""
        low, high = np.array([attribute.ends for attribute in self.context.attributes]).T
        return (self.a - self.b) / (high - low)

    def labels(self, targets: Float[np.ndarray, " attribute"]) -> Float[np.ndarray, " pair"]:
        """1 where A is right by these target weights, else 0."""
        return (self.differences @ targets > 0).astype(np.float64)


def draw_pairs(
    context: Context, n: int, *, seed: int | str, targets: Float[np.ndarray, " attribute"] | None = None
) -> Pairs:
    """`n` pairs, none of them equal and, given `targets`, none tied.

    Raises `ItemError` where such pairs are too rare to be drawn.
    """
    rng = np.random.default_rng([*f"{context.id}|{seed}".encode()])
    weights = np.ones(len(context.attributes)) if targets is None else targets
    kept: list[np.ndarray] = []
    redrawn = 0
    while len(kept) < n:
        drawn = [[a.ends[0] + a.step * rng.integers(a.values) for a in context.attributes] for _ in range(2)]
        pair = np.array(drawn, np.float64)
        one = Pairs(context, pair[:1], pair[1:], 0).differences[0]
        tied = abs(float(one @ weights)) < 1e-9 * LARGEST if targets is not None else not one.any()
        if not tied:
            kept.append(pair)
            continue
        redrawn += 1
        if redrawn > 100 * n + 100:
            raise ItemError(
                f"context {context.id!r}: {redrawn} pairs of options in a row have no right option; widen "
                "the attributes' ranges or give other weights"
            )
    both = np.array(kept).reshape(n, 2, len(context.attributes))
    return Pairs(context, both[:, 0], both[:, 1], redrawn)
