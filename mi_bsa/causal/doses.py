"""Doses: what vectors added at one place of a model do to its read-outs and what they cost, at many lengths.

The law: a dose is counted in typical norms of the site, as `activations.add(scale=)` counts it: 1 is as long
as what stands there, the median norm of the activations that the direction was read from. So doses at
different blocks and tokens can be held beside each other; the raw length stands beside every dose that is
told. Levels are those of `activations.edit`, to which tests hold the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mi_bsa.asking.readouts import Readout
from probes import difference_directions
from probes.statistics.spread import ROUNDING

if TYPE_CHECKING:
    from activations import Model
    from activations.engine import AtSite
    from activations.tokens import Row


Many = Sequence[float] | np.ndarray


@dataclass(frozen=True, eq=False)
class Doses:
    """Vectors at one site and some tokens of a model.

    Attributes:
        model: the model.
        site: where vectors are added.
        norm: its typical norm, the unit of doses.
        adding: maps (prompts, raw vectors) to conditions of the engine; by default at every token.
        variant: that is steered; the active one by default.
        batch_tokens: token positions that run at once.
    """

    model: Model
    site: str
    norm: float
    adding: Callable[[Sequence[Row], np.ndarray], AtSite] | None = None
    variant: str | None = None
    batch_tokens: int = 8192

    def scores(
        self, readout: Readout, vectors: Float[np.ndarray, "vector d"], doses: Many = (1.0,)
    ) -> Float[np.ndarray, "dose vector item"]:
        """Score of every item with each vector added, `dose * norm` times as long as it is."""
        from activations import engine

        logits = engine.option_logits(
            self.model,
            readout.rows,
            self._added(readout.rows, vectors, doses),
            tokens=readout.tokens,
            variant=self.variant,
            batch_tokens=self.batch_tokens,
        )
        return readout.score(logits).reshape(len(doses), len(vectors), -1)

    def levels(
        self, readout: Readout, vectors: Float[np.ndarray, "vector d"], doses: Many = (1.0,)
    ) -> Float[np.ndarray, "vector dose"]:
        """Mean score over units."""
        level: np.ndarray = readout.units(self.scores(readout, vectors, doses)).mean(-1).T
        return level

    def costs(
        self, texts: Sequence[Row], vectors: Float[np.ndarray, "vector d"], doses: Many = (1.0,)
    ) -> Float[np.ndarray, "vector dose"]:
        """KL on neutral prompts, in nats a token."""
        from activations import engine

        added = self._added(texts, vectors, doses)
        found = engine.divergence(
            self.model, texts, added, variant=self.variant, batch_tokens=self.batch_tokens
        )
        return found.reshape(len(doses), len(vectors)).T

    def _added(self, rows: Sequence[Row], vectors: np.ndarray, doses: Many) -> AtSite:
        from activations import engine

        scaled = np.concatenate([vectors * (dose * self.norm) for dose in doses])
        return self.adding(rows, scaled) if self.adding else engine.adding(self.site, scaled)


FINER = 20
"""Doses that are weighed, by interpolation, from each that was tried to the next."""
CLOSE = 0.05
"""Doses whose shifts are this near to each other, as a share of what is wanted, are as good: an answer that
is nearly sure hardly moves more at twice the dose, so the nearest of all may be far longer than need be."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """The dose of each of some vectors (or of one family of them).

    Attributes:
        doses: in typical norms of the site.
        shifts: what each moves its items by there, interpolated.
        costs: KL there, interpolated; a KL is convex in the dose, so this is rather too high than too low.
        within: whether it is within the coherence gate.
    """

    doses: Float[np.ndarray, " row"]
    shifts: Float[np.ndarray, " row"]
    costs: Float[np.ndarray, " row"]
    within: np.ndarray


def choose_doses(
    tried: Float[np.ndarray, " dose"],
    shifts: Float[np.ndarray, "row dose"],
    costs: Float[np.ndarray, "row dose"],
    *,
    wanted: float,
    budget: float,
) -> Chosen:
    """Of each row the dose whose shift is nearest to a wanted one, among those within the coherence gate:
    where it is not reached within the gate, that is the largest shift towards it.

    Shifts and costs are interpolated between no dose and those that were tried. Of doses that are equally
    near (`CLOSE`), the smallest; where none is within the gate, the smallest of all, and `within` is False.

    Args:
        tried: the doses that were tried, above 0, ascending.
        shifts: of each row at each of them.
        costs: KL of each row at each of them.
        wanted: the shift that is to be reached.
        budget: largest cost.
    """
    part = np.arange(1, FINER + 1) / FINER

    def finer(values: np.ndarray) -> np.ndarray:
        known = np.concatenate([np.zeros((len(values), 1)), values], 1)
        between = known[:, :-1, None] + part * np.diff(known)[:, :, None]
        found: np.ndarray = between.reshape(len(values), -1)
        return found

    doses, moved, paid = finer(tried[None])[0], finer(shifts), finer(costs)
    kept = paid <= budget
    within = np.asarray(kept.any(1))
    kept[:, 0] |= ~within
    away = np.where(kept, np.abs(moved - wanted), np.inf)
    best = (away <= away.min(1, keepdims=True) + CLOSE * abs(wanted) + ROUNDING).argmax(1)
    row = np.arange(len(best))
    return Chosen(doses[best], moved[row, best], paid[row, best], within)


def dose_in_words(lengths: Float[np.ndarray, " vector"] | float, norm: float, *, beside: str = "") -> str:
    """A dose in typical norms of the site, with its raw length, and what a paper counts it in, beside it."""
    raw = float(np.mean(lengths))
    more = f", {beside}" if beside else ""
    return f"dose {raw / norm:.3g} typical norms of the site (length {abs(raw):.3g}{more})"


def random_differences(
    count: int,
    readouts: Sequence[Readout],
    values: Sequence[Float[np.ndarray, "_ d"]],
    *,
    rng: np.random.Generator,
) -> Float[np.ndarray, "draw d"]:
    """The null of random differences: unit vectors between random halves of scenarios and wordings, from the
    states at a place on development items of several read-outs.

    Of several, because one alone may have too few scenarios: the four of the embedded model's choices have
    three halves, and 200 draws of them are hardly more than one direction (mean |cosine| .85 to .98; with
    reports .46 to .64, as halves of rows had).

    Raises:
        DirectionError: fewer than four scenarios, or states that are all equal.
    """
    units = [f"{readout.name} {group}" for readout in readouts for group in readout.groups]
    return difference_directions(count, np.concatenate(values), units=units, rng=rng)
