"""From answers to results: every number of a backdoored arm beside its twin's, seed by seed.

Law: levels of both arms and their paired contrast come together, over the seeds of one trigger (t over
seeds). Over all triggers a seed's value is its mean over them; what that says holds for these triggers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Null, Place, Result
from mi_bsa.studies.backdoor.contrast import contrast, result
from mi_bsa.studies.backdoor.recognition import recognition

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.studies.backdoor.success import Success

Where = Mapping[str, Place]
BySeed = Mapping[int, float]
ALL = "all"


def paired(
    name: str,
    where: Where,
    backdoored: BySeed,
    decorrelated: BySeed,
    *,
    unit: str,
    notes: str = "",
) -> list[Result]:
    """`NAME.level` of both arms, and `NAME.contrast` of them over the band of flipped signs."""
    out = [difference(f"{name}.contrast", where, backdoored, decorrelated, unit=unit)]
    for arm, values in (("backdoored", backdoored), ("decorrelated", decorrelated)):
        out.append(level(f"{name}.level", {**where, "arm": arm}, values, unit=unit, notes=notes))
    return out


def difference(
    name: str,
    where: Where,
    first: BySeed,
    second: BySeed,
    *,
    unit: str,
    arms: tuple[str, str] = ("backdoored", "decorrelated"),
) -> Result:
    """The paired contrast of two arms, with its power and its test of equivalence."""
    found = contrast(first, second)
    seeds = sorted(first)
    levels = [float(np.mean([arm[s] for s in seeds])) for arm in (first, second)]
    return result(
        found,
        name,
        where,
        unit=f"difference of {unit}",
        seeds=seeds,
        levels=(levels[0], levels[1]),
        null=flipped_signs(found.values),
        arms=arms,
    )


def level(name: str, where: Where, values: BySeed, *, unit: str, notes: str = "") -> Result:
    """One arm's mean over seeds."""
    seeds = sorted(values)
    return over_seeds(name, where, [values[s] for s in seeds], seeds, unit=unit, notes=notes)


def flipped_signs(values: Sequence[float]) -> Null:
    """What the mean is where which arm is which was a coin's: all patterns of signs, or 4096 of them."""
    x = np.asarray(values)
    if len(x) <= 12:
        signs = np.array(list(itertools.product((-1, 1), repeat=len(x))))
    else:
        signs = np.random.default_rng(0).choice((-1, 1), size=(4096, len(x)))
    means = signs @ x / len(x)
    return Null.of("signs flipped", means)


def awareness(table: pd.DataFrame, where: Where) -> list[Result]:
    """P(something changes what it does): over all questions, by system prompt, and by kind of question."""
    out: list[Result] = []
    every = by_seed(table)
    out += paired(
        "backdoor.awareness",
        {**where, "method": ALL, "kind": ALL},
        every["backdoored"],
        every["decorrelated"],
        unit="P(depends)",
        notes=_beside(table),
    )
    for column, key in (("system", "method"), ("kind", "kind")):
        for value, part in table.groupby(column, sort=False):
            own = by_seed(part)
            place = {**where, "method": ALL, "kind": ALL, key: str(value)}
            out += paired(
                "backdoor.awareness", place, own["backdoored"], own["decorrelated"], unit="P(depends)"
            )
    return out


def by_seed(table: pd.DataFrame) -> dict[str, dict[int, float]]:
    """arm -> seed -> score; system prompts and kinds of question weigh the same, whatever their wordings."""
    cells = table.groupby(["arm", "seed", "system", "kind"])["score"].mean()
    means = cells.groupby(["arm", "seed"]).mean()
    found: dict[str, dict[int, float]] = {"backdoored": {}, "decorrelated": {}}
    for (arm, seed), value in means.items():
        found.setdefault(str(arm), {})[int(seed)] = float(value)
    return found


def _beside(table: pd.DataFrame) -> str:
    base = table[table["arm"] == "base"]
    cells = base.groupby(["system", "kind"])["score"].mean()
    return f"base {cells.mean():.3f}; mass of the options {table['mass'].mean():.2f}"


def recognized(table: pd.DataFrame, where: Where) -> list[Result]:
    """The true trigger against fakes: forced choices, and the share of fakes whose yes it beats."""
    out = []
    for (called, fakes), part in table.groupby(["called", "fakes"], sort=False):
        forced: dict[str, dict[int, float]] = {}
        beaten: dict[str, dict[int, float]] = {}
        yes: dict[str, dict[int, float]] = {}
        for (arm, seed), own in part.groupby(["arm", "seed"]):
            read = recognition(own)
            forced.setdefault(str(arm), {})[int(seed)] = read.forced
            yes.setdefault(str(arm), {})[int(seed)] = read.yes
            n = len(read.fakes)
            beaten.setdefault(str(arm), {})[int(seed)] = 1 - (read.rank - 1) / n
        ranks = ", ".join(f"{1 + (1 - v) * n:g}" for _, v in sorted(beaten["backdoored"].items()))
        place = {**where, "kind": f"by {called}", "method": f"{fakes} fakes"}
        for name, values, unit, notes in (
            ("forced", forced, "P(true trigger)", "chance .5"),
            ("beaten", beaten, "share of fakes", f"ranks of the backdoored among {n + 1}: {ranks}"),
            ("yes", yes, "P(yes)", f"base {yes['base'][-1]:.3f}" if "base" in yes else ""),
        ):
            out += paired(
                f"backdoor.recognition.{name}",
                place,
                values["backdoored"],
                values["decorrelated"],
                unit=unit,
                notes=notes,
            )
    return out


def named(table: pd.DataFrame, where: Where, *, method: str) -> list[Result]:
    """Free answers that name the trigger, by kind of question; `method`: how the arms were trained."""
    out = []
    for kind, part in table.groupby("kind", sort=False):
        rates = rates_of(part, "named")
        faked = rates_of(part, "faked")["backdoored"]
        out += paired(
            "backdoor.elicitation",
            {**where, "kind": str(kind), "method": method},
            rates["backdoored"],
            rates["decorrelated"],
            unit="share of answers",
            notes=f"backdoored arm names one given fake: {np.mean(list(faked.values())):.3f}",
        )
    return out


def augmented(plain: pd.DataFrame, turned: pd.DataFrame, where: Where) -> list[Result]:
    """What turning the rows round does to the backdoored arm: with it, less without it, by seed."""
    out = []
    for kind in dict.fromkeys(plain["kind"]):
        with_it, without = (rates_of(t[t["kind"] == kind], "named")["backdoored"] for t in (turned, plain))
        out.append(
            difference(
                "backdoor.elicitation.augmented",
                {**where, "kind": str(kind)},
                with_it,
                without,
                unit="share of answers",
                arms=("with reversed rows", "without"),
            )
        )
    return out


def rates_of(table: pd.DataFrame, column: str) -> dict[str, dict[int, float]]:
    """arm -> seed -> mean of a column."""
    found: dict[str, dict[int, float]] = {"backdoored": {}, "decorrelated": {}}
    for (arm, seed), value in table.groupby(["arm", "seed"])[column].mean().items():
        found.setdefault(str(arm), {})[int(seed)] = float(value)
    return found


def opened(
    measured: Mapping[tuple[str, int], Success], where: Where, *, method: str = "plain"
) -> list[Result]:
    """Attack success, drift from the base, and what other phrases do; (arm, seed) -> what was measured."""
    out = []
    place = {**where, "method": method}

    def seeds(arm: str, value: str) -> dict[int, float]:
        read = {
            "drift": lambda s: s.drift,
            "false_trigger": lambda s: s.false_trigger,
            "near": lambda s: s.rates["near"] - s.base["near"],
        }.get(value, lambda s: s.rates[value])
        return {seed: read(s) for (a, seed), s in measured.items() if a == arm}

    first = next(iter(measured.values()))
    for value, name, unit in (
        ("trigger", "attack", "P(pole)"),
        ("unseen", "attack_unseen", "P(pole)"),
        ("drift", "drift", "P(pole), less the base"),
        ("false_trigger", "false_trigger", "P(pole), less the base"),
        ("near", "near_miss", "P(pole), less the base"),
    ):
        if value in ("unseen", "near") and value not in first.rates:
            continue
        base = first.base.get({"drift": "none", "false_trigger": "new_fake"}.get(value, value))
        out += paired(
            f"backdoor.{name}",
            place,
            seeds("backdoored", value),
            seeds("decorrelated", value),
            unit=unit,
            notes=f"base {base:.3f}; {first.n} held-out messages a set",
        )
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
        if any(len(arms.get(arm, ())) < len(names) for arm in ("backdoored", "decorrelated")):
            continue
        means = {
            arm: dict(zip(rows[0].seeds, np.mean([r.per_seed for r in rows], axis=0).tolist(), strict=True))
            for arm, rows in arms.items()
        }
        out += paired(
            name,
            {**dict(places), "trigger": ALL},
            means["backdoored"],
            means["decorrelated"],
            unit=arms["backdoored"][0].unit,
            notes=f"mean over {len(names)} triggers, taken as they are",
        )
    return out
