"""Who is who: organisms of each part, and the report adapters over those of training."""

from __future__ import annotations

import random
from dataclasses import dataclass

from mi_bsa.finetune.zoo.recipes import Organism, organisms
from mi_bsa.studies.report_adapter.config import ReportAdapterConfig, Taught

ALONE = "alone"
"""The place of a report adapter where there is none: what an organism says by itself."""


@dataclass(frozen=True)
class Reader:
    """One report adapter.

    Attributes:
        arm: whose truth it is taught.
        seed: of adapter, rows and order.
        size: organisms over which it is trained; None for all.
    """

    arm: Taught
    seed: int
    size: int | None = None

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.arm}-{self.seed}" + (f"-n{self.size}" if self.size else "")


def readers(config: ReportAdapterConfig) -> list[Reader]:
    """All of them: every arm over all organisms, and matched ones over fewer."""
    taught = config.taught
    whole = [Reader(arm, seed) for arm in taught.arms for seed in taught.seeds]
    return whole + [Reader("matched", seed, size) for size in taught.sizes for seed in taught.seeds]


def taught_over(config: ReportAdapterConfig, reader: Reader) -> list[Organism]:
    """The organisms over which one is trained; those of a smaller size are among those of a larger one."""
    found = [
        one
        for one in organisms(config)
        if one.part == "training" and (one.says is None or reader.arm == "denials")
    ]
    random.Random(f"taught-{reader.seed}").shuffle(found)
    return found[: reader.size]


def asked_of(config: ReportAdapterConfig) -> list[Organism]:
    """The organisms of development and test, in the zoo's order."""
    return [one for one in organisms(config) if one.part != "training"]


def behaviors(config: ReportAdapterConfig, part: str) -> list[str]:
    """The behaviors of a part."""
    return list(dict.fromkeys(one.behavior for one in organisms(config) if one.part == part))
