"""Step "ablate": what remains of behavior, report and neighbors when a direction is taken out of the tuned
model?

Law: the direction is of the choices (development prompts), the items are of the test split, and what remains
is pole against pole, (seeking - averse) with the direction out over (seeking - averse) as it was, paired by
seed and wording, both of which were drawn (Fieller); so what the removal does to both poles alike cancels.
`position` says where it is taken out: at its own place, or at all blocks and tokens (`everywhere`, Arditi et
al. 2024, arXiv 2406.11717). Erasure (LEACE) at the place takes out all that a linear probe can read of the
pole there. Random directions are taken out the same way.

Results: `bridge.necessity.behavior`, `bridge.necessity.self_report` (unit "share kept": 1 nothing lost, 0
nothing left; method = the kind of direction, or `leace`), `bridge.necessity.neighbor_behavior`,
`bridge.necessity.neighbor_self_report` (how far the untrained trait moves, mean over poles); where no share
can be had, `..._shift`, what remains of (seeking - averse). p is one-sided: how often a random direction
leaves as little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

import activations
from activations import engine
from mi_bsa.causal import directions
from mi_bsa.causal.material import POLES, READ_OUTS, UNITS
from mi_bsa.causal.options import DirectionKind, NecessityOptions
from mi_bsa.causal.places import Place, choose_place
from mi_bsa.causal.ratios import share
from mi_bsa.core.over_seeds import over_seeds_and_items
from mi_bsa.core.results import Result
from probes import random_directions

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material

NEIGHBORS = {"neighbor_behavior": "neighbor_choice-test", "neighbor_self_report": "neighbor_report-test"}


def ablate(
    material: Material,
    options: NecessityOptions | None = None,
    *,
    place: Place | None = None,
    beside: bool = True,
    drawn: bool = True,
    seed: int = 0,
) -> list[Result]:
    """What remains without the direction, and without what LEACE erases.

    Args:
        material: model, adapters and items; sets `neighbor_choice-test` and `neighbor_report-test` are used
            where they are there.
        options: which directions, how many null directions.
        place: where the direction is read; chosen on development choices by default.
        beside: also what no verdict reads: choices and neighbors, all blocks and tokens, LEACE, and the
            projection set to the base's.
        drawn: also without each of the null directions; else there is no p.
        seed: of random directions.
    """
    options = options or NecessityOptions()
    place = place or choose_place(material)[0]
    sets = {name: f"{stem}-test" for name, stem in READ_OUTS.items() if beside or name == "self_report"}
    if beside:
        sets |= {name: own for name, own in NEIGHBORS.items() if material.sets.get(own)}
    made = {kind: directions.vectors(material, place, kind, seed=seed) for kind in options.kinds}
    rng = np.random.default_rng(seed)
    random = random_directions(max(options.random, options.beside), material.model.d_model, rng=rng)
    few = random[: options.beside]
    eraser = _eraser(material, place) if beside else None
    results = []
    for name, own in sets.items():
        cut = Cut(material, own, place)
        full = cut.levels()
        for scope in (place.scope, "everywhere") if beside and options.everywhere else (place.scope,):
            everywhere = scope == "everywhere"
            left: dict[str, np.ndarray] = {
                kind: cut.without(vectors, everywhere=everywhere) for kind, vectors in made.items()
            }
            if eraser is not None and not everywhere:
                left["leace"] = cut.levels(eraser)
            null = random[: options.random] if name == "self_report" and not everywhere else few
            draws = cut.without_each(null, everywhere=everywhere) if drawn and name in READ_OUTS else None
            for method, levels in left.items():
                place_of = {**place.where, "position": scope, "method": method, "split": "test"}
                here = {"behavior": material.behavior, **place_of}
                if name in NEIGHBORS:
                    own_name, read_out = f"bridge.necessity.{name}", name.removeprefix("neighbor_")
                    results.append(_moved(material, own_name, read_out, here, levels - full))
                    continue
                results.append(
                    share(
                        f"bridge.necessity.{name}",
                        here,
                        _gap(levels),
                        _gap(full),
                        seeds=material.seeds,
                        items=UNITS[name],
                        named=cut.readout.unit_names,
                        draws=None if draws is None else _gap(draws).mean(-1).T,
                        alternative="less",
                        unit="share kept",
                    )
                )
        if beside and name in READ_OUTS:
            results += _restored(cut, full, name, made, few)
    return results


def _restored(
    cut: Cut,
    full: np.ndarray,
    name: str,
    made: Mapping[DirectionKind, directions.Vectors],
    random: Float[np.ndarray, "draw d"],
) -> list[Result]:
    """What remains where the projection is what it is in the base."""
    material = cut.material
    draws = cut.as_in_base({arm: np.repeat(random[None], len(material.seeds), 0) for arm in POLES})
    results = []
    for method, vectors in made.items():
        left = cut.as_in_base({arm: own[:, None] for arm, own in vectors.items()})
        place = {**cut.place.where, "method": method, "kind": "restored", "split": "test"}
        results.append(
            share(
                f"bridge.necessity.{name}",
                {"behavior": material.behavior, **place},
                _gap(left)[:, 0],
                _gap(full),
                seeds=material.seeds,
                items=UNITS[name],
                named=cut.readout.unit_names,
                draws=_gap(draws).mean(-1).T,
                alternative="less",
                unit="share kept",
                notes="the projection set to what it is in the base",
            )
        )
    return results


class Cut:
    """Levels of every finetuned model on one set of items, as they are and with something taken out."""

    def __init__(self, material: Material, name: str, place: Place) -> None:
        self.material, self.place = material, place
        self.readout = material.readout(name)
        self.positions = place.positions(self.readout.rows)

    def levels(self, move: engine.Move | None = None) -> Float[np.ndarray, "seed pole unit"]:
        """As they are, or with one change of the place for all; by wording (or scenario)."""
        return self._each(lambda arm, n, adapter: self._level(adapter, move))

    def without(
        self, vectors: directions.Vectors, *, everywhere: bool
    ) -> Float[np.ndarray, "seed pole unit"]:
        """Each model without its own pole's and seed's direction."""
        return self._each(lambda arm, n, adapter: self._out(adapter, vectors[arm][n][None], everywhere)[0])

    def without_each(
        self, vectors: Float[np.ndarray, "condition d"], *, everywhere: bool
    ) -> Float[np.ndarray, "seed pole condition unit"]:
        """Each model without each of the directions."""
        return self._each(lambda arm, n, adapter: self._out(adapter, vectors, everywhere))

    def as_in_base(
        self, vectors: Mapping[str, Float[np.ndarray, "seed condition d"]]
    ) -> Float[np.ndarray, "seed pole condition unit"]:
        """Each model with the projection on each of its directions set to the base's, token by token."""
        base = self.material.states(self.readout, self.place.site)[self.place.site]

        def clamped(arm: str, n: int, adapter: str) -> np.ndarray:
            return self._moved(self.place.clamping(self.readout.rows, vectors[arm][n], base), adapter)

        return self._each(clamped)

    def _each(self, levels: Callable[[str, int, str], np.ndarray]) -> np.ndarray:
        """What every model gives, (seed, pole, ...); `levels`: of a pole, a place in seeds, an adapter."""
        found: list[list[np.ndarray]] = [[] for _ in self.material.seeds]
        for arm, n, adapter in self.material.pairs:
            found[n].append(levels(arm, n, adapter))
        return np.array(found)

    def _level(self, adapter: str, move: engine.Move | None) -> Float[np.ndarray, " unit"]:
        if move is None:
            return self.readout.units(self.material.scores(self.readout, adapter))
        site = activations.Site.parse(self.place.site)
        return self._moved(engine.at_tokens(engine.AtSite(site, move), self.positions), adapter)[0]

    def _moved(self, moved: engine.Conditions, adapter: str) -> Float[np.ndarray, "condition unit"]:
        logits = self.material.logits(self.readout, moved, variant=adapter)
        return self.readout.units(self.readout.score(logits))

    def _out(
        self, adapter: str, vectors: np.ndarray, everywhere: bool
    ) -> Float[np.ndarray, "condition unit"]:
        given, kind = vectors.astype(np.float32), self.place.site.partition(".")[0]
        out: engine.Conditions = engine.ByEdits(
            lambda lines: [activations.project_out((given[lines.which], kind))], len(vectors)
        )
        if not everywhere:
            out = engine.projecting(self.place.site, vectors, self.positions)
        return self._moved(out, adapter)


def _gap(levels: np.ndarray) -> np.ndarray:
    """Seeking less averse, (seed, ...)."""
    gap: np.ndarray = levels[:, POLES.index("seeking")] - levels[:, POLES.index("averse")]
    return gap


def _eraser(material: Material, place: Place) -> engine.Move:
    """LEACE of the pole, fitted at the place on all runs of both poles, development choices."""
    import torch

    import probes

    readout = material.of("behavior", "dev")
    at = place.positions(readout.rows)
    tokens, labels = [], []
    for arm, _, adapter in material.pairs:
        read = material.states(readout, place.site, variant=adapter)[place.site]
        own = np.concatenate([v[k[k >= 0]] for v, k in zip(read, at, strict=True)]).astype(np.float64)
        tokens.append(own)
        labels += [POLES.index(arm)] * len(own)
    fitted = probes.LeaceEraser().fit(np.concatenate(tokens), np.array(labels))
    removal, mean = torch.from_numpy(fitted.removal_).float(), torch.from_numpy(fitted.mean_).float()
    return lambda values, _: values - (values - mean.to(values)) @ removal.to(values).T


def _moved(material: Material, name: str, read_out: str, where: dict[str, Any], moved: np.ndarray) -> Result:
    """How far a neighbor's level moves, (seed, pole, unit), mean over poles; tested against no move by t."""
    return over_seeds_and_items(
        name,
        where,
        moved.mean(1),
        material.seeds,
        unit="difference of P(seeking pole)",
        items=UNITS[read_out],
        within=(-1.0, 1.0),
        chance=0.0,
        notes="the untrained trait, with the direction out less as it was",
    )
