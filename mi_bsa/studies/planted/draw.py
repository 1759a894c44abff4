"""What an instance of a planted world is wired like: drawn from its number, with what makes it hard.

Every world has the same prompts, noise, adapters and nuisances; only the wiring differs. Directions are drawn
independently, not made orthogonal, so that a state that the report does not read overlaps a little with one
that it does, as in any network of finite width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

PlantedWorld = Literal["shared", "separate", "prompt_only", "early", "reverse"]
WORLDS: tuple[PlantedWorld, ...] = ("shared", "separate", "prompt_only", "early", "reverse")
TRUTH = {
    "shared": "behavior and report read one state",
    "separate": "behavior and report read two states",
    "prompt_only": "the report reads the prompt and no state",
    "early": "the adapter acts early, the report's circuit reads it later",
    "reverse": "the adapter writes answers itself, or too late for the report's circuit",
}
Reverse = Literal["last_block", "early_bypass", "behind_the_circuit"]
REVERSES: tuple[Reverse, ...] = ("last_block", "early_bypass", "behind_the_circuit")
SEEDS = 5
"""Adapter seeds of either pole."""
REPORTED = 1000
"""First of the reported instances. 0 to 99 are of an earlier design (`page.EARLIER`)."""


@dataclass(frozen=True)
class Wiring:
    """One instance.

    Attributes:
        world: which truth is planted.
        number: which instance; with `world` it is the seed of every draw.
        seeds: adapter seeds of either pole.
        adapter_block: block in which the adapter writes (of 3, counted from 0).
        reader_blocks: blocks of the behavior's reader and of the report's.
        reverse: how the reverse is brought about; None in other worlds.
        behavior_logits, report_logits: distance of the poles in the log-odds of the answers.
        reader_noise: norm of what a reader reads beside its state, in norms of the state's direction.
        shared_cosine_noise: how far the report's reading direction lies beside the behavior's, where shared.
        report_on_choices: share of the report's state that adapters write on choice prompts too, where
            states are separate.
        choice_on_reports: share of the behavior's state that adapters write on report prompts too, where
            the report does not read it.
        direct: share of the answer that the adapter writes itself beside its state.
        seed_jitter: norm of each adapter's own deviation, in norms of what it should write.
        seed_spread: standard deviation of the log strength of adapters.
        nuisance: norm of what all adapters write whatever their pole, in norms of the state.
        hint: log-odds that the prompt's own words move the report by.
        noise_logits: standard deviation over prompts of the log-odds in the base.
        spill: norm of what adapters of another behavior write on this behavior's prompts, in norms of the
            state.
        other_modules: norm of the noise in the adapter's modules of other blocks, in norms of the state.
    """

    world: PlantedWorld
    number: int
    seeds: int
    adapter_block: int
    reader_blocks: tuple[int, int]
    reverse: Reverse | None
    behavior_logits: float
    report_logits: float
    reader_noise: float
    shared_cosine_noise: float
    report_on_choices: float
    choice_on_reports: float
    direct: float
    seed_jitter: float
    seed_spread: float
    nuisance: float
    hint: float
    noise_logits: float
    other_modules: float
    spill: float

    def rng(self, part: str) -> np.random.Generator:
        """The generator of one part of the instance."""
        return np.random.default_rng([self.number, WORLDS.index(self.world), *part.encode()])


def draw(world: PlantedWorld, number: int) -> Wiring:
    """Instance `number` of a world. 1,000 to 1,099 are reported; the plan was debugged on 10,000 up."""
    rng = np.random.default_rng([number, WORLDS.index(world), 1])
    reverse = REVERSES[int(rng.integers(3))] if world == "reverse" else None
    readers, block = (2, 2), 1
    if reverse == "last_block":
        block = 2
    elif reverse == "behind_the_circuit":
        readers = (2, 1)  # the report is read beside the adapter, before it has written
    low = world == "prompt_only"
    return Wiring(
        world=world,
        number=number,
        seeds=SEEDS,
        adapter_block=block,
        reader_blocks=readers,
        reverse=reverse,
        behavior_logits=float(rng.uniform(3.0, 7.0)),
        report_logits=float(rng.uniform(2.0, 6.0)),
        reader_noise=float(rng.uniform(0.0, 0.5)),
        shared_cosine_noise=float(rng.uniform(0.0, 0.6)),
        report_on_choices=float(rng.uniform(0.0, 0.3)) if world == "separate" else 0.0,
        choice_on_reports=float(rng.uniform(0.0, 1.0)) if world in ("separate", "prompt_only") else 0.0,
        direct=float(rng.uniform(0.0, 0.25)) if world in ("shared", "early") else 0.0,
        seed_jitter=float(rng.uniform(0.1, 0.4)),
        seed_spread=float(rng.uniform(0.05, 0.25)),
        nuisance=float(rng.uniform(0.0, 0.6)),
        hint=float(rng.uniform(1.5, 4.0)) if low else float(rng.uniform(0.0, 1.0)),
        noise_logits=float(rng.uniform(0.3, 1.0)),
        other_modules=float(rng.uniform(0.02, 0.1)),
        spill=float(rng.uniform(0.0, 0.15)),
    )
