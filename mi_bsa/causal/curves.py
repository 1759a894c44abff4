"""Curves: the tables of a steering run, dose by dose and read-out by read-out.

The law: the curve of the direction itself is asked as every item is asked (`ask` under `activations.edit`);
null directions are scored by the batched engine, which the tests hold to the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mi_bsa.asking.asking import ask
from mi_bsa.asking.readouts import Readout
from mi_bsa.causal.coherence import answer_perplexity, strength_at
from mi_bsa.causal.doses import Doses
from probes import Direction
from probes.statistics import t_interval


def development_table(
    at: Doses,
    direction: Direction,
    early: Mapping[str, Readout],
    texts: Sequence[Any],
    doses: tuple[float, ...],
    max_kl: float,
) -> pd.DataFrame:
    """Level, shift and cost of a direction at every dose, and whether it is within the gate."""
    cost = at.costs(texts, direction.vector[None], doses)[0]
    rows = []
    for name, readout in early.items():
        level = at.levels(readout, direction.vector[None], doses)[0]
        for n, dose in enumerate(doses):
            shift = float(level[n] - level[doses.index(0.0)])
            rows.append(
                {
                    "site": direction.site,
                    "strength": dose,
                    "read_out": name,
                    "score": float(level[n]),
                    "shift": shift,
                    "kl": float(cost[n]),
                    "kept": bool(cost[n] <= max_kl),
                }
            )
    return pd.DataFrame(rows)


def curve_table(
    at: Doses,
    direction: Direction,
    late: Mapping[str, Readout],
    texts: Sequence[Any],
    neutral: Sequence[Any],
    doses: tuple[float, ...],
    *,
    alone: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The chosen direction on the report items, asked as every item is asked, under `activations.edit`.

    `alone`: it is added at the answer slot alone, of which no edit knows where it lies in prompts of unequal
    length: items are asked as null directions are, and neither option mass nor perplexity is told (NaN).
    """
    import activations

    model = at.model
    cost = at.costs(texts, direction.vector[None], doses)[0]
    chat = [
        prompt
        for prompt in neutral
        if isinstance(prompt, list) or (isinstance(prompt, dict) and "messages" in prompt)
    ]
    answers = []
    frames = []
    for n, dose in enumerate(doses):
        if alone:
            for name, readout in late.items():
                scores = at.scores(readout, direction.vector[None], (dose,))[0, 0]
                told = {"id": [item.id for item in readout.items], "score": scores, "mass": float("nan")}
                frames.append(pd.DataFrame(told).assign(strength=dose, read_out=name))
            answers.append((float(cost[n]), float("nan")))
            continue
        steered = activations.add(direction, scale=dose)
        for name, readout in late.items():
            with activations.edit(model, steered):
                frames.append(ask(model, readout.items).assign(strength=dose, read_out=name))
        ppl = answer_perplexity(model, chat, activations.edit(model, steered)) if chat else float("nan")
        answers.append((float(cost[n]), ppl))
    items = pd.concat(frames, ignore_index=True)
    rows = []
    for name, readout in late.items():
        own = items[items["read_out"] == name]
        zero = readout.units(own[own["strength"] == 0]["score"].to_numpy())
        for n, dose in enumerate(doses):
            here = own[own["strength"] == dose]
            level, shift = (
                t_interval(readout.units(here["score"].to_numpy())),
                t_interval(readout.units(here["score"].to_numpy()) - zero),
            )
            rows.append(
                {
                    "read_out": name,
                    "strength": dose,
                    "score": level.value,
                    "low": level.low,
                    "high": level.high,
                    "shift": shift.value,
                    "shift_low": shift.low,
                    "shift_high": shift.high,
                    "n": level.n,
                    "ci_method": "t over scenarios"
                    if len(set(readout.groups)) < len(here)
                    else "t over items",
                    "mass": float(here["mass"].mean()),
                    "kl": answers[n][0],
                    "perplexity": answers[n][1],
                }
            )
    return pd.DataFrame(rows), items


def banded(curve: pd.DataFrame, band: Mapping[str, np.ndarray], doses: tuple[float, ...]) -> pd.DataFrame:
    """The curve with mean and ends of the null directions' levels at each dose."""
    columns = [band[row.read_out][:, doses.index(row.strength)] for row in curve.itertuples()]
    low, high = (np.array([np.quantile(draws, q) for draws in columns]) for q in (0.025, 0.975))
    return curve.assign(
        null_mean=[float(draws.mean()) for draws in columns],
        null_low=low,
        null_high=high,
        null_n=[len(d) for d in columns],
    )


def others_table(
    at: Doses, others: Mapping[str, list[Direction]], strength: float, late: Mapping[str, Readout]
) -> pd.DataFrame:
    """Wrong-behavior directions at the site, unit and strength of the chosen one."""
    rows: list[dict[str, Any]] = []
    for label, group in others.items():
        other = next(one for one in group if one.site == at.site)
        for name, readout in late.items():
            plain, moved = readout.units(at.scores(readout, other.vector[None], (0.0, strength))[:, 0])
            shift = t_interval(moved - plain)
            rows.append(
                {
                    "name": label,
                    "read_out": name,
                    "shift": shift.value,
                    "low": shift.low,
                    "high": shift.high,
                    "n": shift.n,
                    "ci_method": "t over scenarios" if shift.n < len(readout.items) else "t over items",
                }
            )
    return pd.DataFrame(rows)


def matched_table(
    curve: pd.DataFrame,
    band: Mapping[str, np.ndarray],
    costs: np.ndarray,
    kinds: tuple[str, ...],
    doses: tuple[float, ...],
    strength: float,
) -> pd.DataFrame:
    """Shift of each null direction at the strength at which it costs the KL that the direction costs at its
    chosen strength.
    """
    side = [n for n, dose in enumerate(doses) if dose == 0 or np.sign(dose) == np.sign(strength)]
    steps = np.array([doses[n] for n in side])
    order = np.argsort(np.abs(steps))
    rows = []
    for name, levels in band.items():
        own = curve[(curve["read_out"] == name) & (curve["strength"] == strength)].iloc[0]
        moved = []
        for n in range(len(levels)):
            at = strength_at([doses[k] for k in side], list(costs[n, side]), float(own["kl"]))
            if np.isfinite(at):
                values = levels[n, side] - levels[n, doses.index(0.0)]
                moved.append(float(np.interp(abs(at), np.abs(steps)[order], values[order])))
        shift = np.array(moved)
        rows.append(
            {
                "read_out": name,
                "kl": float(own["kl"]),
                "shift": float(own["shift"]),
                "n_null": len(shift),
                "n_too_weak": len(kinds) - len(shift),
                "null_mean": float(shift.mean()) if len(shift) else float("nan"),
                "null_low": float(np.quantile(shift, 0.025)) if len(shift) else float("nan"),
                "null_high": float(np.quantile(shift, 0.975)) if len(shift) else float("nan"),
            }
        )
    return pd.DataFrame(rows)
