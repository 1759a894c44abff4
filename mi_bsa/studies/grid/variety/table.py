"""The table of many behaviors, and what holds over all of them.

Law: names are those of a behavior study with `variety.` in front. The unit over behaviors is the behavior:
one value each (the mean over its seeds), and the interval says what another of the family would give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.core.results import Null, Result
from probes import statistics

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "effect": "variety.behavior.effect",
    "gap": "variety.self_report.effect",
    "shuffled": "variety.self_report.shuffled_shift",
    "neighbor": "variety.self_report.neighbor_effect",
    "validity": "variety.self_report.validity",
    "transfer": "variety.bridge.transfer.chosen",
}
"""Column of the table -> result of a behavior."""
WHOLE = ("all", "index", "self_report")
"""Kinds that stand for all questions, all components, and the transfer to reports."""


def of_behavior(found: Sequence[Result]) -> list[Result]:
    """A behavior study's results as results of this study; levels and validity by kind are left out."""
    return [
        replace(r, name=f"variety.{r.name}", where=dict(r.where))
        for r in found
        if not r.name.endswith((".level", ".validity")) or r.where.get("kind", "all") in WHOLE
    ]


def over_behaviors(found: Sequence[Result], names: Sequence[str]) -> list[Result]:
    """Means over behaviors with t intervals, and the share of behaviors whose report moves."""
    from scipy.stats import binomtest

    out = []
    for column, source in COLUMNS.items():
        each = [_of(found, source, behavior) for behavior in names]
        measured = [r for r in each if r is not None]
        if len(measured) < 2:
            continue
        estimate = statistics.t_interval([float(r.value) for r in measured])
        nulls = [r.null for r in measured if r.null is not None]
        out.append(
            Result(
                name=f"variety.mean.{column}",
                where={"split": "test"},
                value=estimate.value,
                ci=(estimate.low, estimate.high),
                ci_method="t over behaviors",
                n=len(measured),
                unit=measured[0].unit,
                null=_mean_null(nulls),
                notes=f"smallest {min(r.value for r in measured):.2f}, "
                f"largest {max(r.value for r in measured):.2f}",
            )
        )
    reports = [r for b in names if (r := _of(found, COLUMNS["gap"], b)) is not None and r.ci is not None]
    moved = sum(r.ci is not None and r.ci[0] > 0 for r in reports)
    share = binomtest(moved, len(reports)).proportion_ci(method="wilson")
    out.append(
        Result(
            name="variety.share_reported",
            where={"split": "test"},
            value=moved / len(reports),
            ci=(float(share.low), float(share.high)),
            ci_method="Wilson over behaviors",
            n=len(reports),
            unit="share of behaviors",
            notes="behaviors whose self-report gap lies beyond zero with its whole interval",
        )
    )
    return out


def table(found: Sequence[Result], names: Sequence[str]) -> pd.DataFrame:
    """One row a behavior: effects with intervals and nulls, what stayed, validity, transfer."""
    import pandas as pd

    rows = []
    for name in names:
        levels = {
            (r.name, r.where.get("arm")): r.value
            for r in found
            if r.name.endswith(".level")
            and r.where.get("behavior") == name
            and r.where.get("kind", "all") == "all"
        }
        row: dict[str, object] = {"behavior": name}
        for what in ("behavior", "self_report"):
            for arm in ("seeking", "averse"):
                row[f"{what} {arm}"] = levels[f"variety.{what}.level", arm]
        for column, source in COLUMNS.items():
            result = _of(found, source, name)
            if result is None:
                continue
            row[column] = result.value
            row |= (
                {} if result.ci is None else {f"{column} low": result.ci[0], f"{column} high": result.ci[1]}
            )
            if result.null is not None:
                row |= {f"{column} null low": result.null.low, f"{column} null high": result.null.high}
            if column == "gap":
                row |= {"seeds": len(result.seeds), "q": result.q}
        rows.append(row)
    return pd.DataFrame(rows)


def to_markdown(rows: pd.DataFrame) -> str:
    """The table for people."""
    head = ["behavior", "choices: seeking / averse", "effect", "report: seeking / averse", "gap [95 %]"]
    head += ["null of the gap", "shuffled - base", "neighbor", "validity", "transfer AUROC"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows.to_dict("records"):
        cells = [
            str(row["behavior"]).replace("_", " / "),
            f"{row['behavior seeking']:.2f} / {row['behavior averse']:.2f}",
            _with_interval(row, "effect"),
            f"{row['self_report seeking']:.2f} / {row['self_report averse']:.2f}",
            _with_interval(row, "gap"),
            f"[{row['gap null low']:+.2f}, {row['gap null high']:+.2f}]",
            f"{row['shuffled']:+.2f}",
            f"{row['neighbor']:+.2f}",
            f"{row['validity']:.2f}",
            _with_interval(row, "transfer") if "transfer" in row else "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _with_interval(row: Mapping[Any, Any], column: str) -> str:
    return f"{row[column]:.2f} [{row[f'{column} low']:.2f}, {row[f'{column} high']:.2f}]"


def _of(found: Sequence[Result], name: str, behavior: str) -> Result | None:
    """A behavior's one result of that name, over all kinds of question."""
    for r in found:
        if (r.name, r.where.get("behavior")) == (name, behavior) and r.where.get("kind", "all") in WHOLE:
            return r
    return None


def _mean_null(nulls: Sequence[Null]) -> Null | None:
    if not nulls:
        return None
    low, mean, high = (float(np.mean([getattr(n, end) for n in nulls])) for end in ("low", "mean", "high"))
    return Null(f"{nulls[0].kind}, mean over behaviors", sum(n.n for n in nulls), mean, low, high)
