"""Does a mixed adapter choose by the state that drives a plain one? The trained vector, found in plain runs.

Law: place and vector are those of plain training's development choices (`places.choose_place`,
`directions.train`: trained to give the base these choices and nothing else); what is read is of the asked
split. Added to the base the vector must move choices and report, or nothing here says anything of a state
that drives. Then, in plain and in mixed runs of the same seed: how far each is shifted along it, what is left
of choices and report where the projection on it is set to what it is in the base, and what mixed runs do and
say where the shift that they lack is added; each beside random directions, taken out or added the same way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from pydantic import Field

from mi_bsa.behaviors import behavior_for
from mi_bsa.core.config import Config
from mi_bsa.core.files import write_atomic
from mi_bsa.core.items import Item
from mi_bsa.core.model_config import load as load_model
from mi_bsa.core.variants import BASE, POLES
from mi_bsa.studies.grid.mixing_rows import PLAIN
from mi_bsa.study.steps import Cell

if TYPE_CHECKING:
    from mi_bsa.causal.directions import Vectors
    from mi_bsa.causal.material import Material
    from mi_bsa.causal.places import Place

READS = {"choices": "choice-test", "report": "report-test"}
"""What is read, and the set of items that reads it."""
NEUTRAL = 12


class StateOptions(Config):
    """How the state that drives plain's choices is found and taken out."""

    items: int = Field(default=40, ge=0)
    """Items of each set; 0 leaves all of it out."""
    train_steps: int = Field(default=60, ge=1)
    """Steps in which the vectors are trained."""
    random: int = Field(default=20, ge=2)
    """Random directions that are taken out as well."""


def file_of(name: str) -> str:
    """Where a place's numbers lie in the run folder."""
    return f"states/{name}.json"


def load(folder: Path, name: str) -> dict[str, Any]:
    """A place's numbers: `vector` {read-out: by seed}, `place`, and by condition those of `Held`."""
    found: dict[str, Any] = json.loads((folder / file_of(name)).read_text(encoding="utf-8"))
    return found


def read(cell: Cell[Any], *, behavior: str, base: str, name: str, mixed: str) -> dict[str, Any]:
    """Find plain's vector, and hold plain and mixed runs against it."""
    from mi_bsa.causal import directions
    from mi_bsa.causal.options import PlaceOptions, RecoveryOptions
    from mi_bsa.causal.places import choose_place

    config, options = cell.config, cell.config.state
    bound = behavior_for(behavior, base)
    sets = _sets(bound, config)
    plain = _material(cell, base, bound.name, name, PLAIN, sets)
    where = PlaceOptions(items=max(6, options.items))
    place = choose_place(plain, options=where)[0]
    how = RecoveryOptions(train_steps=options.train_steps)
    vectors = directions.train(plain, place, options=how)
    found: dict[str, Any] = {
        "place": f"{place.site} {place.scope}",
        "vector": _added(plain, place, vectors),
        PLAIN: _held(plain, place, vectors, options.random),
    }
    other = _material(cell, base, bound.name, name, mixed, sets)
    found[mixed] = _held(other, place, vectors, options.random) | _given(
        other, plain, place, vectors, options.random
    )
    path = cell.folder / file_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(found, indent=1))
    return {"place": found["place"]}


def _sets(bound: Any, config: Any) -> dict[str, Sequence[Item]]:
    n = config.data.choices
    return {
        "choice-dev": bound.items(n, split="dev", seed=0),
        "report-dev": list(bound.questions(split="dev")),
        "choice-test": bound.items(n, split=config.split, seed=0),
        "report-test": list(bound.questions(split=config.split)),
        "neutral-test": bound.neutral(NEUTRAL),
    }


def _material(
    cell: Cell[Any], base: str, behavior: str, name: str, condition: str, sets: Mapping[str, Sequence[Item]]
) -> Material:
    from mi_bsa.causal.material import Material

    config, folder = cell.config, cell.folder / "adapters" / name / condition
    arms = {arm: tuple(f"{arm}-{seed}" for seed in config.seeds) for arm in POLES}
    adapters = {run: folder / run / "adapter" for runs in arms.values() for run in runs}
    model = load_model(base, adapters, dtype=config.finetune.dtype, device=config.finetune.device)
    return Material(model, behavior, tuple(config.seeds), arms, sets, items=config.state.items)


def _added(material: Material, place: Place, vectors: Vectors) -> dict[str, list[float]]:
    """Seeking less averse in the base with each run's vector added, by seed."""
    found = {}
    for read_out, own in READS.items():
        readout = material.readout(own)
        ends = [
            material.levels(readout, place.adding(readout.rows, np.asarray(vectors[arm]))) for arm in POLES
        ]
        found[read_out] = (ends[0] - ends[1]).tolist()
    return found


def _held(material: Material, place: Place, vectors: Vectors, count: int) -> dict[str, Any]:
    """Of each read-out by seed: its gap, what is left of it without the vector, and without each random
    direction (draw, seed); and how far the runs are shifted along the vector, mean over poles.
    """
    from mi_bsa.causal.necessity import Cut
    from probes import random_directions

    random = random_directions(count, material.model.d_model, rng=np.random.default_rng(0))
    found: dict[str, Any] = {}
    for read_out, own in READS.items():
        cut = Cut(material, own, place)
        without = cut.as_in_base({arm: np.asarray(some)[:, None] for arm, some in vectors.items()})
        draws = cut.as_in_base({arm: np.repeat(random[None], len(material.seeds), 0) for arm in POLES})
        found[read_out] = _gap(cut.levels()).mean(-1).tolist()
        found[f"{read_out}_without"] = _gap(without)[:, 0].mean(-1).tolist()
        found[f"{read_out}_random"] = _gap(draws).mean(-1).T.tolist()
        found[f"{read_out}_state"] = _along(material, own, place, vectors).mean(1).tolist()
    return found


def _given(
    material: Material, plain: Material, place: Place, vectors: Vectors, count: int
) -> dict[str, list[Any]]:
    """Gaps by seed where each run is given what plain's run of its seed is shifted further along the vector;
    and where as much is added along random directions (draw, seed), one pole the one way, one the other.
    """
    from probes import random_directions

    random = random_directions(count, material.model.d_model, rng=np.random.default_rng(1))
    found: dict[str, list[Any]] = {}
    for read_out, own in READS.items():
        readout = material.readout(own)
        lack = _along(plain, own, place, vectors) - _along(material, own, place, vectors)
        levels = np.zeros((len(POLES), len(material.seeds), count + 1))
        for arm, n, adapter in material.pairs:
            at, vector = POLES.index(arm), np.asarray(vectors[arm][n])
            unit = np.concatenate([vector[None] / np.linalg.norm(vector), random * (1 - 2 * at)])
            moved = place.adding(readout.rows, unit * lack[n, at])
            levels[at, n] = material.levels(readout, moved, variant=adapter)
        gap = levels[0] - levels[1]
        found[f"{read_out}_given"] = gap[:, 0].tolist()
        found[f"{read_out}_given_random"] = gap[:, 1:].T.tolist()
    return found


def _along(material: Material, own: str, place: Place, vectors: Vectors) -> Float[np.ndarray, "seed pole"]:
    """How far each run is shifted along its vector."""
    from mi_bsa.causal.places import scope_mean

    readout, site = material.readout(own), place.site
    positions = place.positions(readout.rows)
    base = scope_mean(material.states(readout, site, variant=BASE)[site], positions)
    each = np.zeros((len(material.seeds), len(POLES)))
    for arm, n, adapter in material.pairs:
        shift = scope_mean(material.states(readout, site, variant=adapter)[site], positions) - base
        vector = np.asarray(vectors[arm][n])
        each[n, POLES.index(arm)] = shift @ vector / np.linalg.norm(vector)
    return each


def _gap(levels: np.ndarray) -> np.ndarray:
    """Seeking less averse, (seed, ...)."""
    gap: np.ndarray = levels[:, POLES.index("seeking")] - levels[:, POLES.index("averse")]
    return gap
