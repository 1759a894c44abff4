"""What a planted instance is wired like: drawn from its cell and number, with what makes it hard.

Every cell has the same prompts, noise, adapters and nuisances; only the wiring differs. States are drawn
independently, not made orthogonal, so that a vector that holds one holds a little of the other, as in any
network of finite width; what a reader takes from each is set exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mi_bsa.studies.planted.settings import Draws, PlantedCell, PlantedWorld, Range

TRUTH: dict[PlantedWorld, str] = {
    "grid": "the report reads the choices' state and one of its own",
    "shared": "behavior and report read one state",
    "separate": "behavior and report read two states",
    "prompt_only": "the report reads the prompt and no state",
    "early": "the adapter acts early, the report's circuit reads it later",
    "reverse": "the adapter writes answers itself, or too late for the report's circuit",
    "correlate": "the report reads a state at cosine .5 to the choices'",
    "half": "the report reads the choices' state, and the prompt moves it as much",
    "two_of_five": "one state, but in two of five seeds the report has its own",
    "another_block": "two states, the report's written in an earlier block",
    "shared_another_block": "one state, written in an earlier block on reports",
}
Reverse = Literal["last_block", "early_bypass", "behind_the_circuit"]
REVERSES: tuple[Reverse, ...] = ("last_block", "early_bypass", "behind_the_circuit")


@dataclass(frozen=True)
class Wiring:
    """One instance.

    Attributes:
        cell: which truth is planted.
        number: which instance; with the cell's name it is the seed of every draw.
        width: of the residual stream.
        adapter_block: block in which the choices' state is written (of 3, counted from 0).
        report_block: block in which the report's own state is written, or what it reads of the choices'.
        reader_blocks: blocks of the behavior's readers and of the report's.
        reverse: how the reverse is brought about; None in other worlds.
        effect: distance of the poles in the choices, on [0, 1].
        share: share of the report's move, on [0, 1], that the choices' state brings about; None: as much as
            the report's own state has of it.
        own_cosine: cosine of the report's own state to the choices'; None: as drawn.
        own_seeds: how many seeds' reports are moved by a state of their own, and the rest by the choices'.
        report_on_choices, own_on_reports: how much of the report's own state adapters write on choices and
            on reports.
        choice_on_reports: how much of the choices' state they write on reports.
        report_logits, neighbor_logits, reader_noise, beside, seed_jitter, seed_spread, nuisance, hint,
            noise_logits, other_modules, spill, direct: as in `Draws`.
    """

    cell: PlantedCell
    number: int
    width: int
    adapter_block: int
    report_block: int
    reader_blocks: tuple[int, int]
    reverse: Reverse | None
    effect: float
    share: float | None
    own_cosine: float | None
    own_seeds: int
    report_on_choices: float
    own_on_reports: float
    choice_on_reports: float
    report_logits: float
    neighbor_logits: float
    reader_noise: float
    beside: float
    seed_jitter: float
    seed_spread: float
    nuisance: float
    hint: float
    noise_logits: float
    other_modules: float
    spill: float
    direct: float

    @property
    def world(self) -> PlantedWorld:
        """The cell's world."""
        return self.cell.world

    @property
    def seeds(self) -> int:
        """Adapter seeds of either pole."""
        return self.cell.seeds

    def rng(self, part: str) -> np.random.Generator:
        """The generator of one part of the instance."""
        return np.random.default_rng([self.number, *f"{self.cell.name}/{part}".encode()])


def draw(cell: PlantedCell | PlantedWorld, number: int, draws: Draws | None = None) -> Wiring:
    """Instance `number` of a cell, or of a world beside the grid. The plan was debugged on 10,000 up."""
    cell = cell if isinstance(cell, PlantedCell) else PlantedCell(cell)
    draws = draws or Draws()
    rng = np.random.default_rng([number, *f"{cell.name}/draw".encode()])

    def any_of(given: Range) -> float:
        return float(rng.uniform(*given))

    world = cell.world
    report_logits, effect = any_of(draws.report_logits), any_of(draws.effect)
    report_on_choices, choice_on_reports = any_of(draws.report_on_choices), any_of(draws.choice_on_reports)
    direct, hint, only_hint = (any_of(given) for given in (draws.direct, draws.hint, draws.only_hint))
    reverse = REVERSES[int(rng.integers(len(REVERSES)))] if world == "reverse" else None
    share: float | None = {"grid": cell.share, "separate": 0.0, "another_block": 0.0}.get(world, 1.0)
    if world == "grid":
        # What carries must be written: the choices' state stands whole on reports that read it.
        report_on_choices = cell.cowriting
        choice_on_reports = 1.0 if cell.share > 0 else cell.cowriting
    elif world == "another_block":
        report_on_choices = choice_on_reports = 1.0
    elif world == "correlate":
        share, report_on_choices, choice_on_reports = None, 0.0, 0.0
    elif world == "two_of_five":
        share, choice_on_reports = 1.0, 1.0
    elif world == "prompt_only":
        share, hint = 0.0, only_hint
    elif world != "separate":
        report_on_choices, choice_on_reports = 0.0, 1.0
    own = world in ("grid", "separate", "correlate", "two_of_five", "another_block")
    return Wiring(
        cell=cell,
        number=number,
        width=draws.width,
        adapter_block=2 if reverse == "last_block" else 1,
        report_block=0
        if world in ("another_block", "shared_another_block")
        else 2
        if reverse == "last_block"
        else 1,
        # "behind the circuit": the report is read beside the adapter, before it has written
        reader_blocks=(2, 1) if reverse == "behind_the_circuit" else (2, 2),
        reverse=reverse,
        effect=cell.effect if world == "grid" else effect,
        share=share,
        own_cosine=draws.correlate if world == "correlate" else None,
        own_seeds=2 if world == "two_of_five" else 0,
        report_on_choices=report_on_choices if own else 0.0,
        own_on_reports=1.0 if own else 0.0,
        choice_on_reports=choice_on_reports,
        report_logits=report_logits,
        neighbor_logits=any_of(draws.neighbor_logits),
        reader_noise=any_of(draws.reader_noise),
        beside=any_of(draws.beside),
        seed_jitter=any_of(draws.seed_jitter),
        seed_spread=any_of(draws.seed_spread),
        nuisance=any_of(draws.nuisance),
        hint=report_logits if world == "half" else hint,
        noise_logits=any_of(draws.noise_logits),
        other_modules=any_of(draws.other_modules),
        spill=any_of(draws.spill),
        direct=direct if world in ("shared", "early") else 0.0,
    )
