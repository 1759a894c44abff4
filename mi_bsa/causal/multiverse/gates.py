"""The gate of the verdicts without one wording of the report.

Law: which kinds of question are read stays as the study has it: a kind that has one wording more than it
needs would otherwise fall with each of them. The effect of the report and the validity index, with their
intervals, are computed anew from the other wordings' answers, wherever the wording was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mi_bsa.asking import scoring
from mi_bsa.asking.by_sampling import answered
from mi_bsa.asking.components import wording_name
from mi_bsa.asking.validity import assess
from mi_bsa.causal.effects import as_asked, effect, read_of
from mi_bsa.causal.material import POLES
from mi_bsa.causal.readable import SETS, kinds_of_study, kinds_results, validity_of, validity_results
from mi_bsa.core.results import Result

if TYPE_CHECKING:
    import pandas as pd

DRAWS = 60
"""Of the bootstrap behind the validity index without one wording."""


def own_gate(table: pd.DataFrame, *, behavior: str, seeds: Sequence[int]) -> list[Result]:
    """What the gate reads, of all wordings."""
    asked = kinds_of_study(table)
    kept = read_of(as_asked(table, asked), asked)
    both = [
        effect(kept, "choice-test", "behavior", None, behavior=behavior, arms=POLES, seeds=seeds),
        effect(kept, "report-test", "self_report", "all", behavior=behavior, arms=POLES, seeds=seeds),
    ]
    found = validity_results(validity_of(table), behavior=behavior)
    return [*both, *kinds_results(asked, behavior=behavior), *found]


def gates(table: pd.DataFrame, results: Sequence[Result]) -> dict[str, list[Result]]:
    """Each wording of the report questions, by its name in read-outs -> the report's effect and the validity
    index without it.

    Args:
        table: what base and adapters answered.
        results: of the study; what changes without a wording takes the place of these.
    """
    asked = kinds_of_study(table)
    part = asked.chosen(table[table["set"].isin(SETS)])
    pairs = zip(part["kind"].astype(str), part["template"].astype(str), strict=True)
    part = part.assign(wording=[wording_name(*pair) for pair in pairs])
    reports = part[part["set"] == SETS[0]]
    trait = str(reports["trait"].iloc[0])
    units = {str(name): set(own["wording"]) for name, own in reports.groupby("scenario", sort=True)}
    whole = next((r for r in results if _is(r, "self_report.effect", "all")), None)
    index = next((r for r in results if _is(r, "self_report.validity", "index")), None)
    read = part[asked.keeps(part)]
    counted = set(read.loc[read["set"] == SETS[0], "wording"])
    found: dict[str, list[Result]] = {}
    for name, wordings in units.items():
        found[name] = []
        if not wordings & counted:
            continue
        left = read[~read["wording"].isin(wordings)]
        if whole is not None and whole.ci is not None:
            gap = scoring.gap(answered(left[left["set"] == SETS[0]]))
            found[name].append(replace(whole, value=gap.value, ci=(gap.low, gap.high)))
        if index is not None and index.ci is not None:
            left_out = list(asked.unread)
            validity = assess(left, trait=trait, unread=left_out, draws=DRAWS, leave_out=False)
            found[name].append(replace(index, value=validity.index, ci=(validity.low, validity.high)))
    return found


def _is(result: Result, name: str, kind: str) -> bool:
    return result.name == name and result.where.get("kind") == kind
