"""Step "geometry": are two directions the same, and do they do the same?

Law: signed cosines at one place, pole against pole, one direction a seed. Beside each
cosine stand the null (random differences of the base's own states), and the ceiling that two families can
reach, from their cosines between seeds. Directions that do the same may have a cosine near 0, so what they do
stands beside: the correlation, over test items of both read-outs, of the shifts that each gives the base.

Results: `bridge.geometry.cosine` (p two-sided against the null), `bridge.geometry.functional`; kind = what is
compared (`seeds`, `read_outs`, `kinds`, `ranks`, `behaviors`), method = the two (`trained / constant`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.causal import directions
from mi_bsa.causal.doses import dose_in_words
from mi_bsa.causal.material import POLES, READ_OUTS
from mi_bsa.causal.options import GeometryOptions
from mi_bsa.causal.places import Place, choose_place
from mi_bsa.causal.steered import differences, typical_norm
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Null, Result
from mi_bsa.core.tested import Tested
from probes import Direction, StatisticsError, compare, functional_similarity
from probes.statistics.permutation import p_of_count

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material

SeedDirections = Float[np.ndarray, "seed d_model"]
DRAWS = 200
"""Random-difference directions behind a cosine's null."""


def geometry(
    material: Material,
    options: GeometryOptions | None = None,
    *,
    place: Place | None = None,
    seed: int = 0,
) -> list[Result]:
    """All cosines and functional similarities that the material's arms allow.

    Args:
        material: model, adapters and items; arms `wrong_seeking`, `wrong_averse` and `rank<k>_seeking`,
            `rank<k>_averse` are compared with the study's own where they are there.
        options: kinds and items.
        place: where directions are read; chosen on development choices by default.
        seed: of the null and of trained vectors.
    """
    options = options or GeometryOptions()
    place = place or choose_place(material)[0]
    drawn = differences(material, place, DRAWS, rng=np.random.default_rng(seed))
    norm = typical_norm(material, place)
    effects = Effects(material, place, options.items)
    results = []
    for kind, label, first, second in _pairs(material, place, options, seed):
        where = {
            "behavior": material.behavior,
            **place.where,
            "method": label,
            "kind": kind,
            "split": "dev",
        }
        count = min(len(first), len(second))
        results.append(cosine(where, first[:count], second[:count], place, drawn, material.seeds[:count]))
        similar = _functional(effects, first[:count], second[:count], place)
        if similar is not None:
            notes = _added(first[:count], second[:count], norm)
            results.append(_similar({**where, "split": "test"}, similar, material.seeds[:count], notes))
    return results


def _pairs(
    material: Material, place: Place, options: GeometryOptions, seed: int
) -> Iterator[tuple[str, str, SeedDirections, SeedDirections]]:
    """(kind, label, family, family) of everything that is compared, paired by seed."""

    def family(kind: Any, read_out: str = "behavior", arms: tuple[str, str] = POLES) -> SeedDirections:
        found = directions.vectors(material, place, kind, read_out=read_out, arms=arms, seed=seed)
        return directions.direction(found)

    for kind in options.kinds:
        own = family(kind)
        yield "seeds", f"{kind}: seed / next seed", own, np.roll(own, -1, axis=0)
        yield "read_outs", f"{kind}: choices / reports", own, family(kind, "self_report")
    for one, other in itertools.combinations(options.kinds, 2):
        yield "kinds", f"{one} / {other}", family(one), family(other)
    kind = options.kinds[0]
    for arm in material.arms:
        if arm.startswith("rank") and arm.endswith("_seeking"):
            rank = arm.removesuffix("_seeking")
            yield (
                "ranks",
                f"{kind}: own rank / {rank}",
                family(kind),
                family(kind, arms=(arm, f"{rank}_averse")),
            )
    if "wrong_seeking" in material.arms and "wrong_averse" in material.arms:
        wrong = family(kind, arms=("wrong_seeking", "wrong_averse"))
        yield "behaviors", f"{kind}: own / wrong behavior", family(kind), wrong


def cosine(
    where: dict[str, Any],
    first: SeedDirections,
    second: SeedDirections,
    place: Place,
    drawn: np.ndarray,
    seeds: tuple[int, ...],
    *,
    name: str = "bridge.geometry.cosine",
) -> Result:
    """Signed cosine of two families, paired by seed, beside null directions `drawn` and the seed ceiling."""
    families = [[Direction(v, place.site) for v in family] for family in (first, second)]
    found = compare(families[0], families[1], null=drawn)
    each = tuple(float(a.cosine(b)) for a, b in zip(*families, strict=True))
    ceiling = "" if found.ceiling is None else f"seed ceiling {found.ceiling:.2f}; "
    band = f"analytic band of random directions [{found.analytic_low:.2f}, {found.analytic_high:.2f}]"
    null = Null(
        "random differences of the base's states",
        found.n_null,
        found.null_mean,
        found.null_low,
        found.null_high,
    )
    return over_seeds(
        name,
        where,
        each,
        seeds,
        unit="signed cosine",
        scale="fisher",
        null=null,
        tested=Tested.of(
            found.null_p, f"{null.kind}, {null.n} draws, two-sided", floor=float(p_of_count(0, null.n))
        ),
        notes=ceiling + band,
    )


class Effects:
    """What a direction, added to the base at its own length, does to every test item of both read-outs."""

    def __init__(self, material: Material, place: Place, items: int) -> None:
        self.material, self.place = material, place
        self.readouts = [material.of(name, "test", items=items) for name in READ_OUTS]
        self._known: dict[bytes, np.ndarray] = {}
        self.base = [r.score(material.logits(r))[0] for r in self.readouts]

    def __call__(self, direction: Direction) -> np.ndarray:
        key = direction.raw.tobytes()
        if key not in self._known:
            self._known[key] = self._moved(direction)
        return self._known[key]

    def _moved(self, direction: Direction) -> np.ndarray:
        moved = []
        for readout, plain in zip(self.readouts, self.base, strict=True):
            added = self.place.adding(readout.rows, direction.raw[None])
            moved.append(readout.score(self.material.logits(readout, added))[0] - plain)
        return np.concatenate(moved)


def _functional(
    effects: Effects, first: SeedDirections, second: SeedDirections, place: Place
) -> list[float] | None:
    """Correlation over items of what two directions do, seed by seed; None where one does nothing."""
    found = []
    for a, b in zip(first, second, strict=True):
        try:
            pair = (Direction(a, place.site), Direction(b, place.site))
            found.append(functional_similarity(*pair, effects).value)
        except StatisticsError:
            return None
    return found


def _added(first: SeedDirections, second: SeedDirections, norm: float) -> str:
    each = (dose_in_words(np.linalg.norm(family, axis=1), norm) for family in (first, second))
    return f"shifts of both read-outs' test items; each added at its own length: {' and '.join(each)}"


def _similar(where: dict[str, Any], values: list[float], seeds: tuple[int, ...], notes: str) -> Result:
    name, unit = "bridge.geometry.functional", "correlation over items"
    return over_seeds(name, where, values, seeds, unit=unit, scale="fisher", notes=notes)
