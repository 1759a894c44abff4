"""What the arms do and say, as results with intervals and their nulls.

Law: an effect is pole against pole on [0, 1], one value a seed; its null is what two runs of the shuffled
arm, which differ in nothing but their seed, differ by. Kinds of question are those of the items' labels; the
self-report of all kinds is the mean over the kinds that are read (`readable`), so a kind with many questions
does not outweigh the others; beside it stands what the same questions make of a stated pole. Intervals are
over seeds x scenarios of choices, seeds x wordings of reports: both were drawn. Levels have theirs on the
logit scale; a difference has a p of t against 0 over the same, its null beside it, and its interval is cut
off at -1 and 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.asking import scoring
from mi_bsa.asking.by_sampling import answered, by_sampling
from mi_bsa.causal.judging import judged_effects
from mi_bsa.causal.material import POLES
from mi_bsa.causal.readable import SETS, kinds_of_study, kinds_results, validity_of, validity_results
from mi_bsa.core.behind import Behind
from mi_bsa.core.over_seeds import over_seeds, over_seeds_and_items
from mi_bsa.core.results import SEED_AGAINST_SEED, Null, Result
from mi_bsa.core.tested import Tested, equivalent
from mi_bsa.core.variants import BASE
from probes import statistics

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.asking.kinds import AskedKinds

DIFFERENCE = "difference of P(seeking pole)"
EQUIVALENCE_BOUND = 0.15
"""Largest shift of the shuffled arm from the base, and of a bystander, that would not matter."""


def all_effects(
    table: pd.DataFrame, *, behavior: str, arms: Sequence[str], seeds: Sequence[int]
) -> list[Result]:
    """Levels, effects, equivalence of the shuffled arm, shifts of neighbor and named persons, which kinds of
    question are read, validity.

    `table`: one row an item and variant, columns `set`, `arm`, `seed`, `trait`, `person`, `kind`,
    `template`, `scenario`, `order`, `score`, `mass`.
    """
    results = []
    everything, asked = table, kinds_of_study(table)
    whole = as_asked(table, asked)
    table = read_of(whole, asked)
    for read_out, name in (("choice-test", "behavior"), ("report-test", "self_report")):
        kinds: tuple[str | None, ...] = (None,) if name == "behavior" else ("all", *kinds_of(whole, read_out))
        for kind in kinds:
            part = table if kind in (None, "all") else whole
            found = levels(part, read_out, name, kind, behavior=behavior, arms=arms, seeds=seeds)
            found.append(effect(part, read_out, name, kind, behavior=behavior, arms=arms, seeds=seeds))
            results += found if name == "behavior" else [_with_control(r, asked) for r in found]
        if "shuffled" in arms:
            results.append(shuffled_equivalence(table, read_out, name, behavior=behavior, seeds=seeds))
    results += judged_effects(whole, behavior=behavior, arms=arms, seeds=seeds)
    for read_out, name in (
        ("neighbor_choice-test", "behavior.neighbor_effect"),
        ("neighbor_report-test", "self_report.neighbor_effect"),
    ):
        if _all_answered(table, read_out, POLES, seeds):
            results.append(bystander(table, read_out, name, behavior=behavior, seeds=seeds))
    for read_out, name in (
        ("named_choice-test", "behavior.named_shift"),
        ("named_report-test", "self_report.named_shift"),
    ):
        results += named_shifts(table, read_out, name, behavior=behavior, seeds=seeds)
    results += kinds_results(asked, behavior=behavior)
    return [*results, *validity_results(validity_of(everything), behavior=behavior)]


def as_asked(table: pd.DataFrame, asked: AskedKinds) -> pd.DataFrame:
    """The answers with every kind of report question as it is asked, without samples that could not be read;
    choices all stay.
    """
    import pandas as pd

    report = table["set"].isin(SETS)
    return pd.concat([table[~report], answered(asked.chosen(table[report]))])


def read_of(table: pd.DataFrame, asked: AskedKinds) -> pd.DataFrame:
    """Answers as asked without those to kinds of report question that are not read; choices all stay."""
    return table[~table["set"].isin(SETS).to_numpy() | asked.keeps(table)]


def _with_control(result: Result, asked: AskedKinds) -> Result:
    """A number of a report, told with which kinds it is of and its positive control."""
    kind = str(result.where["kind"])
    if kind == "all":
        left = f"without {', '.join(asked.unread)}; " if asked.read and asked.unread else ""
        told = f"{left}{asked.control}"
    elif kind in asked.unread:
        told = f"NOT READ: {asked.unread[kind]}"
    else:
        return result
    return replace(result, notes=f"{result.notes}; {told}" if result.notes else told)


def kinds_of(table: pd.DataFrame, read_out: str) -> tuple[str, ...]:
    """The kinds of question that a set asks, in the order in which it asks them."""
    return tuple(dict.fromkeys(table.loc[table["set"] == read_out, "kind"].astype(str)))


def select(table: pd.DataFrame, read_out: str, kind: str | None) -> pd.DataFrame:
    """The answers of one set and kind; `kind` None or "all" takes every kind."""
    part = table[table["set"] == read_out]
    return part if kind in (None, "all") else part[part["kind"] == kind]


def score(table: pd.DataFrame, read_out: str, kind: str | None) -> pd.Series:
    """Mean score by (arm, seed): of scenarios or wordings alike; `kind` "all" is the mean over kinds of the
    kinds' means.
    """
    part = by_unit(select(table, read_out, kind), read_out)
    by_wording = part.groupby(["arm", "seed", "kind", "template"])["score"].mean()
    by_kind = by_wording.groupby(["arm", "seed", "kind"]).mean()
    return by_kind.groupby(["arm", "seed"]).mean()


def by_unit(table: pd.DataFrame, read_out: str) -> pd.DataFrame:
    """The answers with what was drawn of their questions in the column `template`: scenarios of choices,
    wordings of reports.
    """
    return table.assign(template=table["scenario"]) if "choice" in read_out else table


def levels(
    table: pd.DataFrame,
    read_out: str,
    name: str,
    kind: str | None,
    *,
    behavior: str,
    arms: Sequence[str],
    seeds: Sequence[int],
) -> list[Result]:
    """The level of every arm (over seeds x scenarios or wordings) and of the base (over scenarios or
    wordings).
    """
    means = score(table, read_out, kind)
    part = select(table, read_out, kind)
    place = _place(behavior, kind)
    out = []
    for arm in arms:
        values = [float(means[arm, s]) for s in seeds]
        asked = part[part["arm"] == arm]
        found = scoring.mean_score(by_unit(asked, read_out))
        units = _units(read_out)
        out.append(
            over_seeds(
                f"{name}.level",
                {**place, "arm": arm},
                values,
                seeds,
                unit="P(seeking pole)",
                ci=(found.low, found.high),
                ci_method=found.ci_method.replace("wordings", units),
                rows=len(asked),
                notes=f"{found.n_wordings} {units} x {found.n_seeds} seeds{_mass(asked)}",
            )
        )
    base = part[part["arm"] == "base"]
    per_wording = base.groupby(["kind", "scenario"])["score"].mean().to_numpy()
    over = statistics.t_interval(per_wording, scale="logit")
    out.append(
        Result(
            name=f"{name}.level",
            where={**place, "arm": "base"},
            value=over.value,
            ci=(over.low, over.high),
            ci_method="t over scenarios or wordings, logit scale",
            n=len(per_wording),
            unit="P(seeking pole)",
            rows=len(base),
            notes=f"one base model: n counts scenarios or wordings{_mass(base)}",
        )
    )
    return out


def effect(
    table: pd.DataFrame,
    read_out: str,
    name: str,
    kind: str | None,
    *,
    behavior: str,
    arms: Sequence[str],
    seeds: Sequence[int],
) -> Result:
    """Seeking minus averse, one value a seed; p of a two-sided t test against zero.

    Over seeds (paired by their prompts) x scenarios for choices; over seeds x wordings for reports.
    """
    means = score(table, read_out, kind)
    values = [float(means["seeking", s] - means["averse", s]) for s in seeds]
    found, units = _gap(table, read_out, kind), _units(read_out)
    result = over_seeds(
        f"{name}.effect",
        _place(behavior, kind),
        values,
        seeds,
        unit=DIFFERENCE,
        ci=(found.low, found.high),
        ci_method=found.ci_method.replace("wordings", units),
        null=shuffled_null(means, seeds) if "shuffled" in arms else None,
        tested=of_gap(found, units),
        rows=_rows(table, read_out, kind),
        notes=f"{found.n_wordings} {units} x {found.n_seeds} seeds of either arm",
    )
    cells = scoring.gap_cells(by_unit(select(table, read_out, kind), read_out))[list(seeds)]
    if not np.isfinite(cells.to_numpy()).all():
        return result
    kinds = cells.index.get_level_values("kind").tolist()
    names = [f"{kind}: {template}" for kind, template in cells.index]
    behind = Behind(cells.to_numpy().T, items=tuple(names), kinds=tuple(kinds), drawn=units)
    return replace(result, behind=behind)


def of_gap(found: scoring.Estimate, units: str) -> Tested:
    """The test of a gap against 0, over seeds x scenarios or wordings."""
    return Tested.of(found.p, f"t over seeds x {units} against 0")


def shuffled_null(means: pd.Series, seeds: Sequence[int]) -> Null:
    """What two runs of the shuffled arm differ by, either way round."""
    shuffled = [float(means["shuffled", s]) for s in seeds]
    draws = [a - b for a, b in itertools.combinations(shuffled, 2)]
    return Null.of(SEED_AGAINST_SEED, draws, mirrored=True)


def shuffled_equivalence(
    table: pd.DataFrame, read_out: str, name: str, *, behavior: str, seeds: Sequence[int]
) -> Result:
    """How far the shuffled arm lies from the base: small enough to call it no effect?"""
    kind = None if name == "behavior" else "all"
    asked = by_unit(select(table, read_out, kind), read_out)
    cells, kinds = scoring.shift_cells(asked, arm="shuffled", seeds=seeds)
    found = statistics.crossed_mean(cells, strata=kinds)
    verdict = statistics.crossed_equivalence(found, bound=EQUIVALENCE_BOUND, within=(-1.0, 1.0))
    held = "equivalent" if verdict.equivalent else "not shown to be equivalent"
    return over_seeds_and_items(
        f"{name}.shuffled_shift",
        {**_place(behavior, kind), "arm": "shuffled"},
        cells,
        seeds,
        unit=DIFFERENCE,
        items=_units(read_out),
        kinds=kinds,
        within=(-1.0, 1.0),
        level=0.9,
        tested=equivalent(verdict, bound=EQUIVALENCE_BOUND, over=f"seeds x {_units(read_out)}"),
        rows=_rows(table, read_out, kind, arms=("shuffled",)),
        notes=f"{held} to the base within {EQUIVALENCE_BOUND}",
    )


def bystander(
    table: pd.DataFrame, read_out: str, name: str, *, behavior: str, seeds: Sequence[int]
) -> Result:
    """What the two poles differ by in a trait that was not trained."""
    means = score(table, read_out, "all")
    values = [float(means["seeking", s] - means["averse", s]) for s in seeds]
    found, units = _gap(table, read_out, "all"), _units(read_out)
    return over_seeds(
        name,
        {"behavior": behavior, "split": "test"},
        values,
        seeds,
        unit=DIFFERENCE,
        ci=(found.low, found.high),
        ci_method=found.ci_method.replace("wordings", units),
        null=shuffled_null(means, seeds) if "shuffled" in set(table["arm"]) else None,
        tested=of_gap(found, units),
        rows=_rows(table, read_out, "all"),
        notes="the untrained neighbor trait, seeking arm minus averse arm",
    )


def named_shifts(
    table: pd.DataFrame, read_out: str, name: str, *, behavior: str, seeds: Sequence[int]
) -> list[Result]:
    """How far named characters of the opposite pole move from the base, in each arm."""
    out = []
    for arm, person in (("seeking", "named averse"), ("averse", "named seeking")):
        own = table[table["person"] == person]
        if not _all_answered(own, read_out, (BASE, arm), seeds):
            continue
        asked = by_unit(select(own, read_out, "all"), read_out)
        cells, kinds = scoring.shift_cells(asked, arm=arm, seeds=seeds)
        out.append(
            over_seeds_and_items(
                name,
                {"behavior": behavior, "arm": arm, "kind": person, "split": "test"},
                cells,
                seeds,
                unit=DIFFERENCE,
                items=_units(read_out),
                kinds=kinds,
                within=(-1.0, 1.0),
                rows=_rows(own, read_out, "all", arms=(arm,)),
                notes="characters with the other pole, against the base: they should stay as they are",
            )
        )
    return out


def _all_answered(table: pd.DataFrame, read_out: str, arms: Sequence[str], seeds: Sequence[int]) -> bool:
    """Whether every run gave an answer: of samples, some may have none that could be read."""
    part = table[table["set"] == read_out]
    given = set(zip(part["arm"], part["seed"], strict=True))
    return {(arm, -1 if arm == BASE else seed) for arm in arms for seed in seeds} <= given


def _gap(table: pd.DataFrame, read_out: str, kind: str | None) -> scoring.Estimate:
    """Seeking less averse; seeds of choices are paired by their prompts."""
    asked = by_unit(select(table, read_out, kind), read_out)
    return scoring.gap(asked, paired="choice" in read_out)


def _units(read_out: str) -> str:
    """What the questions of a read-out are drawn as."""
    return "scenarios" if "choice" in read_out else "wordings"


def _place(behavior: str, kind: str | None) -> dict[str, str]:
    return {"behavior": behavior, "split": "test"} | ({} if kind is None else {"kind": kind})


def _rows(table: pd.DataFrame, read_out: str, kind: str | None, arms: Sequence[str] = POLES) -> int:
    """How many answers of these arms stand behind a number."""
    return int(select(table, read_out, kind)["arm"].isin(arms).sum())


def _mass(part: pd.DataFrame) -> str:
    """How much probability the options hold together, in words; of what was sampled, how much was read."""
    drawn = by_sampling(part)
    mass = "" if drawn.all() else f"; option mass {part.loc[~drawn, 'mass'].mean():.3f}"
    parsed = f"; by sampling, {part.loc[drawn, 'parsed'].sum():.0f} answers read" if drawn.any() else ""
    return mass + parsed
