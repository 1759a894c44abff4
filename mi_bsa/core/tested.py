"""A test: its p, what gave it, the smallest p that it could have given, and the null that the p is of.

Law: a p and the null that is called its own are made here from the same draws, and the test says what they
were and how many. A test that draws nothing (Student's t) has no null; a band that stands beside it is no
null of that p.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

from mi_bsa.core.results import Null

if TYPE_CHECKING:
    from probes.statistics import Equivalence

SIDES = {"greater": "one-sided", "less": "one-sided, as small", "two-sided": "two-sided"}
"""What speaks for a claim -> how the test says it."""


@dataclass(frozen=True)
class Tested:
    """What a test said.

    Attributes:
        p: its p-value, or None where it could not be made (all seeds agree).
        test: which test, in words; None without p.
        floor: the smallest p that the test can give, or None where nothing bounds it.
        null: the draws that p is of, or None where the test draws nothing.
    """

    p: float | None = None
    test: str | None = None
    floor: float | None = None
    null: Null | None = None

    @classmethod
    def of(cls, p: float | None, test: str, *, floor: float | None = None) -> Tested:
        """A p that was made elsewhere; nothing where it is None or NaN."""
        return cls() if p is None or isnan(p) else cls(float(p), test, floor)


UNTESTED = Tested()


def by_t(values: Any, *, chance: float = 0.0, over: str = "seeds") -> Tested:
    """Student's t of the mean against `chance`, two-sided; no p where all values agree.

    `over`: what the values are of.
    """
    import numpy as np

    from probes import statistics

    p = statistics.t_test(np.asarray(values, dtype=float) - chance)
    return Tested.of(p, f"t over {over} against {chance:g}")


def equivalent(found: Equivalence, *, bound: float, over: str = "seeds") -> Tested:
    """The p of two one-sided t tests: how sure it is that the mean lies within the bound.

    `over`: what was drawn.
    """
    return Tested.of(found.p, f"two one-sided t over {over}, bound {bound:g}")


def among(
    observed: float,
    draws: Any,
    kind: str,
    *,
    alternative: str = "greater",
    chance: float = 0.0,
    labelings: int | None = None,
) -> Tested:
    """Where a number stands among draws, with the band of these draws.

    Args:
        observed: the number.
        draws: the null's, of any shape.
        kind: what was drawn, in words.
        alternative: what speaks for the claim: "greater", "less" or "two-sided" (about `chance`).
        chance: subtracted from both.
        labelings: how many distinct draws there can be (see `probes.statistics.permutation_p`).
    """
    import numpy as np

    from probes import statistics
    from probes.statistics.permutation import p_of_count

    drawn = np.asarray(draws, dtype=float).ravel()
    null = Null.of(kind, drawn)
    p = statistics.permutation_p(
        observed - chance, drawn - chance, alternative=alternative, labelings=labelings
    )
    floor = float(p_of_count(0, drawn.size, labelings=labelings))
    return Tested(float(p), f"{kind}, {drawn.size} draws, {SIDES[alternative]}", floor, null)


def largest(parts: Iterable[Tested], name: str) -> Tested:
    """The test that several claims hold together: the largest p, and none where one has none.

    `name` says whose. Its floor is the largest of theirs.
    """
    held = list(parts)
    known = [one.p for one in held if one.p is not None]
    if not held or len(known) < len(held):
        return UNTESTED
    tests = " and ".join(dict.fromkeys(one.test for one in held if one.test))
    floors = [one.floor for one in held if one.floor is not None]
    return Tested(max(known), f"largest p of {name}: {tests}", max(floors, default=None))
