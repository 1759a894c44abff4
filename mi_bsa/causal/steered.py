"""What vectors, parts of an adapter, and null directions do to both read-outs, each at its best dose.

Law: a dose is chosen on development items alone, where what it moves is nearest to what the finetune moves
(recovery nearest to 1), interpolated between the doses that were tried, within the coherence gate: a mean KL
on neutral prompts of at most `max_kl`, or of what the adapters themselves cost where that is more. All
vectors are tried at the same lengths, multiples of the norm of what the adapters add at the place, and told
in typical norms of the site. A null direction is as long as the handle, whatever it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mi_bsa.causal import directions
from mi_bsa.causal.doses import Chosen, Doses, choose_doses, dose_in_words, random_differences
from mi_bsa.causal.material import POLES, READ_OUTS, SIGNS
from mi_bsa.causal.places import Place, padded_positions, scope_mean
from probes import random_directions

if TYPE_CHECKING:
    from activations import Edit, Site
    from activations.engine import Conditions
    from mi_bsa.asking.readouts import Readout
    from mi_bsa.causal.material import Material
    from mi_bsa.causal.options import RecoveryOptions

NEUTRAL = 16
"""Neutral prompts behind the coherence gate."""
LARGEST = np.inf
"""A share beyond all reach: the dose of the largest shift within the gate."""


@dataclass(frozen=True, eq=False)
class Aim:
    """What vectors are dosed by.

    Attributes:
        readout: development items.
        base: the base's score of each.
        wanted: the score of each that each vector is to give.
        signs: 1 where an item is to go to the seeking pole, -1 where to the averse one.
    """

    readout: Readout
    base: Float[np.ndarray, " item"]
    wanted: Float[np.ndarray, "vector item"]
    signs: Float[np.ndarray, "vector item"]

    def shifts(self, scores: Float[np.ndarray, "*more vector item"]) -> Float[np.ndarray, "*more vector"]:
        """How far scores lie towards where each vector is to bring them, mean over units."""
        moved: np.ndarray = self.readout.units(self.signs * (scores - self.base)).mean(-1)
        return moved

    @property
    def whole(self) -> float:
        """The shift that is wanted, mean over vectors."""
        return float(self.shifts(self.wanted).mean())


@dataclass(frozen=True, eq=False)
class Steered:
    """What one way to the pole reached: its name, test levels of each read-out by seed and wording (or
    scenario), how it was chosen, and the dose of vectors, in typical norms of the site.
    """

    method: str
    levels: Mapping[str, Float[np.ndarray, "seed unit"]]
    notes: str = ""
    dose: float = np.nan


class BestDoses:
    """What is added at one place of one material, each at the dose that development chose."""

    def __init__(self, material: Material, place: Place, options: RecoveryOptions) -> None:
        self.material, self.place, self.options = material, place, options
        self.model = material.model
        self.neutral = material.readout("neutral-test", items=NEUTRAL).rows
        self.doses = Doses(
            material.model,
            place.site,
            typical_norm(material, place),
            place.adding,
            variant="base",
            batch_tokens=material.batch_tokens,
        )

    @cached_property
    def tried(self) -> Float[np.ndarray, " dose"]:
        """The doses that are tried: multiples of the norm of what the adapters add at the place, the mean
        over adapters, in typical norms of the site."""
        added = directions.vectors(self.material, self.place, "constant")
        own = float(np.mean([np.linalg.norm(v, axis=1) for v in added.values()]))
        return np.sort(np.asarray(self.options.strengths)) * own / self.doses.norm

    @cached_property
    def budget(self) -> float:
        """Largest KL that a dose may cost."""
        from activations import engine

        known, key = self.material.known, ("cost of the adapters", NEUTRAL)
        if key not in known:
            known[key] = [
                engine.divergence(self.model, self.neutral, variant=adapter, reference="base")[0]
                for _, _, adapter in self.material.pairs
            ]
        return max(self.options.max_kl, float(np.mean(known[key])))

    def level(self, read_out: str, split: str, variant: str, edits: Conditions | None = None) -> float:
        """Mean score of a read-out in one condition."""
        return float(self.by_unit(read_out, split, variant, edits).mean())

    def by_unit(
        self, read_out: str, split: str, variant: str, edits: Conditions | None = None
    ) -> Float[np.ndarray, " unit"]:
        """Mean score of each wording (or scenario) of a read-out in one condition."""
        readout = self.material.of(read_out, split)
        if edits is None:
            return readout.units(self.material.scores(readout, variant))
        return readout.units(readout.score(self.material.logits(readout, edits, variant=variant)))[0]

    def levels(self, read_out: str, vectors: np.ndarray) -> Float[np.ndarray, "vector unit"]:
        """Test score of the base with each vector added, a unit vector being one typical norm long, by
        wording (or scenario)."""
        readout = self.material.of(read_out, "test")
        return readout.units(self.doses.scores(readout, vectors)[0])

    def aim(self, arm: str, read_out: str = "behavior", *, items: int | None = None) -> Aim:
        """The answers of an arm's adapters to a read-out's development items, one vector an adapter."""
        readout = self.material.of(read_out, "dev", items=items)
        wanted = np.stack([self.material.scores(readout, name) for name in self.material.arms[arm]])
        return Aim(readout, self.material.scores(readout), wanted, np.full(wanted.shape, SIGNS[arm]))

    def dosed(self, unit: Float[np.ndarray, "vector d"], aim: Aim, *, share: float = 1.0) -> Chosen:
        """The one dose at which unit vectors reach, in the mean, a share of what is wanted of them."""
        return self.dosed_each(unit, aim, (share,))[0]

    def dosed_each(
        self, unit: Float[np.ndarray, "vector d"], aim: Aim, shares: Sequence[float]
    ) -> list[Chosen]:
        """The dose for each of some shares, of one trial of all doses; `LARGEST` for all that can be had."""
        moved = aim.shifts(self.doses.scores(aim.readout, unit, self.tried)).mean(1)[None]
        costs = self.doses.costs(self.neutral, unit, self.tried).mean(0)[None]
        most = max(aim.whole, float(moved.max()))
        wanted = [most if share == LARGEST else share * aim.whole for share in shares]
        return [choose_doses(self.tried, moved, costs, wanted=one, budget=self.budget) for one in wanted]

    def vectors(
        self, method: str, given: Float[np.ndarray, "seed d"], arm: str, *, by: str = "behavior"
    ) -> Steered:
        """One vector a seed, all at the one dose at which development items of a read-out are moved as far as
        the finetune moves them.
        """
        return self.vectors_each(method, given, arm, (1.0,), by=by)[0]

    def vectors_each(
        self,
        method: str,
        given: Float[np.ndarray, "seed d"],
        arm: str,
        shares: Sequence[float],
        *,
        by: str = "behavior",
    ) -> list[Steered]:
        """The same at the dose for each of some shares of what the finetune moves."""
        unit = given / np.linalg.norm(given, axis=1, keepdims=True)
        aim = self.aim(arm, by)
        found = []
        for chosen in self.dosed_each(unit, aim, shares):
            levels = {name: self.levels(name, unit * chosen.doses[0]) for name in READ_OUTS}
            found.append(Steered(method, levels, self.told(chosen, aim.whole), float(chosen.doses[0])))
        return found

    def told(self, chosen: Chosen, whole: float) -> str:
        """A dose in words: how long, what it reached on development items, what it cost."""
        dose, own = float(chosen.doses[0]), float(self.tried[-1] / max(self.options.strengths))
        words = dose_in_words(
            dose * self.doses.norm, self.doses.norm, beside=f"{dose / own:.3g} x what the adapters add"
        )
        reached = f"{chosen.shifts[0] / whole:.2f} of development" if whole else "nothing to reach"
        words = f"{words}, {reached}, KL {chosen.costs[0]:.2g}"
        return words if chosen.within[0] else f"{words}: beyond the coherence gate"

    def null(
        self, kind: str, doses: Mapping[str, float], seed: int, *, read_outs: Sequence[str] = tuple(READ_OUTS)
    ) -> dict[str, dict[str, np.ndarray]]:
        """{pole: {read-out: test level of each null direction by unit, (draw, unit)}}, at each pole as long
        as the handle is there.

        One pole is given the direction and the other its opposite, so that what any long vector does to both
        alike cancels between them. Which pole has which is the draw's own chance: a sign chosen by choices
        would lend the null what the report takes from them, which is what is asked.
        """
        rng = np.random.default_rng([seed, len(kind)])
        if kind == "random":
            unit = random_directions(self.options.random, self.model.d_model, rng=rng)
        else:
            unit = differences(self.material, self.place, self.options.differences, rng=rng)
        return {
            arm: {name: self.levels(name, SIGNS[arm] * doses[arm] * unit) for name in read_outs}
            for arm in POLES
        }

    def adapter(self, arm: str) -> Steered:
        """The finetuned models themselves."""
        names = self.material.arms[arm]
        levels = {n: np.array([self.by_unit(n, "test", name) for name in names]) for n in READ_OUTS}
        return Steered("whole_adapter", levels, "1 by definition")

    def parts(self, arm: str) -> list[Steered]:
        """One layer's modules alone; and every module giving its mean output, whatever it reads."""
        import activations
        from activations import engine

        names, sign = self.material.arms[arm], SIGNS[arm]
        sites = {name: self.model.sites("lora_out", variants=[name]) for name in names}
        layers = sorted({site.layer or 0 for name in names for site in sites[name]})

        def closed(name: str, layer: int) -> Conditions:
            others = [site for site in sites[name] if site.layer != layer]
            return engine.ByEdits(lambda _: [activations.gate(others, 0.0)] if others else [])

        gain = [
            np.mean([sign * self.level("behavior", "dev", name, closed(name, layer)) for name in names])
            for layer in layers
        ]
        best = layers[int(np.argmax(gain))]
        one = {
            n: np.array([self.by_unit(n, "test", name, closed(name, best)) for name in names])
            for n in READ_OUTS
        }
        only = "its only layer" if len(layers) == 1 else "chosen on development choices"
        means = {name: self._means(name, sites[name]) for name in names}
        constant = {
            n: np.array([self.by_unit(n, "test", name, means[name]) for name in names]) for n in READ_OUTS
        }
        return [
            Steered("one_layer", one, f"modules of block {best}, {only}"),
            Steered("constant_modules", constant, "each module replaced by its mean output on choices (dev)"),
        ]

    def _means(self, name: str, sites: tuple[Site, ...]) -> Conditions:
        """Edits that replace every module's output by its mean over the tokens of development choices."""
        import torch

        import activations
        from activations import engine

        readout = self.material.of("behavior", "dev")
        read = self.material.states(readout, *map(str, sites), variant=name)
        positions = padded_positions(readout.rows, "all")
        edits: list[Edit] = [
            activations.replace(site, torch.from_numpy(scope_mean(read[str(site)], positions)).float())
            for site in sites
        ]
        return engine.ByEdits(lambda _: edits)


def typical_norm(material: Material, place: Place) -> float:
    """Median norm of the base's states at a place, on development choices: the unit of doses there."""
    readout = material.of("behavior", "dev")
    read, at = material.states(readout, place.site)[place.site], place.positions(readout.rows)
    return float(
        np.median([n for v, k in zip(read, at, strict=True) for n in np.linalg.norm(v[k[k >= 0]], axis=1)])
    )


def differences(
    material: Material, place: Place, count: int, *, rng: np.random.Generator
) -> Float[np.ndarray, "draw d"]:
    """Random differences of the base's states at a place on development items of both read-outs; at the
    answer slot where all prompts agree at the place."""
    at = Place(place.site, "slot" if place.scope.startswith("before") else place.scope)
    readouts = [material.of(name, "dev") for name in READ_OUTS]
    values = [
        scope_mean(material.states(r, at.site)[at.site], at.positions(r.rows), by_item=True) for r in readouts
    ]
    return random_differences(count, readouts, values, rng=rng)
