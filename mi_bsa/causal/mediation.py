"""Step "mediate": how much of what the adapter does to the report goes through the direction of the choices?

X is the adapter (off, on), M the projection on the direction at its place, token by token, Y the report's
log-odds in the same forward pass, turned so that more is more of the trained pole. M is clamped by
intervention (Pearl 2001; Vig et al. 2020, arXiv 2004.12265), on the same item:

    NIE = Y(off, M as on) - Y(off, M as off),  NDE = Y(on, M as off) - Y(off, M as off),  TE = Y(on) - Y(off)

Law: direction and place are of development prompts, effects of test items, the interval over seeds x wordings
(of choices: scenarios; both random, the two poles of a seed averaged), and NIE stands beside those of random
directions. The other way round: the report's direction, at the same place, as mediator of behavior. Each
direction's own read-out stands beside as ceiling: what does not mediate what it was made from cannot speak
about the other.

Results, where kind = read-out that is mediated (`self_report`, `behavior`), method = read-out and kind of
direction (`behavior:trained`): `bridge.mediation.nde`, `.nie` (p against random directions), `.interaction`
(TE - NDE - NIE), `.proportion` (NIE / TE, Fieller; absent, with the reason in the notes of `.nie`, where TE's
interval holds 0); `.te` once a read-out, without method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.asking.readouts import Readout
from mi_bsa.causal import directions
from mi_bsa.causal.material import READ_OUTS, SIGNS, UNITS
from mi_bsa.causal.options import MediationOptions
from mi_bsa.causal.places import Place, choose_place
from mi_bsa.core.behind import Behind
from mi_bsa.core.results import Null, Result
from mi_bsa.core.tested import UNTESTED, Tested, among
from probes import random_directions, statistics
from probes.statistics import Estimate, Mediation

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material

UNIT = "log-odds towards the pole"
RANDOM = "random directions"


def mediate(
    material: Material,
    options: MediationOptions | None = None,
    *,
    place: Place | None = None,
    beside: bool = True,
    seed: int = 0,
) -> list[Result]:
    """Mediation of each read-out by the directions of each.

    Args:
        material: model, adapters and items.
        options: which directions, how many null directions.
        place: of the directions; chosen on development choices by default.
        beside: also what no verdict reads: choices as what is mediated, reports as what directions are of.
        seed: of random directions.
    """
    options = options or MediationOptions()
    place = place or choose_place(material)[0]
    rng = np.random.default_rng(seed)
    random = random_directions(options.random, material.model.d_model, rng=rng)
    results = []
    for mediated in READ_OUTS if beside else ("self_report",):
        runs = Runs(material, mediated, place)
        null = runs.indirect(random if mediated == "self_report" else random[: options.beside])
        where = {"behavior": material.behavior, "kind": mediated, "split": "test"}
        effects = None
        for source in READ_OUTS if beside else ("behavior",):
            for kind in options.kinds:
                found = directions.vectors(material, place, kind, read_out=source, seed=seed)
                four = runs.by_unit(found)
                effects = statistics.mediation(*four)
                here = {**where, **place.where, "method": f"{source}:{kind}"}
                results += _results(effects, here, null, runs.behind(four, null))
        if effects is not None:
            results.append(_one("te", effects.te, where, notes="the adapter on less off"))
    return results


class Runs:
    """A read-out with the adapter off and on, and with the mediator of one taken from the other."""

    def __init__(self, material: Material, read_out: str, place: Place) -> None:
        self.material, self.place, self.mediated = material, place, read_out
        self.readout: Readout = material.of(read_out, "test")
        names = ("base", *(adapter for _, _, adapter in material.pairs))
        self.states = {
            name: material.states(self.readout, place.site, variant=name)[place.site] for name in names
        }
        self.plain = {
            name: log_odds(self.readout, material.plain(self.readout, name)[None])[0] for name in names
        }

    def mediation(self, vectors: directions.Vectors) -> Mediation:
        """Effects over seeds x wordings (scenarios). `vectors`: each pole's own direction, one a seed."""
        return statistics.mediation(*self.by_unit(vectors))

    def by_unit(self, vectors: directions.Vectors) -> tuple[Float[np.ndarray, "seed unit"], ...]:
        """The four runs of `statistics.mediation`: off, on, on with the mediator off, off with the mediator
        on; by wording or scenario, the two poles of a seed averaged, more being more of its pole.
        """
        off, on, direct, indirect = (
            np.zeros((len(self.material.seeds), len(self.readout.items))) for _ in range(4)
        )
        for arm, n, adapter in self.material.pairs:
            sign, v = SIGNS[arm] / 2, vectors[arm][n][None]
            off[n] += sign * self.plain["base"]
            on[n] += sign * self.plain[adapter]
            direct[n] += sign * self._clamped(adapter, v, "base")[0]
            indirect[n] += sign * self._clamped("base", v, adapter)[0]
        return tuple(self.readout.units(run) for run in (off, on, direct, indirect))

    def behind(
        self, four: tuple[Float[np.ndarray, "seed unit"], ...], null: Float[np.ndarray, " draw"]
    ) -> dict[str, Behind]:
        """The cells of NIE, and of its share of TE."""
        off, on, _, indirect = four
        names, drawn = self.readout.unit_names, UNITS[self.mediated]
        nie = Behind(indirect - off, items=names, drawn=drawn, draws=null, null_kind=RANDOM)
        return {"nie": nie, "proportion": replace(nie, bottom=on - off, draws=None)}

    def indirect(self, vectors: Float[np.ndarray, "draw d"]) -> Float[np.ndarray, " draw"]:
        """NIE of many directions, mean over adapters and wordings (scenarios)."""
        found = np.zeros(len(vectors))
        for arm, _, adapter in self.material.pairs:
            moved = self._clamped("base", vectors, adapter) - self.plain["base"]
            found += SIGNS[arm] * self.readout.units(moved).mean(1) / len(self.material.pairs)
        return found

    def _clamped(
        self, variant: str, vectors: Float[np.ndarray, "condition d"], as_in: str
    ) -> Float[np.ndarray, "condition item"]:
        """Y where the projection on each condition's direction is what it is in another run, token by
        token.
        """
        clamped = self.place.clamping(self.readout.rows, vectors, self.states[as_in])
        return log_odds(self.readout, self.material.logits(self.readout, clamped, variant=variant))


def log_odds(
    readout: Readout, logits: Float[np.ndarray, "condition item option"]
) -> Float[np.ndarray, "condition item"]:
    """log(s / (1 - s)) of each item's expected score s, from its options' logits."""
    masked = np.where(readout.real, logits, -np.inf)
    logs = masked - np.logaddexp.reduce(masked, axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        up, down = np.log(readout.scores), np.log1p(-readout.scores)
    odds: np.ndarray = np.logaddexp.reduce(logs + up, axis=-1) - np.logaddexp.reduce(logs + down, axis=-1)
    return odds


def _results(
    effects: Mediation,
    where: dict[str, Any],
    null: Float[np.ndarray, " draw"],
    behind: Mapping[str, Behind],
) -> list[Result]:
    tested = among(effects.nie.value, null, RANDOM)
    reason = "" if effects.proportion else f"proportion {effects.proportion_note}"
    found = [
        _one("nde", effects.nde, where),
        _one("nie", effects.nie, where, tested=tested, notes=reason, behind=behind["nie"]),
        _one("interaction", effects.interaction, where, notes="TE - NDE - NIE"),
    ]
    if effects.proportion is not None:
        band = Tested(null=Null.of(RANDOM, null / effects.te.value))
        share, kept = effects.proportion, behind["proportion"]
        found.append(_one("proportion", share, where, unit="NIE / TE", tested=band, behind=kept))
    return found


def _one(
    name: str,
    estimate: Estimate,
    where: dict[str, Any],
    *,
    unit: str = UNIT,
    tested: Tested = UNTESTED,
    notes: str = "",
    behind: Behind | None = None,
) -> Result:
    return Result(
        name=f"bridge.mediation.{name}",
        where=where,
        value=estimate.value,
        ci=(estimate.low, estimate.high),
        ci_method=estimate.method,
        n=estimate.units,
        unit=unit,
        rows=estimate.n,
        null=tested.null,
        p=tested.p,
        test=tested.test,
        p_floor=tested.floor,
        notes=notes,
        behind=behind,
    )
