"""May the study's self-report be read? Which kinds of question, and the validity index of their answers.

Law: the answers are those of the report questions of the test split; others are the named persons that the
study asked, the untrained trait is the behavior's neighbor, stated poles are those of the base's described
personas. Which kinds are read depends on wordings, on option mass and on stated poles, never on what
finetuned models answer; kinds whose options hold too little were asked by sampling
(`mi_bsa.causal.sampled`). A claim calls `validity_of(table).require(...)`, which refuses below the mark and
where a component was not measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.asking.kinds import AskedKinds, asked_kinds
from mi_bsa.asking.scoring import Estimate
from mi_bsa.asking.validity import THRESHOLD, Component, Validity, assess
from mi_bsa.causal.gate import BARS, UNMEASURED
from mi_bsa.core.results import Place, Result

if TYPE_CHECKING:
    import pandas as pd

SETS = ("report-test", "neighbor_report-test", "named_report-test")
DESCRIBED = "described_report-test"


def kinds_of_study(table: pd.DataFrame) -> AskedKinds:
    """Which kinds of the report questions are read.

    `table`: as `validity_of` takes it, with the base's answers to the set `described_report-test` where poles
    were stated, and with what was sampled where something was. Raises `ItemError` where the report questions
    were not asked.
    """
    described = table[(table["set"] == DESCRIBED) & (table["arm"] == "base")]
    return asked_kinds(table[table["set"] == SETS[0]], described, bars=BARS)


def validity_of(table: pd.DataFrame, *, seed: int = 0, draws: int = 200) -> Validity:
    """The validity index of a study's self-report, of the kinds that are read.

    `table`: one row an item and variant, columns `set`, `arm`, `seed`, `trait`, `person`, `kind`,
    `template`, `order`, `score`, `mass`. `seed`, `draws`: of the bootstrap. Raises `ItemError` where the
    report questions were not asked.
    """
    part = table[table["set"].isin(SETS)]
    own = table.loc[table["set"] == SETS[0], "trait"]
    trait = str(own.iloc[0]) if len(own) else ""
    asked = kinds_of_study(table)
    return assess(asked.kept(part), trait=trait, unread=list(asked.unread), draws=draws, seed=seed)


def validity_results(found: Validity, *, behavior: str, split: str = "test") -> list[Result]:
    """The index and every component that was measured, `kind` naming which; the index says what was not, and
    beside it stands what it would be without one wording.
    """
    verdict = {
        "readable": "readable",
        "unreadable": f"UNREADABLE: below {THRESHOLD}",
        "open": f"OPEN: its interval holds {THRESHOLD}",
    }[found.state]
    if found.missing:
        verdict = f"UNREADABLE: {', '.join(found.missing)} not measured"
    left_out = found.leaving_one_out and f"; {found.leaving_one_out}"
    detail = f"{verdict}; smallest: {found.weakest.name}{left_out}"
    whole = Component("index", found.index, found.gap.n, detail, found.low, found.high)
    measured = [
        Result(
            name="self_report.validity",
            where={"behavior": behavior, "kind": component.name, "split": split},
            value=component.value,
            ci=None if np.isnan(component.low) else (component.low, component.high),
            ci_method="none: too few wordings to draw from"
            if np.isnan(component.low)
            else f"expanded percentiles of a bootstrap over wordings and seeds, {found.draws} draws",
            n=min(found.gap.n_units, max(component.n, 1)),
            unit="validity, 0 to 1",
            rows=max(component.n, 1),
            notes=component.detail,
        )
        for component in (whole, *found.components)
        if not np.isnan(component.value)
    ]
    return [*measured, *_without(found, behavior=behavior, split=split)]


def _without(found: Validity, *, behavior: str, split: str) -> list[Result]:
    """The least and the greatest index that leaving one wording out gives, and which wording that is."""
    if not found.without:
        return []
    ends = {which: pick(found.without, key=found.without.__getitem__) for which, pick in _ENDS.items()}
    return [
        Result(
            name="self_report.validity_without",
            where={"behavior": behavior, "kind": which, "split": split},
            value=found.without[wording],
            ci=None,
            ci_method="none: the index of one choice of wordings",
            n=len(found.without) - 1,
            unit="validity, 0 to 1",
            notes=f"without {wording}, against {found.index:.2f} with all; {found.leaving_one_out}",
        )
        for which, wording in ends.items()
    ]


_ENDS = {"least": min, "greatest": max}


def kinds_results(found: AskedKinds, *, behavior: str, split: str = "test") -> list[Result]:
    """Option mass (of what was sampled, parse rate) a kind and arm, sensitivity a kind (`all`: of those that
    are read), how many are read.
    """
    place: dict[str, Place] = {"behavior": behavior, "split": split}
    out = []
    for one in found.each:
        at = {**place, "kind": one.kind}
        left = found.unread.get(one.kind, "")
        notes = f"NOT READ: {left}" if left else "read"
        notes = f"{one.how}; {notes}" if one.parsed else notes
        for arm, mass in one.mass.items():
            what = "self_report.option_mass"
            out.append(_measured(what, {**at, "arm": arm}, mass, "probability", f"bar {BARS.mass}; {notes}"))
        for arm, rate in one.parsed.items():
            what = "self_report.parse_rate"
            unit = "share of samples parsed"
            out.append(_measured(what, {**at, "arm": arm}, rate, unit, f"bar {BARS.parses}; {notes}"))
        if one.sensitivity is not None:
            out.append(_sensitivity(at, one.sensitivity, notes))
    if found.sensitivity is not None:
        out.append(_sensitivity({**place, "kind": "all"}, found.sensitivity, str(found)))
    said = str(found)
    if not found.stated:
        said = f"{said}; whether they see a stated pole was {UNMEASURED}"
    elif not found.read and found.blind:
        said = f"all are blind: {said}"
    count = Result(
        name="self_report.kinds_read",
        where=place,
        value=len(found.read),
        ci=None,
        ci_method="none: a count",
        n=len(found.each),
        unit="kinds of question",
        notes=said,
    )
    return [*out, count]


def _sensitivity(where: dict[str, Place], found: Estimate, notes: str) -> Result:
    unit = "difference of P(seeking pole)"
    return _measured("self_report.sensitivity", where, found, unit, f"bar {BARS.sees}; {notes}")


def _measured(name: str, where: dict[str, Place], found: Estimate, unit: str, notes: str) -> Result:
    """An estimate over wordings, and over seeds where there are several."""
    return found.result(name, where, unit=unit, notes=notes)
