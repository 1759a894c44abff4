"""Findings: the parts' plain numbers as results, each with its interval over what was drawn and its null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.core.results import Null, Result
from probes import statistics

if TYPE_CHECKING:
    import pandas as pd

EXACT = "none: weights are what they are"


def weight_results(name: str, said: Mapping[str, Any]) -> list[Result]:
    """Size of the change, its share by block and by module, and its effective rank."""
    rows = said["modules"]
    energy = {n: (row["relative"] * row["base"]) ** 2 for n, row in enumerate(rows)}
    whole, base = sum(energy.values()), sum(row["base"] ** 2 for row in rows)
    modules = f"{len(rows)} modules"
    found = [
        Result(
            "inspect.size",
            {"variant": name},
            float(np.sqrt(whole / base)),
            None,
            EXACT,
            len(rows),
            "share of the norm",
            notes=modules,
        )
    ]
    for key, where in (("layer", "layer"), ("module", "site")):
        entries = sum(row["entries"] for row in rows)
        for place in dict.fromkeys(row[key] for row in rows):
            own = sum(energy[n] for n, row in enumerate(rows) if row[key] == place)
            at = {"variant": name, where: place}
            even = sum(row["entries"] for row in rows if row[key] == place) / entries
            count = sum(row[key] == place for row in rows)
            found.append(
                Result(
                    "inspect.share",
                    at,
                    own / whole,
                    None,
                    EXACT,
                    count,
                    "share of energy",
                    null=Null("share of the weights that it touches", 1, even, even, even),
                )
            )
    if all(row.get("effective_rank") for row in rows):
        mean = sum(energy[n] * row["effective_rank"] for n, row in enumerate(rows)) / whole
        most = max(int(row["rank"]) for row in rows)
        found.append(
            Result(
                "inspect.effective_rank",
                {"variant": name},
                float(mean),
                None,
                EXACT,
                len(rows),
                "directions",
                notes=f"mean over modules by energy; of at most {most}",
            )
        )
    return found


def lens_results(name: str, said: Mapping[str, Any]) -> list[Result]:
    """Differences' sizes, and the first word at each site with its null of first words."""
    found = [Result.from_dict(one) for one in said["results"]]
    for one in said["words"]:
        kind, _, layer = one["site"].rpartition(".")
        null = Null(f"first words of {' and '.join(one['kinds'])} vectors", **one["null"])
        place: dict[str, Any] = {"variant": name, "site": kind, "layer": int(layer)}
        found.append(
            Result(
                "lens.first",
                place | {"method": one["lens"]},
                one["score"],
                None,
                "none: one vector has one reading",
                1,
                "logit",
                null=null,
                p=one["p_promoted"],
                test=f"{null.kind}, {null.n} draws, one-sided",
                p_floor=1 / (1 + null.n),
                notes=f"promoted {' '.join(one['promoted'])}; suppressed {' '.join(one['suppressed'])}",
            )
        )
    return [*found, *through_results(name, said)]


def through_results(name: str, said: Mapping[str, Any]) -> list[Result]:
    """The base's report about each trait with the difference added, less without; q over traits."""
    rows = said.get("through", ())
    if not rows:
        return []
    qs = statistics.benjamini_hochberg(np.array([row["p"] for row in rows]))
    found = []
    for row, q in zip(rows, qs, strict=True):
        kind, _, layer = row["site"].rpartition(".")
        null = Null("random and random-difference vectors of the same norm", **row["null"])
        found.append(
            Result(
                "inspect.through_base",
                {"behavior": row["trait"], "variant": name, "site": kind, "layer": int(layer)},
                row["shift"],
                None,
                "none: one vector moves one base",
                1,
                "score",
                rows=row["questions"],
                null=null,
                p=row["p"],
                q=float(q),
                test=f"{null.kind}, {null.n} draws, two-sided",
                p_floor=1 / (1 + null.n),
            )
        )
    return found


def damage_results(name: str, said: Mapping[str, Any]) -> list[Result]:
    """KL, loss, flipped tokens and change by depth, over texts; coherence of answers."""
    n, where = len(said["kl"]), {"variant": name}
    base, now = map(np.array, said["loss"])
    was, is_now = np.exp(base.mean()), np.exp(now.mean())
    told = f"{said['tokens']:,} tokens; perplexity {was:.3g} in the base, {is_now:.3g} now"
    found = [
        _over_texts("inspect.kl", where, said["kl"], "nats a token", notes=told),
        _over_texts("inspect.loss_shift", where, now - base, "nats a token", notes=told),
        _over_texts("inspect.flipped", where, said["flipped"], "share of tokens", notes=told),
    ]
    if n > 1 and found[1].ci is not None:
        p = statistics.t_test(now - base)
        if p is not None:
            found[1] = replace(found[1], p=p, test="t over texts against 0", where=dict(found[1].where))
    for layer, values in enumerate(said["depth"]):
        at = {**where, "site": "resid_post", "layer": layer}
        found.append(_over_texts("inspect.depth", at, values, "share of the base's norm"))
    if None not in said["answers"]:
        was, is_now = said["answers"]
        found.append(
            Result(
                "inspect.answers",
                where,
                float(np.log(is_now / was)),
                None,
                "none: one answer a text, pooled over tokens",
                n,
                "log ratio of perplexities",
                notes=f"perplexity in the base: {was:.3g} of its own answers, {is_now:.3g} of the finetune's",
            )
        )
    return found


def _over_texts(name: str, where: Mapping[str, Any], values: Any, unit: str, notes: str = "") -> Result:
    values = np.asarray(values, float)
    if len(values) < 2 or np.ptp(values) < 1e-15:
        reason = "none: the same in every text" if len(values) > 1 else "none: one text"
        return Result(name, dict(where), float(values.mean()), None, reason, len(values), unit, notes=notes)
    one = statistics.t_interval(values)
    return Result(
        name, dict(where), one.value, (one.low, one.high), "t over texts", len(values), unit, notes=notes
    )


def report_results(
    name: str,
    answers: pd.DataFrame,
    stated: pd.DataFrame | None = None,
    *,
    fdr: float,
    least: float,
    against: str = "base",
) -> tuple[list[Result], list[dict[str, Any]]]:
    """Each trait's shift from the base (or from a control, `against`) by the kinds of question that may be
    read, with p over wordings, q over the traits that may be read (over the others, theirs), the other
    traits' shifts beside it and its validity; and how many moved. Rows say the same for a table.

    `stated`: the base's answers where its system line states a pole (`sight`); None where none were asked.
    """
    from mi_bsa.asking.scoring import gap, mean_score
    from mi_bsa.asking.validity import assess
    from mi_bsa.studies.inspect.sight import sighted, told_apart

    arms, rows = (name, against), []
    table, kinds = sighted(answers, stated, arm=name, against=against)
    for trait, own in table.groupby("trait", sort=False):
        shift = gap(own, arms=arms, paired=True)
        level, before = (mean_score(own[own["arm"] == arm]) for arm in arms)
        # its shares are of a gap above 0, so the arm that says more of the first pole comes first
        turned = arms if shift.value >= 0 else arms[::-1]
        valid = assess(table, trait=str(trait), arms=turned, draws=0, leave_out=False)
        rows.append((str(trait), shift, level, before, valid, float(own["mass"].mean())))
    ps = np.array([1.0 if np.isnan(row[1].p) else row[1].p for row in rows])
    read = np.array([bool(kinds[row[0]].read) for row in rows])
    qs = np.ones(len(rows))
    for some in (read, ~read):
        qs[some] = statistics.benjamini_hochberg(ps[some]) if some.any() else []
    found, told = [], []
    for k, (trait, shift, level, before, valid, mass) in enumerate(rows):
        others = [row[1].value for j, row in enumerate(rows) if j != k]
        result = shift.result(
            "inspect.report_shift",
            {"behavior": trait, "variant": name},
            unit="score",
            notes=f"{before.value:.2f} {_in(against)}, {level.value:.2f} now; option mass {mass:.2f}; "
            f"validity {valid.index:.2f}, least {valid.weakest.name}; {kinds[trait].control}",
        )
        tested: dict[str, Any] = (
            {}
            if np.isnan(shift.p)
            else {"p": shift.p, "q": float(qs[k]), "test": "t over wordings against 0"}
        )
        beside = Null.of("shifts of the other traits", others) if others else None
        found.append(replace(result, null=beside, where=dict(result.where), **tested))
        told.append(
            {
                "adapter": name,
                "trait": trait,
                "base": before.value,
                "now": level.value,
                "shift": shift.value,
                "low": shift.low,
                "high": shift.high,
                "q": float(qs[k]),
                "moved": bool(qs[k] <= fdr and abs(shift.value) >= least and not np.isnan(shift.p)),
                "kinds": ", ".join(kinds[trait].read),
                "stated": told_apart(kinds[trait]),
                "validity": valid.index,
                "weakest": valid.weakest.name,
                "mass": mass,
            }
        )
    share = _moved(name, told, fdr, least)
    return [*found, *([] if share is None else [share])], told


def _in(against: str) -> str:
    return "in the base" if against == "base" else f"in {against}"


def _moved(name: str, told: Sequence[Mapping[str, Any]], fdr: float, least: float) -> Result | None:
    """Of the reports that may be read, how many moved; None where none may."""
    from scipy.stats import binomtest

    read = [row for row in told if row["kinds"]]
    if not read:
        return None
    moved, n = sum(row["moved"] for row in read), len(read)
    low, high = map(float, binomtest(moved, n).proportion_ci(method="wilson"))
    rest = f"; {len(told) - n} others cannot be read" * (n < len(told))
    return Result(
        "inspect.moved",
        {"variant": name},
        moved / n,
        (low, high),
        "Wilson over traits",
        n,
        "share of traits",
        notes=f"{moved} of {n} reports that can be read moved by {least:g} or more, at most {fdr:.0%} of "
        f"them falsely (Benjamini-Hochberg){rest}",
    )
