"""Step "recover": how much of an adapter's behavior, and of its self-report, does one vector give the base?

    R = (S_steered - S_base) / (S_finetuned - S_base)

Law: vectors and doses are made and chosen on development items, within a coherence gate (KL on neutral
prompts): of choices, at the dose at which the vector recovers the whole of them (R nearest to 1), so that
methods are held beside each other at one recovery. R is reported on test items; numerator and denominator are
paired by seed and by wording (of choices: scenario), both of which were drawn; their ratio has Fieller's
interval over both, and where the denominator's interval holds 0 there is no ratio: the shift stands in its
place, and the reason in its notes. R is not bounded: what overshoots recovers more than 1. Null directions
(random, and random differences of the base's activations) go the same way: dose and sign of each are chosen
on development choices, fewer of them, within the same gate.

`trained_on_report` is the report's own vector: trained on development reports at the same place, and dosed so
that it recovers the whole of the *report*. What it moves of the choices says whether they read what the
report does; its recovery of the report is the ceiling.

Results: `bridge.recovery.behavior`, `bridge.recovery.self_report` (unit "share", where arm = pole, method =
`whole_adapter`, `one_layer`, `constant_modules`, `constant`, `pc1`, `mean_difference`, `probe`, `trained`,
`trained_on_report`, `random`, `random_difference`); `..._shift` where there is no ratio. p is one-sided, of
the vector against the random directions; the rows `random` and `random_difference` are the mean of these
nulls, and their interval is the band of the draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.causal import directions
from mi_bsa.causal.material import POLES, READ_OUTS, SIGNS, UNITS
from mi_bsa.causal.options import RecoveryOptions
from mi_bsa.causal.places import Place, choose_place
from mi_bsa.causal.ratios import share, share_of_draws
from mi_bsa.causal.steered import BestDoses
from mi_bsa.core.results import Result

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material


ON_REPORT = "trained_on_report"
"""The vector that is trained on the report, and dosed by it."""
NULLS = {"random": "random directions", "random_difference": "random differences of the base's states"}
"""Kinds of null direction -> in words."""


def recover(
    material: Material,
    options: RecoveryOptions | None = None,
    *,
    place: Place | None = None,
    beside: bool = True,
    seed: int = 0,
) -> list[Result]:
    """Recovery of both read-outs at both poles by every kind of vector.

    Args:
        material: model, adapters and items.
        options: which vectors, which strengths, how many null directions.
        place: where vectors are read and added; chosen on development choices by default.
        beside: also what no verdict reads: parts of the adapter, and random differences.
        seed: of random directions and of the order of rows.
    """
    options = options or RecoveryOptions()
    place = place or choose_place(material)[0]
    best = BestDoses(material, place, options)
    base = {name: best.by_unit(name, "test", "base") for name in READ_OUTS}
    null = {kind: best.null(kind, seed) for kind in tuple(NULLS)[: 1 + beside]}
    made: dict[str, directions.Vectors] = {
        kind: directions.vectors(material, place, kind, options=options, seed=seed) for kind in options.kinds
    }
    own = directions.vectors(material, place, "trained", read_out="self_report", options=options, seed=seed)
    results: list[Result] = []
    for arm in POLES:
        sign, where = SIGNS[arm], {"behavior": material.behavior, "arm": arm, **place.where, "split": "test"}
        found = [best.adapter(arm), *(best.parts(arm) if beside else ())]
        found += [best.vectors(kind, vectors[arm], arm) for kind, vectors in made.items()]
        found.append(best.vectors(ON_REPORT, own[arm], arm, by="self_report"))
        drawn = {kind: draws[arm] for kind, draws in null.items()}
        for name in READ_OUTS:
            whole = sign * (found[0].levels[name] - base[name])
            shifts = {kind: sign * (draws[name] - base[name].mean()) for kind, draws in drawn.items()}
            alike = np.repeat(shifts["random"][:, None], len(material.seeds), 1)
            for one in found:
                # random directions are dosed by choices: no null of what is dosed by the report
                tested = one.method not in ("whole_adapter", ON_REPORT)
                results.append(
                    share(
                        f"bridge.recovery.{name}",
                        {**where, "method": one.method},
                        sign * (one.levels[name] - base[name]),
                        whole,
                        seeds=material.seeds,
                        items=UNITS[name],
                        draws=alike if tested else None,
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
                        notes="each direction at the dose and sign that development chose",
                    )
                )
    return results
