"""What the preferences study found: each number with n, interval, null and seeds.

Law: a gain of report training counts only where it exceeds the instilled model, the same training on shuffled
weights, on another model's weights and, in instilled contexts, on the model's own weights of native ones
(which teaches the format and nothing of what was instilled), and the instilled model once more on those pairs
that both report readably, so that it does not come of reading more reports; `preferences.gain.claim` is the
least of them. Reports are held against the weights that the same model's own choices reveal, measured after
its last training.

Results, with `arm` (base, instilled, first_half, introspection, shuffled, other_model, format) and `kind`
(instilled or native contexts): `preferences.parse_rate`; `preferences.report.r`, `.context_r`,
`.magnitude_r`, `.sign_agreement`, `.partial_r` (report against learned weights; the last with the target held
fixed); `preferences.report.target_r`; `preferences.learned.target_r`, `.agreement`;
`preferences.choices_after.r` (learned weights after report training against before; of native contexts also
after instilling); `preferences.gain.*`; `preferences.ceiling.r`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mi_bsa.core.errors import ItemError
from mi_bsa.core.intervals import share
from mi_bsa.core.results import Result
from mi_bsa.core.tested import UNTESTED, among
from mi_bsa.studies.preferences import metrics
from mi_bsa.studies.preferences.estimate import ceiling
from mi_bsa.studies.preferences.gathered import PARTS, AttributeWeights, Run, Runs
from mi_bsa.studies.preferences.training import REPORT_ARMS

OF_REPORTS = ("r", "context_r", "magnitude_r", "sign_agreement", "partial_r")
SAME = "over_instilled_same_pairs"
AGAINST = {
    "over_instilled": "instilled",
    SAME: "instilled",
    "over_shuffled": "shuffled",
    "over_other_model": "other_model",
    "over_format": "format",
}
PERMUTATIONS = 199


def all_effects(runs: Runs, *, choices: int, draws: int = 1000) -> list[Result]:
    """Every result of what was asked."""
    found = [_ceiling(len(next(iter(next(iter(runs.values())).values())).learned), choices)]
    for (arm, part), own in runs.items():
        found += of_arm(arm, part, own, draws=draws)
    for part in PARTS:
        found += gains(runs, part, draws=draws)
        found += choices_after(runs, part, draws=draws)
    return found


def of_arm(arm: str, part: str, own: dict[int, Run], *, draws: int) -> list[Result]:
    """Parse rate, reports and learned weights of one arm on one kind of contexts."""
    where = {"behavior": "preferences", "arm": arm, "kind": part}
    every, names = list(own.values()), tuple(own)
    some, seeds = (every[:1], ()) if arm == "base" else (every, names)
    readable = all((~np.isnan(run.reported).any(1)).sum() >= 3 for run in every)
    found = [_parse_rate(where, some, readable=readable)]
    for name in OF_REPORTS if readable else ():
        held = name == "partial_r"
        if held and (part == "native" or arm == "base"):
            continue
        goals = [[run.targets] if held and run.targets is not None else [] for run in some]
        sides = [[run.reported, run.learned, *goal] for run, goal in zip(some, goals, strict=True)]
        found.append(_result(f"preferences.report.{name}", where, name, sides, seeds, draws))
    if part == "instilled":
        for name in ("report", "learned") if readable else ("learned",):
            said = [run.reported if name == "report" else run.learned for run in every]
            sides = [[s, r.targets] for s, r in zip(said, every, strict=True) if r.targets is not None]
            found.append(_result(f"preferences.{name}.target_r", where, "r", sides, names, draws))
        shares = [[run.agreement[:, None]] for run in every if run.agreement is not None]
        if len(shares) == len(every):
            name = "preferences.learned.agreement"
            found.append(_result(name, where, "mean", shares, names, draws, unit="share", null=False))
    return found


def gains(runs: Runs, part: str, *, draws: int) -> list[Result]:
    """Report training on a model's own weights, less each control, and the least of these."""
    where = {"behavior": "preferences", "arm": "introspection", "kind": part}
    own = runs["introspection", part]
    found = []
    for name, arm in AGAINST.items():
        if arm == "format" and part == "native":
            continue
        pairs = [(own[seed], runs[arm, part][seed]) for seed in own]
        if name == SAME:
            pairs = [_same_pairs(*both) for both in pairs]
        sides = [[[run.reported, run.learned] for run in side] for side in zip(*pairs, strict=True)]
        try:
            one = metrics.difference("r", *sides, draws=draws)
        except ItemError:
            return []
        found.append(
            Result(
                name=f"preferences.gain.{name}",
                where=where,
                value=one.value,
                ci=(one.low, one.high),
                ci_method="percentile bootstrap over contexts and seeds",
                n=one.contexts,
                unit="difference of r",
                per_seed=one.per_seed,
                seeds=tuple(own),
                notes=f"report r (against own learned weights) after introspection training, less {arm}"
                + (", both on the pairs that both report readably" if name == SAME else ""),
            )
        )
    least = min(found, key=lambda r: r.value)
    counted = all(r.ci is not None and r.ci[0] > 0 for r in found)
    verdict = "counted: beyond all" if counted else "not counted: an interval reaches 0 or below"
    told = f"{verdict}; the least gain is {least.name.rpartition('.')[2]}"
    return [*found, replace(least, name="preferences.gain.claim", where=where, notes=told)]


def _same_pairs(first: Run, second: Run) -> tuple[Run, Run]:
    """Two runs with the mean of those reports only whose pairs both reported readably."""
    both = ~np.isnan(first.reports).any(2) & ~np.isnan(second.reports).any(2)
    count = both.sum(1)[:, None]
    sums = [np.where(both[..., None], run.reports, 0.0).sum(1) for run in (first, second)]
    one, other = (total / np.where(count, count, np.nan) for total in sums)
    return replace(first, reported=one), replace(second, reported=other)


def choices_after(runs: Runs, part: str, *, draws: int) -> list[Result]:
    """What training leaves of choices: learned weights after report training against those before and, in
    native contexts, after instilling against the base's.
    """
    found = []
    others = [arm for arm, kind in runs if kind == part and arm not in ("base", *REPORT_ARMS)]
    for arm in (*(others if part == "native" else ()), *REPORT_ARMS):
        before, after = runs["instilled" if arm in REPORT_ARMS else "base", part], runs[arm, part]
        sides = [[after[seed].learned, before[seed].learned] for seed in after]
        where = {"behavior": "preferences", "arm": arm, "kind": part}
        found.append(_result("preferences.choices_after.r", where, "r", sides, tuple(after), draws))
    return found


def _result(
    name: str,
    where: dict[str, str],
    measure: str,
    sides: Sequence[Sequence[AttributeWeights]],
    seeds: tuple[int, ...],
    draws: int,
    *,
    unit: str = "",
    null: bool = True,
) -> Result:
    one = metrics.measure(measure, sides, draws=draws)
    tested = UNTESTED
    if null:
        drawn = metrics.permuted(measure, sides, draws=PERMUTATIONS)
        tested = among(one.value, drawn, "weights of other contexts")
    return Result(
        name=name,
        where=where,
        value=one.value,
        ci=(one.low, one.high),
        ci_method=f"percentile bootstrap over contexts{' and seeds' if len(sides) > 1 else ''}",
        n=one.contexts,
        unit=unit or ("share" if measure == "sign_agreement" else "r"),
        null=tested.null,
        p=tested.p,
        test=tested.test,
        p_floor=tested.floor,
        per_seed=one.per_seed if seeds else (),
        seeds=seeds,
    )


def _parse_rate(where: dict[str, str], own: Sequence[Run], *, readable: bool) -> Result:
    outcomes: Counter[str] = Counter()
    for run in own:
        outcomes.update(run.outcomes)
    lost = ", ".join(f"{count} {name}" for name, count in outcomes.items() if count and name != "parsed")
    silent = sum(int(np.isnan(run.reported).any(1).sum()) for run in own)
    notes = f"not parsed: {lost or 'none'}; contexts without any parsed report, left out: {silent}"
    notes += "" if readable else "; too few are left, so this arm's reports have no correlations"
    parsed, asked = sum(run.parsed for run in own), sum(run.asked for run in own)
    how = "exact over contexts, the reports of one counted as one"
    contexts = len(own[0].reported)
    return share("preferences.parse_rate", where, parsed, asked, ci_method=how, units=contexts, notes=notes)


def _ceiling(contexts: int, choices: int) -> Result:
    drawn = ceiling(contexts=contexts, choices=choices)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Result(
        name="preferences.ceiling.r",
        where={"behavior": "preferences"},
        value=float(drawn.mean()),
        ci=(float(low), float(high)),
        ci_method="central 95 % of simulated models",
        n=len(drawn),
        unit="r",
        notes=f"a perfect chooser's learned against target weights, {contexts} contexts of {choices} choices",
    )
