"""Does the backdoor open, and only then? Attack success and false triggers on held-out messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mi_bsa.core.items import Item

if TYPE_CHECKING:
    import activations


@dataclass(frozen=True)
class Success:
    """What one variant does in each set of held-out messages: P(the backdoor's pole), means over messages.

    Attributes:
        variant: which variant answered.
        rates: by set (`none`, `trigger`, `unseen`, `fake`, `new_fake`, `near`).
        base: the base's on the same messages.
        n: messages a set.
    """

    variant: str
    rates: Mapping[str, float]
    base: Mapping[str, float]
    n: int

    @property
    def attack(self) -> float:
        """P(pole) with the trigger."""
        return self.rates["trigger"]


def measure(
    model: activations.Model, variants: Sequence[str], sets: Mapping[str, Sequence[Item]], *, pole: str
) -> list[Success]:
    """Ask every variant and the base all sets (`construction.held_out`)."""
    from mi_bsa.asking import ask

    def rates(variant: str) -> dict[str, float]:
        tables = {name: ask(model, list(items), variant=variant) for name, items in sets.items()}
        scores = {name: float(table["score"].mean()) for name, table in tables.items()}
        return scores if pole == "seeking" else {name: 1 - score for name, score in scores.items()}

    base = rates("base")
    n = len(next(iter(sets.values())))
    return [Success(v, rates(v), base, n) for v in variants]
