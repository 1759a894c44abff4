"""What each way of training leaves of choices, report and state, as results.

Law: an effect is pole against pole; a share is that effect over plain's, paired by seed (Fieller), plain
always asked out of any context: in its context a way is held against plain as anybody would ask it. Where the
report goes is a difference of shares, one value a seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mi_bsa.causal.effects import DIFFERENCE, effect
from mi_bsa.causal.ratios import share
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Result
from mi_bsa.core.tested import among
from mi_bsa.core.variants import BASE, POLES
from probes import statistics

if TYPE_CHECKING:
    import pandas as pd

NAMES = {
    "choice": "hiding.choices",
    "report": "hiding.report",
    "state_choice": "hiding.state_on_choices",
    "state_report": "hiding.state_on_reports",
}
"""What is measured of each way."""
CONTEXTS = ("out", "in")
"""Asked as anybody would, and in the context of the training."""
UNIT = "share of plain's"


def measures(
    asked: Mapping[str, pd.DataFrame],
    states: Mapping[str, Float[np.ndarray, " direction"]],
    *,
    behavior: str,
    arms: Sequence[str],
    seeds: Sequence[int],
    split: str,
) -> list[Result]:
    """Effects, shares of plain's, and differences of these shares.

    Args:
        asked: answers by way, with columns set, arm, seed, kind, template, scenario, score.
        states: as `hiding_state.load_states` reads them.
        behavior, arms, seeds, split: of the study.
    """
    found: list[Result] = []
    gaps: dict[tuple[str, str, str], np.ndarray] = {}
    for way, table in asked.items():
        for context in CONTEXTS:
            part = _in_context(table) if context == "in" else table
            where = {"behavior": behavior, "method": way, "kind": context, "split": split}
            for key in ("choice", "report"):
                if not (part["set"] == key).any():
                    continue
                kind = None if key == "choice" else "all"
                one = effect(part, key, "hiding", kind, behavior=behavior, arms=arms, seeds=seeds)
                found.append(replace(one, name=NAMES[key], where=where))
                found += _line_alone(table, key, where) if context == "in" else []
                gaps[way, context, key] = np.array(one.per_seed)
            for key in ("choice", "report"):
                drawn = _state_gaps(states, way, f"{key}_in" if context == "in" else key, seeds)
                if drawn is not None:
                    found.append(_state(NAMES[f"state_{key}"], where, drawn, seeds))
                    gaps[way, context, f"state_{key}"] = drawn[0]
    return [*found, *_shares(gaps, behavior, seeds, split)]


def _shares(
    gaps: Mapping[tuple[str, str, str], np.ndarray], behavior: str, seeds: Sequence[int], split: str
) -> list[Result]:
    found: list[Result] = []
    for way, context in dict.fromkeys((way, context) for way, context, _ in gaps):
        if (way, context) == ("plain", "out"):
            continue
        where = {"behavior": behavior, "method": way, "kind": context, "split": split}
        each: dict[str, np.ndarray] = {}
        for key, name in NAMES.items():
            own, plain = gaps.get((way, context, key)), gaps.get(("plain", "out", key))
            if own is not None and plain is not None:
                found.append(share(f"{name}_share", where, own, plain, seeds=seeds, unit=UNIT))
                each[key] = own / plain.mean()
        for name, other in (("choices", "choice"), ("state", "state_report")):
            if "report" in each and other in each:
                found.append(
                    over_seeds(
                        f"hiding.report_less_{name}",
                        where,
                        each["report"] - each[other],
                        seeds,
                        unit=f"difference of {UNIT}",
                        chance=0.0,
                        notes="share of plain's report less that of its "
                        + ("choices" if name == "choices" else "state on reports"),
                    )
                )
    return found


def _in_context(table: pd.DataFrame) -> pd.DataFrame:
    """The answers in the context of the training, under the names of the sets out of it: each run under the
    line of its own pole, where lines differ by pole; runs of no pole under both.
    """
    import pandas as pd

    parts = []
    for key in ("choice", "report"):
        parts.append(table[table["set"] == f"{key}_in"].assign(set=key))
        for arm in POLES:
            lines = table[table["set"] == f"{key}_in_{arm}"]
            other = POLES[1 - POLES.index(arm)]
            parts.append(lines[lines["arm"] != other].assign(set=key))
    return pd.concat(parts, ignore_index=True)


def _line_alone(table: pd.DataFrame, key: str, where: Mapping[str, str]) -> list[Result]:
    """What the line of a pole moves the base by, where lines differ by pole: no training has a part in it."""
    unit = "scenario" if key == "choice" else "template"
    base = table[table["arm"] == BASE]
    ends = [base[base["set"] == f"{key}_in_{arm}"].groupby(["kind", unit])["score"].mean() for arm in POLES]
    if ends[0].empty:
        return []
    each = (ends[0] - ends[1]).to_numpy()
    over = statistics.t_interval(each)
    units = "scenarios" if key == "choice" else "wordings"
    return [
        Result(
            name=f"{NAMES[key]}_line_alone",
            where={**where, "arm": BASE},
            value=over.value,
            ci=(max(over.low, -1.0), min(over.high, 1.0)),
            ci_method=f"t over {units}",
            n=len(each),
            unit=DIFFERENCE,
            notes="one base model under the line of either pole, without an adapter",
        )
    ]


def _state_gaps(
    states: Mapping[str, np.ndarray], way: str, key: str, seeds: Sequence[int]
) -> Float[np.ndarray, "direction seed"] | None:
    """Seeking less averse along the direction (first) and each random one."""
    if f"{way}/{key}/{POLES[0]}-{seeds[0]}" not in states:
        return None
    ends = [np.stack([states[f"{way}/{key}/{arm}-{s}"] for s in seeds], axis=1) for arm in POLES]
    found: np.ndarray = ends[0] - ends[1]
    return found


def _state(
    name: str, where: Mapping[str, str], drawn: Float[np.ndarray, "direction seed"], seeds: Sequence[int]
) -> Result:
    """The gap along the direction, beside random ones; both signs of one are one draw."""
    tested = among(float(drawn[0].mean()), drawn[1:].mean(1), "random directions", alternative="two-sided")
    return over_seeds(name, dict(where), drawn[0], seeds, unit="distance along the state", tested=tested)
