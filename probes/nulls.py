"""Directions that mean nothing, as distributions: what is done with a direction is held against them.

random             uniform on the sphere: no axis of the activations is preferred.
random_difference  the difference of means between two random halves of the *units*, so it lies where the
                   activations lie and moves a model more than a random direction does.

The law: halves are halves of units (scenarios, adapters), never of rows, as the label under test belongs to
units. Rows of one scenario are alike, so a half of the rows holds every scenario: the axes on which scenarios
differ shrink by the square root of the rows a scenario, a difference between groups of scenarios lies on
them, and a test against such a null rejects far too often (tests/probes/test_nulls.py shows both rates).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Num, Shaped

from probes.directions import Direction
from probes.errors import DirectionError, nearest
from probes.validation import check_finite

Units = Shaped[np.ndarray, " row"] | Sequence[Any]
KINDS = ("random", "random_difference")
FEWEST_UNITS = 4
"""Two units a half: with fewer, a half is one unit and there are three differences to draw from at most."""


def random_directions(
    count: int, width: int, *, rng: np.random.Generator
) -> Float[np.ndarray, "draw d_model"]:
    """Unit vectors, uniform on the sphere (a normal vector has no preferred direction)."""
    drawn = rng.normal(size=(count, width))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def difference_directions(
    count: int, rows: Num[np.ndarray, "example d_model"], *, units: Units, rng: np.random.Generator
) -> Float[np.ndarray, "draw d_model"]:
    """Unit vectors along differences of means between random halves of the units.

    Args:
        count: how many.
        rows: activations.
        units: unit of each row (its scenario or adapter); ``np.arange(len(rows))`` states that rows are
            independent.
        rng: draws the halves; one permutation of the units a direction.

    Raises:
        DirectionError: units that are not one a row, fewer than 4 of them, or halves that never differ.
        ActivationError: rows that are not finite.
    """
    rows = np.asarray(rows, dtype=np.float64)
    if len(units) != len(rows):
        raise DirectionError(f"{len(rows)} rows but {len(units)} units; give the unit of each row")
    check_finite(rows)
    code = np.unique(np.asarray(units), return_inverse=True)[1]
    levels = int(code.max(initial=-1)) + 1
    if levels < FEWEST_UNITS:
        raise DirectionError(
            f"{levels} units can not be halved at random; give rows of at least {FEWEST_UNITS} scenarios or "
            "adapters"
        )
    first = np.zeros((count, levels))
    for draw in first:
        draw[rng.permutation(levels)[: levels // 2]] = 1.0
    # every unit stands in one half or the other, so the second half's sums are the total less the first's;
    # rows are centered before they are summed, because a common offset far larger than the differences would
    # take their digits
    centered = rows - rows.mean(axis=0)
    sums = np.zeros((levels, rows.shape[1]))
    np.add.at(sums, code, centered)
    counts = np.bincount(code, minlength=levels)
    other = 1.0 - first
    drawn = (first @ sums) / (first @ counts)[:, None] - (other @ sums) / (other @ counts)[:, None]
    norms = np.linalg.norm(drawn, axis=1, keepdims=True)
    # equal rows differ by the rounding of their own mean, which is no direction
    if (norms <= 1e-12 * max(1.0, float(np.abs(rows).max()))).any():
        raise DirectionError(
            "the activations are all equal, so their halves do not differ; give other prompts"
        )
    return drawn / norms


def null_directions(
    kind: str,
    like: Direction,
    *,
    n: int,
    seed: int = 0,
    rows: Num[np.ndarray, "example d_model"] | None = None,
    units: Units | None = None,
) -> list[Direction]:
    """Null directions as values, with the site, scale and length of `like`.

    Args:
        kind: "random" or "random_difference".
        like: the direction under test.
        n: how many.
        seed: of the draws.
        rows, units: the site's activations and the unit of each, for "random_difference".

    Raises:
        DirectionError: another kind, or random differences without rows and units.
    """
    if kind not in KINDS:
        raise DirectionError(f"no null of kind {kind!r}; {nearest(kind, KINDS)}")
    rng = np.random.default_rng(seed)
    if kind == "random":
        drawn = random_directions(n, like.d_model, rng=rng)
    elif rows is None or units is None or rows.shape[1] != like.d_model:
        raise DirectionError(
            "random differences need the site's activations and their units; pass rows=[example, d_model] "
            "and units=[example] (scenario or adapter)"
        )
    else:
        drawn = difference_directions(n, rows, units=units, rng=rng)
    facts: dict[str, Any] = {"method": kind, "seed": seed}
    return [
        Direction(v * like.length, like.site, f"{kind} {i}", like.scale, {**facts, "draw": i})
        for i, v in enumerate(drawn)
    ]
