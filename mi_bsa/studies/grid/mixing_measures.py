"""What rows mixed in leave of choices and report, at every place, over bases and over behaviors.

Law: a share is of plain training on the same base, paired by seed (Fieller over seeds). What a condition does
is held against two rivals: that it is merely less training (`report_less_shorter`, against a shorter plain
run at equal strength of choices, interpolated seed by seed), and that any company would do it
(`report_less_benign`). Over bases the unit is a base and over behaviors a behavior, whose bases are averaged
first: one value each, Student's t over them. `pressure` is read on rows that no run was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.causal.effects import effect
from mi_bsa.causal.ratios import share
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Result
from mi_bsa.core.tested import UNTESTED, among, by_t
from mi_bsa.core.variants import POLES
from mi_bsa.studies.grid.mixing_rows import PLAIN, Condition
from probes import statistics

if TYPE_CHECKING:
    import pandas as pd

UNIT = "share of plain's"
APART = f"difference of {UNIT}"
ODDS = "difference of log odds"
DRAWS = 999
LEAST = 1e-6
"""A probability is taken to lie so far from 0 and 1 at least, so that its log odds are finite."""
MEANS = {
    "choices_share": UNIT,
    "report_share": UNIT,
    "report_less_choices": APART,
    "report_less_shorter": APART,
    "report_less_benign": APART,
    "state_share": UNIT,
    "vector_choices": UNIT,
    "vector_report": UNIT,
    "choices_without": "share kept",
    "report_without": "share kept",
    "choices_given": UNIT,
    "report_given": UNIT,
    "dose_slope": f"{UNIT} by a doubling of the dose",
    "pressure": "nats",
}
"""What is told over bases and behaviors, and its unit."""
STATES = {"choices": "choices_without", "report": "report_without"}


@dataclass(frozen=True)
class Gaps:
    """One condition of one place, by seed.

    Attributes:
        choices, report: seeking less averse.
        odds: the same of the choices' mean log odds, which do not saturate.
    """

    choices: Float[np.ndarray, " seed"]
    report: Float[np.ndarray, " seed"]
    odds: Float[np.ndarray, " seed"]


def measures(
    asked: Mapping[str, pd.DataFrame],
    states: Mapping[str, Mapping[str, Any]],
    *,
    seeds: Sequence[int],
    split: str,
    dose: float,
) -> list[Result]:
    """All results.

    Args:
        asked: answers by `behavior/base/condition`, with columns set, arm, seed, kind, template, scenario,
            score.
        states: as `mixing_state.load` reads them, by `behavior/base`.
        seeds, split, dose: of the study.
    """
    found: list[Result] = []
    gaps: dict[tuple[str, str], dict[str, Gaps]] = {}
    for name, table in asked.items():
        behavior, base, condition = name.split("/")
        where = {"behavior": behavior, "base": base, "method": condition, "split": split}
        told, own = _effects(table, where, seeds)
        found += [*told, *_pressure(table, where, seeds, dose)]
        gaps.setdefault((behavior, base), {})[condition] = own
    for (behavior, base), by_condition in gaps.items():
        where = {"behavior": behavior, "base": base, "split": split}
        found += _of_place(by_condition, where, seeds, Condition("benign", dose).name)
        if f"{behavior}/{base}" in states:
            found += _of_state(states[f"{behavior}/{base}"], where, seeds)
    return [*_over(found, split), *_by_pressure(found, split), *found]


def _effects(table: pd.DataFrame, where: dict[str, str], seeds: Sequence[int]) -> tuple[list[Result], Gaps]:
    found = []
    arms = tuple(dict.fromkeys(table["arm"]))
    for key, kind in (("choice", None), ("report", "all")):
        name = {"choice": "mixing.choices", "report": "mixing.report"}[key]
        one = effect(table, key, "mixing", kind, behavior=where["behavior"], arms=arms, seeds=seeds)
        found.append(replace(one, name=name, where=where))
    choices = table[table["set"] == "choice"]
    score = choices["score"].clip(LEAST, 1 - LEAST)
    odds = choices.assign(odds=np.log(score / (1 - score))).groupby(["arm", "seed"])["odds"].mean()
    apart = np.array([odds[POLES[0], s] - odds[POLES[1], s] for s in seeds])
    found.append(over_seeds("mixing.choice_odds", where, apart, seeds, unit=ODDS))
    return found, Gaps(*(np.array(r.per_seed) for r in found))


def _pressure(table: pd.DataFrame, where: dict[str, str], seeds: Sequence[int], dose: float) -> list[Result]:
    """By company: how much worse than the base runs of a condition answer its rows, mean over poles."""
    found = []
    for key in (one for one in table["set"].unique() if one.startswith("row-")):
        rows = table[table["set"] == key]
        loss = (
            rows.assign(loss=-np.log(rows["score"].clip(LEAST, 1.0))).groupby(["arm", "seed"])["loss"].mean()
        )
        apart = [float(np.mean([loss[arm, s] for arm in POLES]) - loss["base", -1]) for s in seeds]
        company = Condition.parse(f"{key.removeprefix('row-')}-{dose:g}").name
        here = {**where, "method": company, "kind": f"trained {where['method']}"}
        notes = f"the base's own loss {loss['base', -1]:.3f}"
        found.append(
            over_seeds(
                "mixing.pressure", here, apart, seeds, unit="nats", chance=0.0, rows=len(rows), notes=notes
            )
        )
    return found


def _by_pressure(found: Sequence[Result], split: str) -> list[Result]:
    """Rank correlation, over places x companies, of what company's rows cost plain runs and what is left of
    the report; its null shuffles companies within each place.
    """
    from scipy.stats import spearmanr

    told = {
        (name, str(r.where["behavior"]), str(r.where["base"]), str(r.where["method"])): float(r.value)
        for name in ("pressure", "report_share")
        for r in found
        if r.name == f"mixing.{name}" and r.where.get("kind", "trained plain") == "trained plain"
    }
    cells: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for (name, behavior, base, company), value in told.items():
        share_of = told.get(("report_share", behavior, base, company))
        if name == "pressure" and share_of is not None:
            cells.setdefault((behavior, base), []).append((value, share_of))
    several = [np.array(pairs).T for pairs in cells.values() if len(pairs) > 2]
    if len(several) < 2:
        return []
    x, y = np.concatenate([p[0] for p in several]), np.concatenate([p[1] for p in several])
    rng = np.random.default_rng(0)
    draws = [
        spearmanr(np.concatenate([rng.permutation(p[0]) for p in several]), y).statistic for _ in range(DRAWS)
    ]
    tested = among(
        float(spearmanr(x, y).statistic), draws, "companies shuffled within places", alternative="less"
    )
    return [
        Result(
            "mixing.by_pressure",
            {"split": split},
            float(spearmanr(x, y).statistic),
            None,
            "none: places share bases and behaviors",
            len(several),
            "Spearman r",
            rows=len(x),
            p=tested.p,
            test=tested.test,
            null=tested.null,
            p_floor=tested.floor,
            notes=f"{len(x)} conditions of {len(several)} places",
        )
    ]


def _of_place(
    gaps: Mapping[str, Gaps], where: Mapping[str, str], seeds: Sequence[int], benign: str
) -> list[Result]:
    """Shares of plain's, and differences of them; and how the report falls with the dose."""
    plain = gaps[PLAIN]
    whole = float(plain.report.mean())
    shorter = sorted(
        (one for one in gaps if one.startswith(f"{PLAIN}-")), key=lambda n: Condition.parse(n).share
    )
    curve = [gaps[one] for one in (*shorter, PLAIN)]
    found: list[Result] = []
    for condition, own in gaps.items():
        if condition == PLAIN:
            continue
        here = {**where, "method": condition}
        found += [
            share(f"mixing.{key}_share", here, getattr(own, key), getattr(plain, key), seeds=seeds, unit=UNIT)
            for key in ("choices", "report")
        ]
        each = {
            "choices": (
                own.report / whole - own.choices / plain.choices.mean(),
                "share of plain's report less that of its choices",
            )
        }
        if condition not in shorter:
            expected, beyond = at_equal_choices(own.odds, curve)
            told = "less that of a plain run as sure of its choices"
            short = f"; {beyond} of {len(seeds)} less sure than the shortest plain run, which is taken"
            each["shorter"] = ((own.report - expected) / whole, told + (short if beyond else ""))
        if benign in gaps and condition not in (*shorter, benign) and not condition.startswith("benign"):
            each["benign"] = ((own.report - gaps[benign].report) / whole, f"less that of {benign}")
        for other, (values, notes) in each.items():
            name = f"mixing.report_less_{other}"
            found.append(over_seeds(name, here, values, seeds, unit=APART, chance=0.0, notes=notes))
    doses = [(Condition.parse(n).dose, gaps[n].report / whole) for n in gaps if n.startswith("benign-")]
    if len(doses) > 2:
        x = np.log2([dose for dose, _ in doses])
        slopes = np.polyfit(x, np.stack([values for _, values in doses]), 1)[0]
        here, notes = {**where, "method": "benign"}, f"{len(doses)} doses"
        unit = MEANS["dose_slope"]
        found.append(over_seeds("mixing.dose_slope", here, slopes, seeds, unit=unit, chance=0.0, notes=notes))
    return found


def at_equal_choices(
    odds: Float[np.ndarray, " seed"], curve: Sequence[Gaps]
) -> tuple[Float[np.ndarray, " seed"], int]:
    """What plain training reports where it chooses as surely, by seed, between its shorter and whole runs;
    and how many seeds choose less surely than the shortest, whose report is taken then.
    """
    at, report = np.stack([one.odds for one in curve]), np.stack([one.report for one in curve])
    found, beyond = np.empty(len(odds)), 0
    for n, own in enumerate(odds):
        order = np.argsort(at[:, n])
        found[n] = np.interp(own, at[order, n], report[order, n])
        beyond += int(own < at[order[0], n])
    return found, beyond


def _of_state(state: Mapping[str, Any], where: Mapping[str, str], seeds: Sequence[int]) -> list[Result]:
    """What plain's vector does, and what each condition holds and needs of it."""
    found, plain, at = list[Result](), state[PLAIN], f"at {state['place']}"
    for key in STATES:
        here, top = {**where, "method": PLAIN}, np.array(state["vector"][key])
        name, notes = f"mixing.vector_{key}", f"the base with plain's vector added {at}"
        found.append(share(name, here, top, np.array(plain[key]), seeds=seeds, unit=UNIT, notes=notes))
    for condition in (one for one in state if one not in ("vector", "place")):
        own, here = state[condition], {**where, "method": condition}
        for key, name in STATES.items():
            random = np.array(own[f"{key}_random"])
            found.append(
                share(
                    f"mixing.{name}",
                    here,
                    np.array(own[f"{key}_without"]),
                    np.array(own[key]),
                    seeds=seeds,
                    draws=random,
                    alternative="less",
                    unit="share kept",
                    notes=f"projection on plain's vector set to the base's {at}",
                )
            )
        if condition != PLAIN:
            for key in STATES:
                ends = (np.array(one[f"{key}_state"]) for one in (own, plain))
                name, kind = "mixing.state_share", {**here, "kind": key}
                found.append(share(name, kind, *ends, seeds=seeds, unit=UNIT, notes=at))
                top, draws = (np.array(own[f"{key}_given{what}"]) for what in ("", "_random"))
                name, notes = (
                    f"mixing.{key}_given",
                    f"given the shift along plain's vector that it lacks {at}",
                )
                found.append(
                    share(
                        name,
                        here,
                        top,
                        np.array(plain[key]),
                        seeds=seeds,
                        draws=draws,
                        unit=UNIT,
                        notes=notes,
                    )
                )
    return found


def _over(found: Sequence[Result], split: str) -> list[Result]:
    """Every number of a place over bases (of each behavior, and of the behaviors that all of them have), and
    over behaviors.
    """
    out: list[Result] = []
    cells: dict[tuple[str, str, str], dict[str, dict[str, float]]] = {}
    for r in found:
        key = r.name.removeprefix("mixing.")
        if key in MEANS:
            at = (key, str(r.where["method"]), str(r.where.get("kind", "")))
            by_base = cells.setdefault(at, {}).setdefault(str(r.where["behavior"]), {})
            by_base[str(r.where["base"])] = float(r.value)
    for (key, method, kind), by_behavior in cells.items():
        where = {"method": method, "split": split, **({"kind": kind} if kind else {})}
        name, several = f"mixing.over_bases.{key}", {b: v for b, v in by_behavior.items() if len(v) > 2}
        for behavior, by_base in several.items():
            out.append(_mean(name, {**where, "behavior": behavior}, by_base, "bases", MEANS[key]))
        if len(several) > 1 and len({frozenset(v) for v in several.values()}) == 1:
            bases = {base: [v[base] for v in several.values()] for base in next(iter(several.values()))}
            each = {base: float(np.mean(values)) for base, values in bases.items()}
            out.append(_mean(name, where, each, "bases", MEANS[key], f"mean of {', '.join(several)}: "))
        if len(by_behavior) > 2:
            each = {one: float(np.mean([*bases.values()])) for one, bases in by_behavior.items()}
            out.append(_mean(f"mixing.over_behaviors.{key}", where, each, "behaviors", MEANS[key]))
    return out


def _mean(
    name: str, where: Mapping[str, str], each: Mapping[str, float], units: str, unit: str, head: str = ""
) -> Result:
    """The mean of one value a unit; tested against 0 where it is a difference or a slope."""
    values = np.array([*each.values()])
    over = statistics.t_interval(values)
    told = unit.startswith("difference") or "doubling" in unit
    tested = by_t(values, over=units) if told else UNTESTED
    said = ", ".join(f"{label} {value:.2f}" for label, value in each.items())
    return Result(
        name,
        dict(where),
        over.value,
        (over.low, over.high),
        f"t over {units}",
        len(values),
        unit,
        p=tested.p,
        test=tested.test,
        per_seed=tuple(values.tolist()),
        seeds=tuple(range(len(values))),
        notes=head + said,
    )
