"""Results by size: what every size does and says against its number of parameters, and the trend over sizes.

Law: names are those of a behavior study with `size.` in front, the place `variant` is the number of
parameters. A trend is a slope over log10 of the parameters, one a seed of the adapters; with one base a size
it says nothing about another pretraining, and its notes say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.causal.effects import all_effects
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.behaviors import Arm

TRENDS = ("size.behavior.effect", "size.self_report.effect")


def of_size(
    asked: pd.DataFrame, *, parameters: int, behavior: str, arms: Sequence[Arm], seeds: Sequence[int]
) -> list[Result]:
    """All results of one size: those of a behavior study, and what its base knows of persons it read about.

    `asked`: one row an item and variant, with `set`, `variant`, `arm`, `seed` and the items' labels.
    """
    found = all_effects(asked, behavior=behavior, arms=arms, seeds=seeds)
    found += base_knows(asked, behavior=behavior)
    return [replace(r, name=f"size.{r.name}", where={**r.where, "variant": parameters}) for r in found]


def base_knows(asked: pd.DataFrame, *, behavior: str) -> list[Result]:
    """Named and described persons of either pole, as the base answers before any finetune: seeking minus
    averse, an interval over scenarios or wordings.
    """
    from scipy import stats

    base = asked[asked["variant"] == "base"]
    out = []
    for what, kind in (
        ("named_choice-test", "named choices"),
        ("named_report-test", "named reports"),
        ("described_report-test", "described reports"),
    ):
        part = base[base["set"] == what]
        if part.empty:
            continue
        means = part.groupby(["person", "kind", "scenario"])["score"].mean()
        poles = [means[means.index.get_level_values(0).str.endswith(p)] for p in ("seeking", "averse")]
        test = stats.ttest_ind(*(p.to_numpy() for p in poles), equal_var=False)
        low, high = test.confidence_interval(0.95)
        out.append(
            Result(
                name="base.gap",
                where={"behavior": behavior, "kind": kind, "split": "test"},
                value=float(poles[0].mean() - poles[1].mean()),
                ci=(float(low), float(high)),
                ci_method="Welch t over scenarios or wordings",
                n=min(map(len, poles)),
                unit="difference of P(seeking pole)",
                notes="what the base knows before any finetune: persons of either pole apart",
            )
        )
    return out


def trends(found: Sequence[Result]) -> list[Result]:
    """The slope of behavior and of self-report over log10 parameters: t over adapter seeds."""
    out = []
    for name in TRENDS:
        each = sorted(
            (r for r in found if r.name == name and r.where.get("kind", "all") == "all"),
            key=lambda r: float(r.where["variant"]),
        )
        x = np.log10([float(r.where["variant"]) for r in each])
        y = np.array([r.per_seed for r in each])
        slopes = np.polyfit(x, y, 1)[0]
        out.append(
            over_seeds(
                f"{name.removesuffix('.effect')}.slope",
                {"behavior": each[0].where["behavior"], "split": "test"},
                slopes,
                each[0].seeds,
                unit="difference of P(seeking pole), by a factor of ten in parameters",
                ci_method="t over adapter seeds",
                chance=0.0,
                notes=f"{len(each)} sizes, one base each: the interval is of the adapters, not of another "
                "pretraining",
            )
        )
    return out


def table(found: Sequence[Result]) -> str:
    """The table for people: a row a size."""
    head = ["parameters", "base: named choices", "choices: seeking / averse", "effect [95 %]"]
    head += ["report: seeking / averse", "gap [95 %]", "null of the gap", "shuffled - base", "neighbor"]
    head += ["validity [95 %]"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for size in sorted({r.where["variant"] for r in found if "variant" in r.where}, key=float):
        own = {
            (r.name.removeprefix("size."), r.where.get("arm"), r.where.get("kind", "all")): r
            for r in found
            if r.where.get("variant") == size
        }

        def shown(name: str, kind: str = "all", own: dict[object, Result] = own) -> str:  # type: ignore[assignment]
            r = own[name, None, kind]
            return f"{r.value:+.2f}" + ("" if r.ci is None else f" [{r.ci[0]:.2f}, {r.ci[1]:.2f}]")

        levels = [
            f"{own[f'{what}.level', 'seeking', 'all'].value:.2f} / "
            f"{own[f'{what}.level', 'averse', 'all'].value:.2f}"
            for what in ("behavior", "self_report")
        ]
        null = own["self_report.effect", None, "all"].null
        assert null is not None
        lines.append(
            f"| {size:,} | {shown('base.gap', 'named choices')} | {levels[0]} | {shown('behavior.effect')} | "
            f"{levels[1]} | {shown('self_report.effect')} | [{null.low:+.2f}, {null.high:+.2f}] | "
            f"{own['self_report.shuffled_shift', 'shuffled', 'all'].value:+.2f} | "
            f"{shown('self_report.neighbor_effect')} | {shown('self_report.validity', 'index')} |"
        )
    return "\n".join(lines) + "\n"
