"""The marks of the grid: rates with exact intervals, and whether each is what a verdict must reach.

Law: false support is judged cell by cell, by its rate and by the upper end of its interval, and a cell with
too few instances for that end has not met its mark; power and refutation are judged by their rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mi_bsa.studies.planted.settings import PlantedCell

NEVER = 0.25
"""True share of the report below which a supported verdict is an error: the bar of the rules."""
FALSE, FALSE_HIGH, REFUTED, POWER, WEAK_POWER, WORLD_POWER = 0.05, 0.10, 0.5, 0.8, 0.5, 0.9

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Rate:
    """How often an answer was given, with its exact (Clopper-Pearson) 95 % interval."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        """The share of instances."""
        return self.hits / self.n

    @property
    def ends(self) -> tuple[float, float]:
        """The interval."""
        from scipy import stats

        found = stats.binomtest(self.hits, self.n).proportion_ci(0.95)
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        low, high = self.ends
        return f"{self.value:.2f} [{low:.2f}, {high:.2f}]"


def rate(found: Sequence[Record], answer: str) -> Rate | None:
    """How often an answer was given; None of no instance."""
    return Rate(sum(r["answer"] == answer for r in found), len(found)) if found else None


@dataclass(frozen=True)
class Mark:
    """One mark.

    Attributes:
        name: in words.
        answer: whose rate is judged.
        holds: whether a cell of the grid is one of its.
        least: the rate that must be reached; None where it must stay low.
    """

    name: str
    answer: str
    holds: Callable[[PlantedCell], bool]
    least: float | None = None

    def says(self, found: Sequence[Record]) -> str:
        """What becomes of it: met, missed, or what is not known yet."""
        one = rate(found, self.answer)
        if one is None:
            return "not judged yet"
        low, high = one.ends
        if self.least is not None:
            met = one.value >= self.least
            sure = low >= self.least or high < self.least
            return ("met" if met else "**missed**") + ("" if sure else ", interval holds the mark")
        if one.value > FALSE:
            return "**missed**" if low > FALSE else "**missed** so far"
        return "met" if high <= FALSE_HIGH else "too few"


def _false(cell: PlantedCell) -> bool:
    return cell.world == "grid" and cell.share < NEVER


MARKS = (
    Mark(f"false support, share < {NEVER}, every cell", "supported", _false),
    Mark(
        "two states refuted, share 0, effect >= .6",
        "not supported",
        lambda cell: cell.world == "grid" and cell.share == 0 and cell.effect >= 0.6,
        REFUTED,
    ),
    Mark(
        "power, share >= .5, effect >= .6, 5 seeds",
        "supported",
        lambda cell: cell.world == "grid" and cell.share >= 0.5 and cell.effect >= 0.6 and cell.seeds == 5,
        POWER,
    ),
    Mark(
        "power, share >= .5, effect .3, 10 seeds",
        "supported",
        lambda cell: cell.world == "grid" and cell.share >= 0.5 and cell.effect == 0.3 and cell.seeds == 10,
        WEAK_POWER,
    ),
    Mark(
        "false support in worlds without a shared state or a later reader",
        "supported",
        lambda cell: cell.world in ("separate", "prompt_only", "another_block", "reverse"),
    ),
    Mark(
        "power in the worlds shared and early",
        "supported",
        lambda cell: cell.world in ("shared", "early"),
        WORLD_POWER,
    ),
)
