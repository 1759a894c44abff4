"""Doses: what vectors at many strengths do to read-outs and what they cost, as rows of few large batches.

The law: the curve of the direction itself is asked as every item is asked (`ask` under `activations.edit`);
null directions
are scored by the batched engine, which the tests hold to the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mi_bsa.asking.asking import ask
from mi_bsa.asking.readouts import Readout
from mi_bsa.causal.coherence import answer_perplexity, strength_at
from probes import Direction
from probes.statistics import Estimate, t_interval

if TYPE_CHECKING:
    from activations import Model


def scores_of(
    model: Model, site: str, vectors: np.ndarray, readout: Readout, batch_tokens: int
) -> np.ndarray:
    """(vector, item)."""
    from activations.injection import option_logits

    logits = option_logits(
        model, readout.rows, site, vectors, tokens=readout.tokens, batch_tokens=batch_tokens
    )
    return readout.score(logits)


def levels_of(
    model: Model, site: str, vectors: np.ndarray, readout: Readout, doses: Sequence[float], batch_tokens: int
) -> np.ndarray:
    """Mean score over units, (vector, dose)."""
    scaled = np.concatenate([vectors * dose for dose in doses])
    scores = readout.units(scores_of(model, site, scaled, readout, batch_tokens)).mean(-1)
    levels: np.ndarray = scores.reshape(len(doses), len(vectors)).T
    return levels


def costs_of(
    model: Model,
    site: str,
    vectors: np.ndarray,
    texts: Sequence[Any],
    doses: Sequence[float],
    batch_tokens: int,
) -> np.ndarray:
    """KL on neutral text, (vector, dose)."""
    from activations.injection import divergence

    scaled = np.concatenate([vectors * dose for dose in doses])
    return (
        divergence(model, texts, site, scaled, batch_tokens=batch_tokens).reshape(len(doses), len(vectors)).T
    )


def slot_activations(model: Model, site: str, rows: Sequence[Any]) -> np.ndarray:
    """The site's values at each row's answer slot, (row, d_model)."""
    from activations import Site, hooks

    place = Site.parse(site)
    found = np.empty((len(rows), model.d_model), np.float32)
    for batch in model.batches(rows):
        value = hooks.read(model, batch, [place], hooks.whole)[place]
        for line, example in enumerate(batch.examples):
            found[example] = value[line, len(rows[example]) - 1].float().cpu().numpy()
    return found


def development_table(
    model: Model,
    direction: Direction,
    early: Mapping[str, Readout],
    texts: Sequence[Any],
    doses: tuple[float, ...],
    max_kl: float,
    batch_tokens: int,
) -> pd.DataFrame:
    raw = (direction.vector * float(direction.scale or 0))[None]
    cost = costs_of(model, direction.site, raw, texts, doses, batch_tokens)[0]
    rows = []
    for name, readout in early.items():
        level = levels_of(model, direction.site, raw, readout, doses, batch_tokens)[0]
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
    model: Model,
    direction: Direction,
    late: Mapping[str, Readout],
    texts: Sequence[Any],
    neutral: Sequence[Any],
    doses: tuple[float, ...],
    batch_tokens: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The chosen direction on the report items, asked as every item is asked, under `activations.edit`."""
    import activations

    cost = costs_of(
        model,
        direction.site,
        (direction.vector * float(direction.scale or 0))[None],
        texts,
        doses,
        batch_tokens,
    )[0]
    chat = [
        prompt
        for prompt in neutral
        if isinstance(prompt, list) or (isinstance(prompt, dict) and "messages" in prompt)
    ]
    answers = []
    frames = []
    for n, dose in enumerate(doses):
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
                over_units(readout.units(here["score"].to_numpy())),
                over_units(readout.units(here["score"].to_numpy()) - zero),
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


def over_units(values: np.ndarray) -> Estimate:
    return t_interval(values)


def banded(curve: pd.DataFrame, band: Mapping[str, np.ndarray], doses: tuple[float, ...]) -> pd.DataFrame:
    columns = [band[row.read_out][:, doses.index(row.strength)] for row in curve.itertuples()]
    low, high = (np.array([np.quantile(draws, q) for draws in columns]) for q in (0.025, 0.975))
    return curve.assign(
        null_mean=[float(draws.mean()) for draws in columns],
        null_low=low,
        null_high=high,
        null_n=[len(d) for d in columns],
    )


def others_table(
    model: Model,
    others: Mapping[str, list[Direction]],
    chosen: Direction,
    strength: float,
    late: Mapping[str, Readout],
    batch_tokens: int,
) -> pd.DataFrame:
    """Wrong-behavior directions with the norm of the chosen one, at its site and strength."""
    rows: list[dict[str, Any]] = []
    for label, group in others.items():
        other = next(one for one in group if one.site == chosen.site)
        for name, readout in late.items():
            pair = np.stack([np.zeros(model.d_model), other.vector * float(chosen.scale or 0) * strength])
            scores = readout.units(scores_of(model, chosen.site, pair, readout, batch_tokens))
            shift = over_units(scores[1] - scores[0])
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
