"""What a result was made of, kept beside it in a run folder until several studies are joined.

The law: it says the number again (mean of `top`, or mean of `top` over mean of `bottom`), and it is never in
`results.json`: who reads results reads numbers, and whoever joins bases needs what they were made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Behind:
    """The cells of a number.

    Attributes:
        top: values, one row a seed and one column an item (a wording, a scenario); one column where seeds
            alone were drawn.
        bottom: the denominators of a share, cell by cell; None where the number is a mean.
        items: names of the columns, by which two studies know that they asked the same; empty for seeds
            alone.
        kinds: the stratum of each column, all of which weigh alike; empty where there are none.
        drawn: what the columns are, in words.
        draws: the number's own null, one value a draw, numerators where it is a share; None without one.
        null_kind: what was drawn.
        alternative: what speaks for the claim (`mi_bsa.core.tested.among`).
        within: ends beyond which an interval does not go; None where there are none.
        bar: what a share is tested against by t where there are no draws; None for no such test.
    """

    top: Float[np.ndarray, "seed item"]
    bottom: Float[np.ndarray, "seed item"] | None = None
    items: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    drawn: str = "wordings"
    draws: Float[np.ndarray, " draw"] | None = None
    null_kind: str = ""
    alternative: str = "greater"
    bar: float | None = None
    within: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Behind:
        """Back from plain values."""
        arrays = {name: plain[name] for name in ("top", "bottom", "draws")}
        known = {n: None if v is None else np.asarray(v, dtype=np.float64) for n, v in arrays.items()}
        names = {name: tuple(plain[name]) for name in ("items", "kinds")}
        ends = plain.get("within")
        within = None if ends is None else (float(ends[0]), float(ends[1]))
        return cls(**{**plain, **known, **names, "within": within})
