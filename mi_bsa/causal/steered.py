"""What vectors, parts of an adapter, and null directions do to both read-outs, each at its best dose.

Law: a dose is chosen on development choices alone, largest shift towards the pole, within the coherence gate:
a mean KL on neutral prompts of at most `max_kl`, or of what the adapters themselves cost where that is more.
All vectors are tried at the same lengths, multiples of the norm of what the adapters add at the place, and
told in typical norms of the site.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mi_bsa.causal import directions
from mi_bsa.causal.doses import Doses, dose_in_words, random_differences
from mi_bsa.causal.material import POLES, READ_OUTS, SIGNS
from mi_bsa.causal.places import Place, padded_positions, scope_mean
from probes import random_directions

if TYPE_CHECKING:
    from activations import Edit, Site
    from activations.engine import Conditions
    from mi_bsa.causal.material import Material
    from mi_bsa.causal.options import RecoveryOptions

NEUTRAL = 16
"""Neutral prompts behind the coherence gate."""


@dataclass(frozen=True, eq=False)
class Steered:
    """What one way to the pole reached: its name, test levels of each read-out by seed, and how it was
    chosen.
    """

    method: str
    levels: Mapping[str, Float[np.ndarray, " seed"]]
    notes: str = ""


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
        return np.asarray(self.options.strengths) * own / self.doses.norm

    @cached_property
    def budget(self) -> float:
        """Largest KL that a dose may cost."""
        from activations import engine

        own = [
            engine.divergence(self.model, self.neutral, variant=adapter, reference="base")[0]
            for _, _, adapter in self.material.pairs
        ]
        return max(self.options.max_kl, float(np.mean(own)))

    def level(self, read_out: str, split: str, variant: str, edits: Conditions | None = None) -> float:
        """Mean score of a read-out in one condition."""
        return float(self.material.levels(self.material.of(read_out, split), edits, variant=variant)[0])

    def levels(self, read_out: str, vectors: np.ndarray) -> Float[np.ndarray, " vector"]:
        """Mean test score of the base with each vector added, a unit vector being one typical norm long."""
        return self.doses.levels(self.material.of(read_out, "test"), vectors)[:, 0]

    def vectors(self, method: str, given: Float[np.ndarray, "seed d"], sign: float) -> Steered:
        """One vector a seed, all at the one dose that development chose."""
        unit = given / np.linalg.norm(given, axis=1, keepdims=True)
        moved, costs = self._grid(unit)
        kept = costs.mean(0) <= self.budget
        gain = np.where(kept, sign * moved.mean(0), -np.inf)
        best = int(np.argmax(gain)) if kept.any() else 0
        levels = {name: self.levels(name, unit * self.tried[best]) for name in READ_OUTS}
        beside = f"{self.options.strengths[best]:g} x what the adapters add"
        words = dose_in_words(self.tried[best] * self.doses.norm, self.doses.norm, beside=beside)
        words = f"{words}, KL {costs[:, best].mean():.2g}"
        return Steered(method, levels, words if kept.any() else f"{words}: beyond the coherence gate")

    def null(self, kind: str, seed: int) -> dict[str, dict[str, np.ndarray]]:
        """{pole: {read-out: test level of each null direction}}."""
        rng = np.random.default_rng([seed, len(kind)])
        if kind == "random":
            unit = random_directions(self.options.random, self.model.d_model, rng=rng)
        else:
            unit = differences(self.material, self.place, self.options.differences, rng=rng)
        both = np.concatenate([unit, -unit])
        moved, costs = self._grid(both)
        kept = costs <= self.budget
        kept[:, 0] |= ~kept.any(1)  # none within the gate: the smallest
        found = {}
        for arm in POLES:
            gain = np.where(kept, SIGNS[arm] * moved, -np.inf)
            side = gain.max(1).reshape(2, len(unit)).argmax(0)
            at = side * len(unit) + np.arange(len(unit))
            chosen = both[at] * self.tried[gain.argmax(1)[at], None]
            found[arm] = {name: self.levels(name, chosen) for name in READ_OUTS}
        return found

    def adapter(self, arm: str) -> Steered:
        """The finetuned models themselves."""
        names = self.material.arms[arm]
        levels = {n: np.array([self.level(n, "test", name) for name in names]) for n in READ_OUTS}
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
            n: np.array([self.level(n, "test", name, closed(name, best)) for name in names])
            for n in READ_OUTS
        }
        only = "its only layer" if len(layers) == 1 else "chosen on development choices"
        means = {name: self._means(name, sites[name]) for name in names}
        constant = {
            n: np.array([self.level(n, "test", name, means[name]) for name in names]) for n in READ_OUTS
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

    def _grid(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Development level of behavior and cost of each unit vector at each dose, (vector, dose)."""
        moved = self.doses.levels(self.material.of("behavior", "dev"), unit, self.tried)
        return moved, self.doses.costs(self.neutral, unit, self.tried)


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
