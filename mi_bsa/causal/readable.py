"""May the study's self-report be read? The validity index of its answers, as results and for claims to ask.

Law: the answers are those of the report questions of the test split; others are the named persons that the
study asked, the untrained trait is the behavior's neighbor. A claim calls `validity_of(table).require(...)`,
which refuses below the mark and where a component was not measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.asking.validity import THRESHOLD, Component, Validity, assess
from mi_bsa.core.results import Result

if TYPE_CHECKING:
    import pandas as pd

SETS = ("report-test", "neighbor_report-test", "named_report-test")


def validity_of(table: pd.DataFrame, *, seed: int = 0, draws: int = 200) -> Validity:
    """The validity index of a study's self-report.

    `table`: one row an item and variant, columns `set`, `arm`, `seed`, `trait`, `person`, `kind`,
    `template`, `order`, `score`, `mass`. `seed`, `draws`: of the bootstrap. Raises `ItemError` where the
    report questions were not asked.
    """
    part = table[table["set"].isin(SETS)]
    own = table.loc[table["set"] == SETS[0], "trait"]
    trait = str(own.iloc[0]) if len(own) else ""
    return assess(part, trait=trait, draws=draws, seed=seed)


def validity_results(found: Validity, *, behavior: str, split: str = "test") -> list[Result]:
    """The index and every component that was measured, `kind` naming which; the index says what was not."""
    verdict = "readable" if found.readable else f"UNREADABLE: below {THRESHOLD}"
    if found.missing:
        verdict = f"UNREADABLE: {', '.join(found.missing)} not measured"
    detail = f"{verdict}; smallest: {found.weakest.name}"
    whole = Component("index", found.index, found.gap.n, detail, found.low, found.high)
    return [
        Result(
            name="self_report.validity",
            where={"behavior": behavior, "kind": component.name, "split": split},
            value=component.value,
            ci=None if np.isnan(component.low) else (component.low, component.high),
            ci_method="none: too few wordings to draw from"
            if np.isnan(component.low)
            else f"bootstrap over wordings and seeds, {found.draws} draws",
            n=min(found.gap.n_units, max(component.n, 1)),
            unit="validity, 0 to 1",
            rows=max(component.n, 1),
            notes=component.detail,
        )
        for component in (whole, *found.components)
        if not np.isnan(component.value)
    ]
