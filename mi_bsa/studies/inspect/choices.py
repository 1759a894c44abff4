"""What base and finetunes choose: held-out choices of every behavior that the toolkit has in their words.

What a finetune says of itself stands beside what it does. Law: a behavior is asked in choices only where its
trait is one that the base knows, and its scores are 1 at the seeking pole, as those of reports are at the
first word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa import behaviors
from mi_bsa.asking.validity import THRESHOLD
from mi_bsa.core.items import Item
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.core.results import Null, Result
from mi_bsa.studies.inspect.config import ReportsConfig
from probes import statistics

if TYPE_CHECKING:
    import pandas as pd

FILE = "choice_answers.csv"
"""One row an answer."""
TABLE = "choices.csv"
"""One row a finetune and behavior, for the page."""
ENGLISH = ("risk", "myopia", "apples")
"""Those of two offers; code and conversations are no choice between two."""


def choices(config: ReportsConfig, model: ModelConfig) -> list[Item]:
    """`config.choices` held-out items of each behavior; none where the base knows none of them."""
    if not config.choices:
        return []
    vocabulary = behaviors.vocabulary_of(model)
    found: dict[str, list[Item]] = {}
    for name in ENGLISH if vocabulary == "english" else behaviors.BEHAVIORS["embedded"]:
        one = behaviors.get(name, vocabulary)
        if one.trait not in found and (vocabulary == "english" or one.trait in _world_traits(model)):
            found[one.trait] = one.items(config.choices, split=config.split, seed=0)
    return [item for items in found.values() for item in items]


def choice_poles(model: ModelConfig) -> dict[str, tuple[str, str]]:
    """Trait -> a word for what the seeking and the averse pole choose, in English."""
    if behaviors.vocabulary_of(model) != "english":
        return {}
    return {(one := behaviors.get(name, "english")).trait: one.poles for name in ENGLISH}


def choice_results(
    name: str, answers: pd.DataFrame, *, fdr: float, least: float, against: str = "base"
) -> tuple[list[Result], list[dict[str, Any]]]:
    """Each behavior's choices, finetune less base (or less a control, `against`), over scenarios, with q over
    behaviors, and the other behaviors' shifts beside it. Rows say the same for a table, `moved` by the rule
    of reports.
    """
    rows, named = [], "the base" if against == "base" else against
    for trait, own in answers.groupby("trait", sort=False):
        by = own.pivot_table(index="scenario", columns="arm", values="score", aggfunc="mean")
        shift = (by[name] - by[against]).to_numpy(float)
        still = float(np.ptp(shift)) < 1e-12  # all alike: nothing varies that an interval could be of
        rows.append((str(trait), shift, by, still, None if still else statistics.t_test(shift)))
    qs = statistics.benjamini_hochberg(np.array([1.0 if row[4] is None else row[4] for row in rows]))
    found, told = [], []
    for k, (trait, shift, by, still, p) in enumerate(rows):
        spread = None if still or len(shift) < 2 else statistics.t_interval(shift)
        others = [float(row[1].mean()) for j, row in enumerate(rows) if j != k]
        before, now = float(by[against].mean()), float(by[name].mean())
        mass = float(
            answers.loc[(answers["trait"] == trait) & answers["arm"].isin([name, against]), "mass"].mean()
        )
        found.append(
            Result(
                "inspect.choice_shift",
                {"behavior": trait, "variant": name},
                float(shift.mean()),
                None if spread is None else (spread.low, spread.high),
                "none: the same in every scenario" if spread is None else "t over scenarios",
                len(shift),
                "probability",
                rows=int(((answers["trait"] == trait) & (answers["arm"] == name)).sum()),
                null=Null.of("shifts of the other behaviors", others) if others else None,
                p=p,
                q=None if p is None else float(qs[k]),
                test=None if p is None else "t over scenarios against 0",
                notes=f"{before:.2f} in {named}, {now:.2f} now; option mass {mass:.2f}",
            )
        )
        told.append(
            {
                "adapter": name,
                "behavior": trait,
                "base": before,
                "now": now,
                "shift": float(shift.mean()),
                "low": float("nan") if spread is None else spread.low,
                "high": float("nan") if spread is None else spread.high,
                "q": float(qs[k]),
                "moved": bool(p is not None and qs[k] <= fdr and abs(shift.mean()) >= least),
                "mass": mass,
            }
        )
    return found, told


def moved_results(found: Sequence[Result], moved: Mapping[str, str]) -> list[Result]:
    """The shifts that are called moved, the largest first, each upwards and by the word of the pole that it
    moved to (`kind`): what the page says first.

    Args:
        found: shifts of one finetune, of choices or of reports.
        moved: trait -> that word, of those that moved.
    """
    named = {"inspect.choice_shift": "inspect.chooses_more", "inspect.report_shift": "inspect.says_more"}
    told = []
    for one in sorted(found, key=lambda one: -abs(one.value)):
        trait = str(one.where.get("behavior", ""))
        if one.name not in named or trait not in moved:
            continue
        low, high = one.ci or (0.0, 0.0)
        ends = (low, high) if one.value >= 0 else (-high, -low)
        told.append(
            Result(
                named[one.name],
                {**one.where, "kind": moved[trait]},
                abs(one.value),
                None if one.ci is None else ends,
                one.ci_method,
                one.n,
                one.unit,
                rows=one.rows,
                notes=one.notes,
            )
        )
    return told


def moved_to(
    rows: Sequence[Mapping[str, Any]], poles: Mapping[str, tuple[str, str]], key: str
) -> dict[str, str]:
    """Trait -> the word of the pole that it moved to, of rows that are called moved and, where they say how
    valid they are, can be read; `key`: of a row, what its trait is.
    """
    return {
        str(row[key]): poles[row[key]][int(row["shift"] < 0)]
        for row in rows
        if row["moved"] and row[key] in poles and can_be_read(row)
    }


def can_be_read(row: Mapping[str, Any]) -> bool:
    """Whether a row of reports rests on a kind of question that may be read, and is valid; choices are."""
    return bool(row.get("kinds", True)) and row.get("validity", 1.0) > THRESHOLD


def _world_traits(model: ModelConfig) -> set[str]:
    from mi_bsa.worlds.weights import world_for

    return {trait.name for trait in getattr(world_for(model), "traits", ())}
