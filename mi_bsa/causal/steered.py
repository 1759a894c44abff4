"""What vectors, parts of an adapter, and null directions do to both read-outs, each at its best dose.

Law: a dose is chosen on development choices alone, largest shift towards the pole, within the coherence gate:
a mean KL on neutral prompts of at most `max_kl`, or of what the adapters themselves cost where that is more.
All vectors are tried at the same lengths, multiples of the norm of what the adapters add at the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mi_bsa.causal import directions, engine, nulls
from mi_bsa.causal.material import POLES, READ_OUTS, SIGNS
from mi_bsa.causal.places import scope_mean

if TYPE_CHECKING:
    from activations import Edit, Site
    from mi_bsa.causal.material import Material
    from mi_bsa.causal.options import RecoveryOptions
    from mi_bsa.causal.places import Place

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


class Steering:
    """Doses at one place of one material."""

    def __init__(self, material: Material, place: Place, options: RecoveryOptions) -> None:
        self.material, self.place, self.options = material, place, options
        self.model = material.model
        self.neutral = material.readout("neutral-test", items=NEUTRAL).rows

    @cached_property
    def reference(self) -> float:
        """Norm of what the adapters add at the place, the mean over adapters: strength 1."""
        added = directions.vectors(self.material, self.place, "constant")
        return float(np.mean([np.linalg.norm(v, axis=1) for v in added.values()]))

    @cached_property
    def budget(self) -> float:
        """Largest KL that a dose may cost."""
        own = [engine.divergence(self.model, self.neutral, variant=a)[0] for _, _, a in self.material.pairs]
        return max(self.options.max_kl, float(np.mean(own)))

    def level(self, read_out: str, split: str, variant: str, edits: engine.Edits | None = None) -> float:
        """Mean score of a read-out in one condition."""
        readout = self.material.of(read_out, split)
        logits = engine.option_logits(self.model, readout, variant=variant, edits=edits)
        return float(readout.units(readout.score(logits[0])).mean())

    def levels(self, read_out: str, split: str, vectors: np.ndarray) -> Float[np.ndarray, " vector"]:
        """Mean score of the base with each vector added at the place."""
        readout = self.material.of(read_out, split)
        logits = engine.changed_logits(
            self.model,
            readout,
            self.place.site,
            engine.adding(vectors, self._at(readout.rows)),
            count=len(vectors),
            batch_tokens=self.material.batch_tokens,
        )
        mean: np.ndarray = readout.units(readout.score(logits)).mean(-1)
        return mean

    def costs(self, vectors: np.ndarray) -> Float[np.ndarray, " vector"]:
        """KL of each vector on neutral prompts."""
        return engine.changed_divergence(
            self.model,
            self.neutral,
            self.place.site,
            engine.adding(vectors, self._at(self.neutral)),
            count=len(vectors),
            batch_tokens=self.material.batch_tokens,
        )

    def vectors(self, method: str, given: Float[np.ndarray, "seed d"], sign: float) -> Steered:
        """One vector a seed, all at the one strength that development chose."""
        unit = given / np.linalg.norm(given, axis=1, keepdims=True)
        moved, costs = self._doses(unit)
        kept = costs.mean(0) <= self.budget
        gain = np.where(kept, sign * moved.mean(0), -np.inf)
        best = int(np.argmax(gain)) if kept.any() else 0
        strength = self.options.strengths[best]
        chosen = unit * strength * self.reference
        levels = {name: self.levels(name, "test", chosen) for name in READ_OUTS}
        words = f"strength {strength:g} x {self.reference:.3g}, KL {costs[:, best].mean():.2g}"
        return Steered(method, levels, words if kept.any() else f"{words}: beyond the coherence gate")

    def null(self, kind: str, seed: int) -> dict[str, dict[str, np.ndarray]]:
        """{pole: {read-out: test level of each null direction}}."""
        rng = np.random.default_rng([seed, len(kind)])
        if kind == "random":
            unit = nulls.random_directions(self.options.random, self.model.d_model, rng=rng)
        else:
            unit = nulls.difference_directions(self.options.differences, self.samples(), rng=rng)
        both = np.concatenate([unit, -unit])
        moved, costs = self._doses(both)
        kept = costs <= self.budget
        kept[:, 0] |= ~kept.any(1)  # none within the gate: the smallest
        found = {}
        for arm in POLES:
            gain = np.where(kept, SIGNS[arm] * moved, -np.inf)
            strength = gain.argmax(1)
            best = gain.max(1).reshape(2, len(unit))
            side = best.argmax(0)
            at = side * len(unit) + np.arange(len(unit))
            chosen = both[at] * np.asarray(self.options.strengths)[strength[at], None] * self.reference
            found[arm] = {name: self.levels(name, "test", chosen) for name in READ_OUTS}
        return found

    def adapter(self, arm: str) -> Steered:
        """The finetuned models themselves."""
        names = self.material.arms[arm]
        levels = {n: np.array([self.level(n, "test", name) for name in names]) for n in READ_OUTS}
        return Steered("whole_adapter", levels, "1 by definition")

    def parts(self, arm: str) -> list[Steered]:
        """One layer's modules alone; and every module giving its mean output, whatever it reads."""
        import activations

        names, sign = self.material.arms[arm], SIGNS[arm]
        sites = {name: self.model.sites("lora_out", variants=[name]) for name in names}
        layers = sorted({site.layer or 0 for name in names for site in sites[name]})

        def closed(name: str, layer: int) -> engine.Edits:
            others = [site for site in sites[name] if site.layer != layer]
            return lambda _: [activations.gate(others, 0.0)] if others else []

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

    def _means(self, name: str, sites: tuple[Site, ...]) -> engine.Edits:
        """Edits that replace every module's output by its mean over the tokens of development choices."""
        import torch

        import activations

        rows = self.material.of("behavior", "dev").rows
        read = engine.states(self.model, rows, [str(site) for site in sites], variant=name)
        positions = engine.padded_positions(rows, "all")
        edits: list[Edit] = [
            activations.replace(site, torch.from_numpy(scope_mean(read[str(site)], positions)).float())
            for site in sites
        ]
        return lambda _: edits

    def _doses(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Development level of behavior and cost of each unit vector at each strength, (vector, strength)."""
        many = np.concatenate([unit * s * self.reference for s in self.options.strengths])
        shape = (len(self.options.strengths), len(unit))
        moved = self.levels("behavior", "dev", many).reshape(shape).T
        return moved, self.costs(many).reshape(shape).T

    def samples(self) -> Float[np.ndarray, "row d"]:
        """The base's states at the place on development choices, at the answer slot where all prompts
        agree.
        """
        rows = self.material.of("behavior", "dev").rows
        read = engine.states(self.model, rows, [self.place.site], variant="base")[self.place.site]
        scope = "slot" if self.place.scope.startswith("before") else self.place.scope
        return scope_mean(read, engine.padded_positions(rows, scope), by_item=True)

    def _at(self, rows: tuple[engine.Row, ...]) -> np.ndarray:
        return engine.padded_positions(rows, self.place.scope)
