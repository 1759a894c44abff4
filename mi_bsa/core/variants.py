"""Who a study trains and asks, as a value: parsed and printed here and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass

BASE = "base"
POLES = ("seeking", "averse")
"""Names of the two poles of a behavior."""
_APART = re.compile(r"(wrong|all|concealing|rank\d+)_(.+)")


@dataclass(frozen=True)
class Variant:
    """The base, or one adapter: `base`, `seeking-0`, `wrong_averse-2`, `rank4_seeking-1`.

    Attributes:
        pole: whose rows it was trained on: `seeking`, `averse`, `shuffled`, `benign`; or the base.
        seed: its seed; -1 of the base.
        apart: what sets its arm apart from a study's own: `wrong` (the neighbor behavior's pole), `rank4`
            (another rank), `all` (every layer), `concealing`; empty for a study's own.
    """

    pole: str = BASE
    seed: int = -1
    apart: str = ""

    @classmethod
    def parse(cls, text: str) -> Variant:
        """The variant of that name; a name without a seed is an arm of one adapter, of seed 0."""
        if text == BASE:
            return cls()
        arm, _, seed = text.rpartition("-")
        if not arm or not seed.isdigit():
            arm, seed = text, "0"
        apart = _APART.fullmatch(arm)
        return cls(arm, int(seed)) if apart is None else cls(apart[2], int(seed), apart[1])

    @classmethod
    def of(cls, arm: str) -> Variant:
        """The first adapter of an arm."""
        return cls.parse(f"{arm}-0")

    @property
    def arm(self) -> str:
        """The arm's name: `seeking`, `wrong_averse`."""
        return f"{self.apart}_{self.pole}" if self.apart else self.pole

    def __str__(self) -> str:
        return BASE if self.pole == BASE else f"{self.arm}-{self.seed}"
