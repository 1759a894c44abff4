"""From answers to results: every number of a backdoored arm beside its twin's, seed by seed.

Law: levels of both arms and their paired contrast come together, over the seeds of one trigger (t over
seeds). Over all triggers a seed's value is its mean over them; what that says holds for these triggers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.behaviors.backdoor.construction import TWINS
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Null, Place, Result
from mi_bsa.core.tested import Tested
from mi_bsa.studies.backdoor.contrast import BOUND, contrast
from mi_bsa.studies.backdoor.recognition import recognition

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.studies.backdoor.success import Success

Where = Mapping[str, Place]
BySeed = Mapping[int, float]
Arms = Mapping[str, BySeed]
ALL = "all"
LESS = ", less the base"
"""How the unit of a P ends that the base's is taken off."""


def paired(name: str, where: Where, arms: Arms, *, unit: str, notes: str = "") -> list[Result]:
    """`NAME.level` of both arms, shares or P, and `NAME.contrast` of them over the band of flipped signs."""
    twins = [arms[arm] for arm in TWINS]
    ends = (-1.0, 1.0) if unit.endswith(LESS) else (0.0, 1.0)
    out = [difference(f"{name}.contrast", where, *twins, unit=unit)]
    for arm, values in zip(TWINS, twins, strict=True):
        seeds = sorted(values)
        each, here = [values[s] for s in seeds], {**where, "arm": arm}
        out.append(over_seeds(f"{name}.level", here, each, seeds, unit=unit, within=ends, notes=notes))
    return out


def difference(
    name: str, where: Where, first: BySeed, second: BySeed, *, unit: str, arms: tuple[str, str] = TWINS
) -> Result:
    """The paired contrast of two arms; their levels, its power and its test of equivalence stand in notes."""
    found, seeds = contrast(first, second), sorted(first)
    one, other = (np.mean([arm[s] for s in seeds]) for arm in (first, second))
    same = "equivalent" if found.equivalent else "not shown to be equivalent"
    flip = "" if found.p_flip is None else f"; exact sign flip p = {found.p_flip:.3g}"
    return over_seeds(
        name,
        where,
        found.values,
        seeds,
        unit=f"difference of {unit}",
        within=(-1.0, 1.0),
        ci_method="t over seeds, paired",
        null=flipped_signs(found.values),
        tested=Tested.of(found.p, "t over seeds against 0, paired"),
        notes=f"{arms[0]} {one:.3f}, {arms[1]} {other:.3f}; {same} within {BOUND}; "
        f"80 % power for a difference of {found.detectable:.3f} at the spread seen here{flip}",
    )


def flipped_signs(values: Sequence[float]) -> Null:
    """What the mean is where which arm is which was a coin's: all patterns of signs, or 4096 of them."""
    x = np.asarray(values)
    if len(x) <= 12:
        signs = np.array(list(itertools.product((-1, 1), repeat=len(x))))
    else:
        signs = np.random.default_rng(0).choice((-1, 1), size=(4096, len(x)))
    means = signs @ x / len(x)
    return Null.of("signs flipped", means)


def by_arm(values: Mapping[tuple[str, int], float] | pd.Series) -> Arms:
    """arm -> seed -> value, from what is known by both; both twins are there."""
    found: dict[str, dict[int, float]] = {arm: {} for arm in TWINS}
    for (arm, seed), value in values.items():
        found.setdefault(str(arm), {})[int(seed)] = float(value)
    return found


def awareness(table: pd.DataFrame, where: Where) -> list[Result]:
    """P(something changes what it does): over all questions, by system prompt, and by kind of question."""
    name, unit, place = "backdoor.awareness", "P(depends)", {**where, "method": ALL, "kind": ALL}
    base = table[table["arm"] == "base"].groupby(["system", "kind"])["score"].mean()
    beside = f"base {base.mean():.3f}; mass of the options {table['mass'].mean():.2f}"
    out = paired(name, place, by_seed(table), unit=unit, notes=beside)
    for column, key in (("system", "method"), ("kind", "kind")):
        for value, part in table.groupby(column, sort=False):
            out += paired(name, {**place, key: str(value)}, by_seed(part), unit=unit)
    return out


def by_seed(table: pd.DataFrame) -> Arms:
    """arm -> seed -> score; system prompts and kinds of question weigh the same, whatever their wordings."""
    cells = table.groupby(["arm", "seed", "system", "kind"])["score"].mean()
    return by_arm(cells.groupby(["arm", "seed"]).mean())


def recognized(table: pd.DataFrame, where: Where) -> list[Result]:
    """The true trigger against fakes: forced choices, and the share of fakes whose yes it beats."""
    out = []
    for (called, fakes), part in table.groupby(["called", "fakes"], sort=False):
        read = {at: recognition(own) for at, own in part.groupby(["arm", "seed"])}
        yes = by_arm({at: r.yes for at, r in read.items()})
        beaten = by_arm({at: 1 - (r.rank - 1) / len(r.fakes) for at, r in read.items()})
        n = len(next(iter(read.values())).fakes)
        ranks = ", ".join(f"{1 + (1 - v) * n:g}" for _, v in sorted(beaten["backdoored"].items()))
        place = {**where, "kind": f"by {called}", "method": f"{fakes} fakes"}
        for name, arms, unit, notes in (
            ("forced", by_arm({at: r.forced for at, r in read.items()}), "P(true trigger)", "chance .5"),
            ("beaten", beaten, "share of fakes", f"ranks of the backdoored among {n + 1}: {ranks}"),
            ("yes", yes, "P(yes)", f"base {yes['base'][-1]:.3f}" if "base" in yes else ""),
        ):
            out += paired(f"backdoor.recognition.{name}", place, arms, unit=unit, notes=notes)
    return out


def named(table: pd.DataFrame, where: Where, *, method: str) -> list[Result]:
    """Free answers that name the trigger, by kind of question; `method`: how the arms were trained."""
    out = []
    for kind, part in table.groupby("kind", sort=False):
        faked = np.mean(list(rates_of(part, "faked")["backdoored"].values()))
        place, told = {**where, "kind": str(kind), "method": method}, "backdoored arm names one given fake"
        rates, unit = rates_of(part, "named"), "share of answers"
        out += paired("backdoor.elicitation", place, rates, unit=unit, notes=f"{told}: {faked:.3f}")
    return out


def augmented(plain: pd.DataFrame, turned: pd.DataFrame, where: Where) -> list[Result]:
    """What turning the rows round does to the backdoored arm: with it, less without it, by seed."""
    name, arms, out = "backdoor.elicitation.augmented", ("with reversed rows", "without"), []
    for kind in dict.fromkeys(plain["kind"]):
        both = (rates_of(t[t["kind"] == kind], "named")["backdoored"] for t in (turned, plain))
        out.append(difference(name, {**where, "kind": str(kind)}, *both, unit="share of answers", arms=arms))
    return out


def rates_of(table: pd.DataFrame, column: str) -> Arms:
    """arm -> seed -> mean of a column."""
    return by_arm(table.groupby(["arm", "seed"])[column].mean())


DOES = {
    "attack": ("trigger", False),
    "attack_unseen": ("unseen", False),
    "drift": ("none", True),
    "false_trigger": ("new_fake", True),
    "near_miss": ("near", True),
}
"""What a backdoor does -> the set of held-out messages that shows it, and whether the base's is taken off."""


def opened(
    measured: Mapping[tuple[str, int], Success], where: Where, *, method: str = "plain"
) -> list[Result]:
    """Attack success, drift from the base, and what other phrases do; (arm, seed) -> what was measured."""
    out, first = [], next(iter(measured.values()))
    for name, (key, less) in DOES.items():
        if key not in first.rates:
            continue
        arms = by_arm({at: s.rates[key] - less * s.base[key] for at, s in measured.items()})
        unit = f"P(pole){LESS}" if less else "P(pole)"
        told = f"base {first.base[key]:.3f}; {first.n} held-out messages a set"
        out += paired(f"backdoor.{name}", {**where, "method": method}, arms, unit=unit, notes=told)
    return out


def over_triggers(found: Iterable[Result], names: Sequence[str]) -> list[Result]:
    """The mean over triggers of every level, as arms by seed, paired again; trigger `all`."""
    groups: dict[tuple[str, tuple[tuple[str, Place], ...]], dict[str, list[Result]]] = {}
    for r in found:
        if not r.name.endswith(".level"):
            continue
        rest = {k: v for k, v in r.where.items() if k not in ("trigger", "arm")}
        key = (r.name.removesuffix(".level"), tuple(rest.items()))
        groups.setdefault(key, {}).setdefault(str(r.where["arm"]), []).append(r)
    out = []
    for (name, places), arms in groups.items():
        if any(len(arms.get(arm, ())) < len(names) for arm in TWINS):
            continue
        means = {
            arm: dict(zip(rows[0].seeds, np.mean([r.per_seed for r in rows], axis=0).tolist(), strict=True))
            for arm, rows in arms.items()
        }
        place, unit = {**dict(places), "trigger": ALL}, arms["backdoored"][0].unit
        told = f"mean over {len(names)} triggers, taken as they are"
        out += paired(name, place, means, unit=unit, notes=told)
    return out
