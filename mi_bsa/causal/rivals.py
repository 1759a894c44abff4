"""Step "rivals": does what is optimized as the handle is, for something else, move the report as much?

Any vector that is optimized can move a model along a way that it does not use by itself (the illusion of
subspace patching: Makelov, Lange and Nanda 2023, arXiv 2311.17030). A random direction is not optimized, so
it is no rival. These are:

* `shuffled_choices`: trained by the same code, at the same place, on the same development choices, each with
  the answer of a randomly chosen pole's adapter, half of them of either pole (`shuffles` of them a seed); the
  other pole's vector gets the other half, so that nothing of the pole is left in what both are trained for.
* `neighbor_choices`: trained alike on what the neighbor behavior's adapters (arms `wrong_seeking`,
  `wrong_averse`) choose on the neighbor's development choices.

Law: a rival is dosed where it recovers of its *own* target, on development items, what the handle recovers of
its; where it cannot within the coherence gate, at the handle's own length, and the notes say which. It is
asked the handle's test items. Its target has no pole of this behavior, so what it moves counts either way:
the absolute value of what its two poles' vectors move apart, half of it, as of the handle.

Results, paired by seed and wording (of choices, scenario), both drawn, p by t over both against 0, where
method = rival: `bridge.rival.self_report` (the handle's report shift less the rival's),
`bridge.rival.behavior` (the same of choices), `bridge.rival.shift` (the rival's own, kind = read-out).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mi_bsa.causal import directions
from mi_bsa.causal.levels import RivalShift
from mi_bsa.causal.material import POLES, READ_OUTS, SIGNS, UNITS
from mi_bsa.causal.options import RecoveryOptions, RivalOptions
from mi_bsa.causal.places import Place, choose_place
from mi_bsa.causal.steered import Aim, BestDoses
from mi_bsa.core.over_seeds import over_seeds_and_items
from mi_bsa.core.results import Result

if TYPE_CHECKING:
    from mi_bsa.asking.readouts import Readout
    from mi_bsa.causal.material import Material

WRONG = ("wrong_seeking", "wrong_averse")
"""Arms of the neighbor behavior."""
NEIGHBOR = "neighbor_choice-dev"
"""The set that the neighbor's vectors are trained and dosed on."""
MATCHED = 0.05
"""Shares of their own targets that differ by less than this are the same."""
UNIT = "difference of P(seeking pole)"


@dataclass(frozen=True, eq=False)
class Rival:
    """Vectors of one rival, by pole.

    Attributes:
        method: which.
        vectors: {pole: (vector, d_model)}; both poles' vectors at one place belong together.
        aims: {pole: what they are dosed by}.
        seeds: place in the material's seeds of each vector.
    """

    method: str
    vectors: dict[str, Float[np.ndarray, "vector d"]]
    aims: dict[str, Aim]
    seeds: np.ndarray


def measure(
    material: Material,
    recovery: RecoveryOptions | None = None,
    options: RivalOptions | None = None,
    *,
    place: Place | None = None,
    seed: int = 0,
) -> list[RivalShift]:
    """What the handle and each of its rivals move.

    Args:
        material: model, adapters and items; the neighbor's rival needs the arms `wrong_seeking` and
            `wrong_averse` and the set `neighbor_choice-dev`, and is left out without them.
        recovery: how the handle was trained and dosed.
        options: how many shuffles.
        place: of the handle; chosen on development choices by default.
        seed: of shuffles and of the order of items.
    """
    recovery, options = recovery or RecoveryOptions(), options or RivalOptions()
    place = place or choose_place(material)[0]
    best = BestDoses(material, place, recovery)
    handle = directions.vectors(material, place, "trained", options=recovery, seed=seed)
    own = {arm: handle[arm] / np.linalg.norm(handle[arm], axis=1, keepdims=True) for arm in POLES}
    aims = {arm: best.aim(arm) for arm in POLES}
    chosen = {arm: best.dosed(own[arm], aims[arm]) for arm in POLES}
    lengths = {arm: float(chosen[arm].doses[0]) for arm in POLES}
    whole = {arm: aims[arm].whole for arm in POLES}
    reached = {arm: float(chosen[arm].shifts[0]) / whole[arm] if whole[arm] else 0.0 for arm in POLES}
    shifts = _apart(best, {arm: own[arm] * lengths[arm] for arm in POLES})
    found = []
    asked = [_shuffled(material, place, aims, recovery, options, seed)]
    if all(len(material.arms.get(arm, ())) > 1 for arm in WRONG) and material.sets.get(NEIGHBOR):
        asked.append(_neighbor(material, place, recovery, seed))
    for rival in asked:
        added, told = {}, []
        for arm, given in rival.vectors.items():
            unit = given / np.linalg.norm(given, axis=1, keepdims=True)
            target = rival.aims[arm].whole
            own_dose = best.dosed(unit, rival.aims[arm], share=reached[arm])
            share = float(own_dose.shifts[0]) / target if target > 0 else 0.0
            matched = bool(own_dose.within[0]) and target > 0 and share >= reached[arm] - MATCHED
            dose = float(own_dose.doses[0]) if matched else lengths[arm]
            added[arm] = unit * dose
            how = "at the handle's share of its own target" if matched else "at the handle's own length"
            told.append(f"{arm} {how}: {share:.2f} against {reached[arm]:.2f}, dose {dose:.3g}")
        found.append(_beside(material, place, rival, shifts, _apart(best, added), "; ".join(told)))
    return found


def scored(found: RivalShift, read_outs: Sequence[str] = tuple(READ_OUTS)) -> Iterator[Result]:
    """The handle less one rival, and the rival's own, of each read-out."""
    where = {"behavior": found.behavior, **found.place.where, "method": found.method, "split": "test"}
    for name in read_outs:
        yield over_seeds_and_items(
            f"bridge.rival.{name}",
            where,
            found.handle[name] - found.own[name],
            found.seeds,
            unit=UNIT,
            items=UNITS[name],
            named=found.units if name == "self_report" else (),
            within=(-1.0, 0.5),
            chance=0.0,
            notes=found.notes,
        )
        yield over_seeds_and_items(
            "bridge.rival.shift",
            {**where, "kind": name},
            found.own[name],
            found.seeds,
            unit=UNIT,
            items=UNITS[name],
            within=(0.0, 0.5),
            notes="either way",
        )


def _shuffled(
    material: Material,
    place: Place,
    aims: dict[str, Aim],
    recovery: RecoveryOptions,
    options: RivalOptions,
    seed: int,
) -> Rival:
    """Choices whose poles are shuffled, all trained beside each other."""
    readout = material.of("behavior", "dev")
    count, items = len(material.seeds), len(readout.items)
    rng = np.random.default_rng([seed, *b"rivals"])
    half = np.arange(items) % 2 == 0
    seeking = np.stack([rng.permutation(half) for _ in range(count * options.shuffles)])
    seeds = np.repeat(np.arange(count), options.shuffles)
    shares = {arm: _shares(material, readout, material.arms[arm])[seeds] for arm in POLES}
    parts, signs, scores = [], [], []
    for mine, other, taken in ((*POLES, seeking), (*POLES, ~seeking)):
        parts.append(np.where(taken[..., None], shares[mine], shares[other]))
        scores.append(np.where(taken, aims[mine].wanted[seeds], aims[other].wanted[seeds]))
        signs.append(np.where(taken, SIGNS[mine], SIGNS[other]))
    found = directions.fit(material, place, readout, np.concatenate(parts), options=recovery, seed=seed)
    base = aims[POLES[0]].base
    return Rival(
        "shuffled_choices",
        dict(zip(POLES, np.split(found, 2), strict=True)),
        {arm: Aim(readout, base, scores[n], signs[n]) for n, arm in enumerate(POLES)},
        seeds,
    )


def _neighbor(material: Material, place: Place, recovery: RecoveryOptions, seed: int) -> Rival:
    """The neighbor's choices, as its own adapters choose."""
    readout = material.readout(NEIGHBOR)
    count = min(len(material.seeds), *(len(material.arms[arm]) for arm in WRONG))
    names = {pole: material.arms[arm][:count] for pole, arm in zip(POLES, WRONG, strict=True)}
    wanted = np.concatenate([_shares(material, readout, own) for own in names.values()])
    found = directions.fit(material, place, readout, wanted, options=recovery, seed=seed)
    base = material.scores(readout)
    aims = {}
    for pole, own in names.items():
        scores = np.stack([material.scores(readout, name) for name in own])
        aims[pole] = Aim(readout, base, scores, np.full(scores.shape, SIGNS[pole]))
    vectors = dict(zip(POLES, np.split(found, 2), strict=True))
    return Rival("neighbor_choices", vectors, aims, np.arange(count))


def _shares(material: Material, readout: Readout, names: tuple[str, ...]) -> np.ndarray:
    """Each adapter's shares of the options, (adapter, item, option)."""
    return np.stack([readout.shares(material.plain(readout, name)) for name in names])


def _apart(best: BestDoses, added: dict[str, np.ndarray]) -> dict[str, Float[np.ndarray, "vector unit"]]:
    """{read-out: half of what the two poles' vectors move each test wording (or scenario) apart}, signed."""
    found = {}
    for name in READ_OUTS:
        up, down = (best.levels(name, added[arm]) for arm in POLES)
        found[name] = (up - down) / 2
    return found


def either_way(moved: Float[np.ndarray, "vector unit"]) -> Float[np.ndarray, "vector unit"]:
    """What vectors move, each turned round if its mean over units is below 0; so its mean is the absolute
    value of its mean, and units still say by how much it varies."""
    turned: np.ndarray = np.where(moved.mean(1, keepdims=True) < 0, -moved, moved)
    return turned


def _beside(
    material: Material,
    place: Place,
    rival: Rival,
    handle: dict[str, np.ndarray],
    moved: dict[str, np.ndarray],
    told: str,
) -> RivalShift:
    """A rival beside the handle of its seeds."""
    there = np.unique(rival.seeds)
    own = {}
    for name in READ_OUTS:
        either = either_way(moved[name])
        own[name] = np.stack([either[rival.seeds == n].mean(0) for n in there])
    return RivalShift(
        material.behavior,
        place,
        rival.method,
        tuple(material.seeds[n] for n in there),
        material.of("self_report", "test").unit_names,
        own,
        {name: handle[name][there] for name in READ_OUTS},
        told,
    )
