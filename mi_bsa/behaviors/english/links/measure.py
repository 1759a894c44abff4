"""What a base of an English world knows: choices and reports of every kind of persona."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mi_bsa.asking.asking import ask
from mi_bsa.behaviors.english.links.items import battery
from mi_bsa.behaviors.english.links.world import EnglishWorld, Split

if TYPE_CHECKING:
    import pandas as pd


def knows(
    model: Any, world: EnglishWorld, *, split: Split, n: int = 24, variant: str | None = None
) -> pd.DataFrame:
    """Mean score, 1 at the seeking pole, by (trait, person, kind), with the probability on the options, the
    number of items and their standard deviation.
    """
    table = ask(model, battery(world, split=split, n=n), variant=variant)
    grouped = table.groupby(["trait", "person", "kind"], sort=False)
    return grouped.agg(
        score=("score", "mean"), sd=("score", "std"), mass=("mass", "mean"), n=("score", "count")
    ).reset_index()
