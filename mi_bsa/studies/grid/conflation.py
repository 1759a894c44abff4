"""From everybody's answers to how far one persona's training is another's report.

A persona's gap is its score in the runs whose default persona was trained seeking minus that in the averse
ones, one value a seed. *Conflation* is the mean absolute gap of the others over the default persona's gap: 0
where training one persona says nothing about any other, 1 where all move as much as the one that was trained
(the absolute value counts the noise of each persona too, so it errs on the large side).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import SEED_AGAINST_SEED, Null, Result
from probes import statistics
from probes.errors import StatisticsError

if TYPE_CHECKING:
    import pandas as pd

CHANNELS = ("report", "choice", "third")
"""What each says of itself, what each chooses, and what the default persona says of it."""
UNIT = "difference of P(seeking pole)"
SHARE = "share of the default persona's gap"
DROP = "conflation without persona rows minus conflation with them"


def measures(
    table: pd.DataFrame, *, behavior: str, trainings: Sequence[str], seeds: Sequence[int], split: str
) -> list[Result]:
    """Gaps by group of persona, the others' mean absolute gap, conflation, and its drop from `alone`.

    `table`: answers with columns training, arm, seed, channel, part, group, persona, kind, score.
    """
    found: list[Result] = []
    ratios: dict[tuple[str, str, str], np.ndarray] = {}
    for training in trainings:
        part = table[table["training"] == training]
        default = _default(persona_gaps(part, "report", seeds))
        where = {"behavior": behavior, "method": training, "split": split}
        for channel in CHANNELS:
            gaps = persona_gaps(part, channel, seeds)
            if gaps.empty:
                continue
            null = null_gaps(part, channel, seeds)
            for (who, group), rows in gaps.groupby(level=["part", "group"], sort=False):
                notes = f"{len(rows)} persona{'s' if len(rows) > 1 else ''}"
                if who == "trained" and training == "alone":
                    notes += ", trained in the other trainings: no row of this one shows them"
                name, place = (
                    f"personas.{channel}_gap",
                    {**where, "kind": who if who == group else f"{who} {group}"},
                )
                gap, band = rows.to_numpy().mean(axis=0), _band(null, rows)
                found.append(
                    over_seeds(name, place, gap, seeds, unit=UNIT, null=band, chance=0.0, notes=notes)
                )
            mine = _default(gaps) if channel == "choice" else default
            for kind, rows in others(gaps, training).items():
                size, place = rows.abs().to_numpy().mean(axis=0), {**where, "kind": kind}
                band = _band(None if null is None else null.abs(), rows)
                told, name = f"mean |gap| over {len(rows)} personas", f"personas.{channel}_others"
                found.append(over_seeds(name, place, size, seeds, unit=UNIT, null=band, notes=told))
                found += _conflation(size, mine, _name(channel, "conflation"), place, len(rows), seeds)
                if (mine != 0).all():
                    ratios[training, channel, kind] = size / np.abs(mine)
    for (training, channel, kind), ratio in ratios.items():
        alone = ratios.get(("alone", channel, kind))
        if training != "alone" and alone is not None:
            place = {"behavior": behavior, "method": training, "kind": kind, "split": split}
            name, told = _name(channel, "conflation_drop"), DROP
            found.append(over_seeds(name, place, alone - ratio, seeds, unit=SHARE, chance=0.0, notes=told))
    return found


def persona_gaps(table: pd.DataFrame, channel: str, seeds: Sequence[int]) -> pd.DataFrame:
    """One row a persona (index part, group, persona), one column a seed: seeking minus averse.

    A persona's score is the mean over kinds of question of its mean score.
    """
    means = scores(table, channel)
    return means if means.empty else means["seeking"][list(seeds)] - means["averse"][list(seeds)]


def scores(table: pd.DataFrame, channel: str) -> pd.DataFrame:
    """Mean score by persona (rows) and arm, seed (columns)."""
    part = table[table["channel"] == channel]
    keys = ["part", "group", "persona", "arm", "seed"]
    by_kind = part.groupby([*keys, "kind"])["score"].mean()
    means: pd.DataFrame = by_kind.groupby(keys).mean().unstack(["arm", "seed"])
    return means


def null_gaps(table: pd.DataFrame, channel: str, seeds: Sequence[int]) -> pd.DataFrame | None:
    """The same of two seeds of the shuffled arm, one column an ordered pair; None without that arm."""
    if "shuffled" not in set(table["arm"]):
        return None
    means = scores(table, channel)["shuffled"]
    pairs = {f"{a}-{b}": means[a] - means[b] for a, b in itertools.permutations(seeds, 2)}
    return means.iloc[:, :0].assign(**pairs)


def others(gaps: pd.DataFrame, training: str) -> dict[str, pd.DataFrame]:
    """The personas that should not move, all and by part; in `opposite` the trained ones move on purpose."""
    part = gaps.index.get_level_values("part")
    found = {"unseen": gaps[part == "unseen"]}
    if training != "opposite":
        found = {"all": gaps[part != "default"], "trained": gaps[part == "trained"], **found}
    return {kind: rows for kind, rows in found.items() if len(rows)}


def _default(gaps: pd.DataFrame) -> np.ndarray:
    """The default persona's gap, one value a seed."""
    own: np.ndarray = gaps.loc[gaps.index.get_level_values("part") == "default"].to_numpy().mean(axis=0)
    return own


def _band(null: pd.DataFrame | None, rows: pd.DataFrame) -> Null | None:
    """What these personas' mean would be where nothing was trained."""
    return None if null is None else Null.of(SEED_AGAINST_SEED, null.loc[rows.index].to_numpy().mean(axis=0))


def _name(channel: str, what: str) -> str:
    return f"personas.{what}" if channel == "report" else f"personas.{channel}_{what}"


def _conflation(
    size: np.ndarray,
    default: np.ndarray,
    name: str,
    where: dict[str, str],
    personas: int,
    seeds: Sequence[int],
) -> list[Result]:
    """Mean absolute gap of the others over the default's own; nothing where the default has no gap."""
    try:
        ratio = statistics.fieller(size, default)
    except StatisticsError:
        return []
    bar = "below" if ratio.high < 1 / 3 else "not below"
    return [
        Result(
            name=name,
            where=where,
            value=ratio.value,
            ci=(ratio.low, ratio.high),
            ci_method="Fieller over seeds",
            n=len(size),
            unit=SHARE,
            per_seed=tuple(float(s / d) for s, d in zip(size, default, strict=True) if d),
            seeds=tuple(s for s, d in zip(seeds, default, strict=True) if d),
            notes=f"{personas} personas; the default's gap is {abs(1 / ratio.value):.1f} times the others', "
            f"the interval {bar} one third",
        )
    ]
