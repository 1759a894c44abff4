"""Step "recover": how much of an adapter's behavior, and of its self-report, does one vector give the base?

    R = (S_steered - S_base) / (S_finetuned - S_base)

Law: vectors and doses are made and chosen on development items, within a coherence gate (KL on neutral
prompts): of choices, at the dose at which the vector recovers the whole of them (R nearest to 1), so that
methods are held beside each other at one recovery. R is reported on test items; numerator and denominator are
paired by seed and by wording (of choices: scenario), both of which were drawn; their ratio has Fieller's
interval over both, and where the denominator's interval holds 0 there is no ratio: the shift stands in its
place, and the reason in its notes. R is not bounded: what overshoots recovers more than 1.

Null directions (random, and random differences of the base's activations) are the handle's: as long as it is
at either pole, one pole given the direction and the other its opposite. They say what an edit of that size
does whatever its direction; what a vector that was asked for something does at a matched recovery is said by
rivals (`rivals.py`). docs/decisions/0023.

`trained_on_report` is the report's own vector: trained on development reports at the same place, and dosed so
that it recovers the whole of the *report*. What it moves of the choices says whether they read what the
report does; its recovery of the report is the ceiling.

Results: `bridge.recovery.behavior`, `bridge.recovery.self_report` (unit "share", where arm = pole, method =
`whole_adapter`, `one_layer`, `constant_modules`, `constant`, `pc1`, `mean_difference`, `probe`, `trained`,
`trained_on_report`, `random`, `random_difference`); `bridge.recovery.apart` (kind = read-out, of the handle:
what its two poles' vectors move apart, over what lies between the poles of the finetuned models);
`..._shift` where there is no ratio. p is two-sided, as a random direction and its opposite are one draw: of
the handle against the random directions, and of no other vector; the verdict reads that of `apart`. The rows
`random` and `random_difference` are the mean of these nulls, and their interval is the band of the draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mi_bsa.causal import directions
from mi_bsa.causal.handle import HANDLE, ON_REPORT
from mi_bsa.causal.levels import Recovered
from mi_bsa.causal.material import POLES, READ_OUTS, SIGNS, UNITS
from mi_bsa.causal.options import RecoveryOptions
from mi_bsa.causal.places import Place, choose_place
from mi_bsa.causal.ratios import share, share_of_draws
from mi_bsa.causal.steered import BestDoses
from mi_bsa.core.results import Result

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material


WHOLE = "whole_adapter"
NULLS = {"random": "random directions", "random_difference": "random differences of the base's states"}
"""Kinds of null direction -> in words."""


def measure(
    material: Material,
    options: RecoveryOptions | None = None,
    *,
    place: Place | None = None,
    beside: bool = True,
    drawn: bool = True,
    seed: int = 0,
) -> Recovered:
    """Levels of both read-outs at both poles with every kind of vector.

    Args:
        material: model, adapters and items.
        options: which vectors, which strengths, how many null directions; without `trained` among the vectors
            there is no handle, and no null.
        place: where vectors are read and added; chosen on development choices by default.
        beside: also what no verdict reads: parts of the adapter, and random differences.
        drawn: also null directions; without them there is no p, and no `bridge.recovery.apart`.
        seed: of random directions and of the order of rows.
    """
    options = options or RecoveryOptions()
    place = place or choose_place(material)[0]
    best = BestDoses(material, place, options)
    base = {name: best.by_unit(name, "test", "base") for name in READ_OUTS}
    made: dict[str, directions.Vectors] = {
        kind: directions.vectors(material, place, kind, options=options, seed=seed) for kind in options.kinds
    }
    own = directions.vectors(material, place, "trained", read_out="self_report", options=options, seed=seed)
    found = {}
    for arm in POLES:
        ways = [best.adapter(arm), *(best.parts(arm) if beside else ())]
        ways += [best.vectors(kind, vectors[arm], arm) for kind, vectors in made.items()]
        ways.append(best.vectors(ON_REPORT, own[arm], arm, by="self_report"))
        found[arm] = {one.method: one for one in ways}
    null = {}
    if HANDLE in made and drawn:
        doses = {arm: found[arm][HANDLE].dose for arm in POLES}
        null = {kind: best.null(kind, doses, seed) for kind in tuple(NULLS)[: 1 + beside]}
    units = {name: material.of(name, "test").unit_names for name in READ_OUTS}
    return Recovered(material.behavior, material.seeds, place, units, base, found, null)


def scored(levels: Recovered, handle: str = HANDLE) -> list[Result]:
    """The shares of all that was measured at a place.

    Args:
        levels: what was measured.
        handle: method of the handle, beside whose shares the null stands.
    """
    base, found = levels.base, levels.ways
    results: list[Result] = []
    for arm in POLES:
        where = {"behavior": levels.behavior, "arm": arm, **levels.place.where, "split": "test"}
        for name in READ_OUTS:
            sign = SIGNS[arm]
            whole = sign * (found[arm][WHOLE].levels[name] - base[name])
            shifts = {
                kind: sign * (draws[arm][name].mean(1) - base[name].mean())
                for kind, draws in levels.null.items()
            }
            for one in found[arm].values():
                results.append(
                    share(
                        f"bridge.recovery.{name}",
                        {**where, "method": one.method},
                        sign * (one.levels[name] - base[name]),
                        whole,
                        seeds=levels.seeds,
                        items=UNITS[name],
                        named=levels.units[name],
                        draws=_each_seed(shifts["random"], levels)
                        if shifts and one.method == handle
                        else None,
                        alternative="two-sided",
                        notes=one.notes,
                    )
                )
            for kind, shift in shifts.items():
                results.append(
                    share_of_draws(
                        f"bridge.recovery.{name}",
                        {**where, "method": kind},
                        shift,
                        whole,
                        kind=NULLS[kind],
                        notes="as long as the handle; a direction at one pole, its opposite at the other",
                    )
                )
    return [*results, *_apart(levels, handle)] if levels.null else results


def _apart(levels: Recovered, handle: str) -> Iterator[Result]:
    """What the handle's two vectors of a pair move apart, of what lies between the finetuned poles."""
    where = {"behavior": levels.behavior, **levels.place.where, "method": handle, "split": "test"}
    ways, null = levels.ways, levels.null["random"]
    for name in READ_OUTS:
        by = {m: ways["seeking"][m].levels[name] - ways["averse"][m].levels[name] for m in (handle, WHOLE)}
        yield share(
            "bridge.recovery.apart",
            {**where, "kind": name},
            by[handle],
            by[WHOLE],
            seeds=levels.seeds,
            items=UNITS[name],
            named=levels.units[name],
            draws=_each_seed(null["seeking"][name].mean(1) - null["averse"][name].mean(1), levels),
            alternative="two-sided",
            notes="both poles; a null direction at one of them, its opposite at the other",
        )


def _each_seed(draws: Float[np.ndarray, " draw"], levels: Recovered) -> Float[np.ndarray, "draw seed"]:
    """Null directions are the same for all seeds."""
    return np.repeat(draws[:, None], len(levels.seeds), 1)
