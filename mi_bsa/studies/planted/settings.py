"""The grid: which planted instances are judged, in which order, and what each draws beside its cell.

Law: an instance is its cell's name, its number and the ranges that it is drawn from, and nothing else; so
runs of several processes, of parts of the grid, or of a grid in another order, hold the same instances.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mi_bsa.core.config import Config, load
from mi_bsa.core.errors import ConfigError

PlantedWorld = Literal[
    "grid",
    "shared",
    "separate",
    "prompt_only",
    "early",
    "reverse",
    "correlate",
    "half",
    "two_of_five",
    "another_block",
    "shared_another_block",
]
WORLDS: tuple[PlantedWorld, ...] = (
    "shared",
    "separate",
    "prompt_only",
    "early",
    "reverse",
    "correlate",
    "half",
    "two_of_five",
    "another_block",
    "shared_another_block",
)
"""All but the grid's own."""
SEEDS = 5
"""Adapter seeds of either pole in the worlds beside the grid."""
DEFAULT = Path("configs/planted/grid.yaml")

Share = Annotated[float, Field(ge=0, le=1)]
Gap = Annotated[float, Field(gt=0, lt=1)]
Range = tuple[float, float]


@dataclass(frozen=True)
class PlantedCell:
    """One cell: a world, and in the grid its place on the axes (0 and 5 seeds elsewhere)."""

    world: PlantedWorld
    share: float = 0.0
    cowriting: float = 0.0
    effect: float = 0.0
    seeds: int = SEEDS

    @property
    def name(self) -> str:
        """What the cell is found by, and half of what its instances are drawn from."""
        if self.world != "grid":
            return self.world
        return f"share{self.share:g}-co{self.cowriting:g}-effect{self.effect:g}-seeds{self.seeds}"


class Draws(Config):
    """What every instance draws, evenly between two ends, whatever its cell."""

    width: Annotated[int, Field(ge=64, multiple_of=2)] = 80
    """Width of the residual stream. Two states that are drawn independently overlap by about one over its
    square root: .12 at 80, .07 at 192, .04 at SmolLM2's 576.
    """
    report_logits: Range = (2.0, 6.0)
    """Distance of the poles in the log-odds of the report."""
    neighbor_logits: Range = (3.0, 7.0)
    """Distance of the poles of the neighbor behavior's adapters in the log-odds of its choices."""
    effect: Range = (0.6, 0.9)
    """Distance of the poles in the choices, on [0, 1], in the worlds beside the grid."""
    reader_noise: Range = (0.0, 0.5)
    """What a reader reads beside its states."""
    beside: Range = (0.0, 0.6)
    """What all readers of the report read beside their states."""
    seed_jitter: Range = (0.1, 0.4)
    """Each adapter's own deviation, in norms of the state."""
    seed_spread: Range = (0.05, 0.25)
    """Standard deviation of the log strength of adapters."""
    nuisance: Range = (0.0, 0.6)
    """What all adapters write whatever their pole, in norms of the state."""
    hint: Range = (0.0, 1.0)
    """Log-odds that the prompt's own words move the report by."""
    only_hint: Range = (1.5, 4.0)
    """The same where the report follows the prompt only."""
    noise_logits: Range = (0.3, 1.0)
    """Standard deviation over prompts of the log-odds in the base."""
    other_modules: Range = (0.02, 0.1)
    """Noise in the adapter's modules of other blocks, in norms of the state."""
    spill: Range = (0.0, 0.15)
    """What adapters of the neighbor behavior write on this behavior's prompts, and these on theirs, in norms
    of the state.
    """
    direct: Range = (0.0, 0.25)
    """Share of the answer that the adapter writes itself, in the worlds `shared` and `early`."""
    report_on_choices: Range = (0.0, 0.3)
    """Co-writing of the report's state on choices in the world `separate`."""
    choice_on_reports: Range = (0.0, 1.0)
    """Co-writing of the choices' state on reports in the worlds `separate` and `prompt_only`."""
    correlate: Share = 0.5
    """Cosine of the report's state to the choices' in the world `correlate`."""


class Selection(Config):
    """Cells of the grid: those that have one of the given values on each axis that is named."""

    world: tuple[PlantedWorld, ...] = ()
    share: tuple[Share, ...] = ()
    cowriting: tuple[Share, ...] = ()
    effect: tuple[Gap, ...] = ()
    seeds: tuple[int, ...] = ()

    def holds(self, cell: PlantedCell) -> bool:
        """Whether a cell is among them; a named axis of the grid selects none of the other worlds."""
        axes = ("share", "cowriting", "effect", "seeds")
        if cell.world != "grid" and any(getattr(self, axis) for axis in axes):
            return False
        return all(
            not wanted or getattr(cell, axis) in wanted
            for axis in ("world", *axes)
            if (wanted := getattr(self, axis)) is not None
        )

    @classmethod
    def parse(cls, text: str) -> Selection:
        """`share=0,0.1 cowriting=1 seeds=5` as a selection.

        Raises:
            ConfigError: no `axis=value,value`, or a value that is none of the axis.
        """
        from mi_bsa.core.config import parse
        from mi_bsa.core.plain_files import parse_yaml

        found = {}
        for part in text.split():
            axis, equal, values = part.partition("=")
            if not equal:
                raise ConfigError(f"cells {part!r}: write 'axis=value,value', such as 'share=0,0.1 seeds=5'")
            found[axis] = [parse_yaml(value) for value in values.split(",")]
        return parse(found, cls, source="--cells")


class Part(Selection):
    """Cells that are judged before others, and how many instances of each."""

    instances: int | None = Field(default=None, ge=1)
    """Instances of each of its cells; by default the grid's."""


class GridConfig(Config):
    """Which instances of which cells are judged, and in which order."""

    share: tuple[Share, ...]
    """Shares of the report that the choices' state carries."""
    cowriting: tuple[Share, ...]
    """How much of the report's own state adapters write on choices too, and of the choices' on reports."""
    effect: tuple[Gap, ...]
    """Distance of the poles in the choices, on [0, 1]."""
    seeds: tuple[Annotated[int, Field(ge=3)], ...]
    """Adapter seeds of either pole."""
    worlds: tuple[PlantedWorld, ...] = WORLDS
    """Worlds beside the grid, judged with it."""
    instances: int = Field(default=50, ge=1)
    """Instances of every cell that no part of the order asks more of."""
    first: int = Field(default=20_000, ge=0)
    """Number of the first; those for debugging begin at 10,000."""
    order: tuple[Part, ...] = ()
    """What is judged first: the instances of each part, one of each cell in turn, before the next; then all
    that is left. A cell may stand in several parts, of which a later one adds to the instances.
    """
    draws: Draws = Draws()
    """What instances draw beside their cell."""

    def cells(self) -> tuple[PlantedCell, ...]:
        """All cells; a cell's number is its place here, from 1."""
        axes = product(self.share, self.cowriting, self.effect, self.seeds)
        grid = [PlantedCell("grid", *one) for one in axes]
        return (*grid, *(PlantedCell(world) for world in self.worlds if world != "grid"))

    def of_each(self, instances: int) -> GridConfig:
        """The same with so many instances of every cell."""
        order = tuple(part.model_copy(update={"instances": None}) for part in self.order)
        return self.model_copy(update={"instances": instances, "order": order})

    def plan(self, only: Selection | None = None) -> Iterator[tuple[PlantedCell, int]]:
        """Cells and numbers of instances, in the order in which they are judged."""
        cells = [cell for cell in self.cells() if only is None or only.holds(cell)]
        planned = dict.fromkeys(cells, 0)
        for part in (*self.order, Part()):
            now, most = [cell for cell in cells if part.holds(cell)], part.instances or self.instances
            for n in range(most):
                yield from ((cell, self.first + n) for cell in now if n >= planned[cell])
            planned |= {cell: max(planned[cell], most) for cell in now}


def grid(path: Path = DEFAULT) -> GridConfig:
    """The grid of a settings file. Raises `ConfigError` for one that breaks a rule."""
    return load(path, GridConfig)
