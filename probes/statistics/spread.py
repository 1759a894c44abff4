"""Whether numbers differ at all: the one tolerance of the toolkit.

Seeds that agree are seldom equal to the last bit: each is a difference of sums of order 1, taken in another
order, and the digits of what was subtracted stay behind (cancellation). A test on such a spread would find
anything "significant", so what differs by no more than rounding counts as equal, here and nowhere else.
"""

from typing import Any

import numpy as np

ROUNDING = 1e-12
"""Relative: float64 carries 2e-16, and sums of a few thousand terms lose three or four digits of it."""


def slack(values: Any, *, scale: float = 1.0, axis: int | None = None) -> Any:
    """How much of a difference rounding alone can make among values.

    Args:
        values: the numbers.
        scale: the size of the numbers that these are differences of: 1 for shares, scores and log-odds; 0 for
            plain data, whose own size is all that counts.
        axis: as NumPy's; None takes all values together.
    """
    return ROUNDING * np.maximum(scale, np.abs(np.asarray(values, dtype=float)).max(axis=axis, initial=0.0))


def is_constant(values: Any, *, scale: float = 1.0, axis: int | None = None) -> Any:
    """Whether values differ by no more than rounding (see `slack`); one answer a column with `axis=0`."""
    array = np.asarray(values, dtype=float)
    found = np.ptp(array, axis=axis) <= slack(array, scale=scale, axis=axis)
    return bool(found) if axis is None else found
