"""Exponents of cost curves."""

from collections.abc import Sequence

import numpy as np


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> tuple[float, float]:
    """The slope of log cost against log size, and its standard error (points less two degrees of freedom)."""
    x, y = np.log(sizes), np.log(np.maximum(costs, 1e-9))
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    left = y - y.mean() - slope * x
    return slope, float(np.sqrt(left @ left / (len(x) - 2) / (x @ x)))
