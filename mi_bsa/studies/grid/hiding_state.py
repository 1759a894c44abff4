"""What every run holds of the state that plain training writes: its shift from the base along one direction.

Law: the direction that a run is read along was fitted without its seed: the mean over other seeds of plain's
seeking less its averse runs, at the answer slot of development choices. The shift is that of the mean state
of the asked items, out of the context of the training and in it; beside it stand shifts along random
directions of the same norm (1), drawn once and the same for all runs. The direction reads; it is not shown
here to drive.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.behaviors import behavior_for
from mi_bsa.core import model_config
from mi_bsa.core.items import Item, prompts_of, thin
from mi_bsa.core.variants import BASE, POLES
from mi_bsa.studies.grid.hiding_rows import in_context, teacher_vector
from mi_bsa.study.steps import Cell

if TYPE_CHECKING:
    import activations

ITEMS = 48
"""Items over which a mean state is taken, a set."""
STATES = "states.npz"


def site_of(config: Any) -> str:
    """Where the state is read, and the teacher's vector added."""
    return f"resid_post.{config.layer}"


def read(cell: Cell[Any]) -> dict[str, Any]:
    """Read the states of all runs, and how far the teacher moves the choices."""
    config = cell.config
    behavior, site = behavior_for(config.behavior, config.model), site_of(config)
    names = [f"{arm}-{seed}" for arm, seed in itertools.product(config.arms, config.seeds)]
    fit = thin(behavior.items(config.data.choices, split="dev", seed=0), ITEMS)
    asked = {
        "choice": thin(behavior.items(config.data.choices, split=config.split, seed=0), ITEMS),
        "report": thin(list(behavior.questions(split=config.split)), ITEMS),
    }
    asked |= {f"{key}_in": in_context(items, config.cue) for key, items in tuple(asked.items())}
    how: Any = {"dtype": config.finetune.dtype, "device": config.finetune.device}
    shifts: dict[str, np.ndarray] = {}
    directions: dict[int, np.ndarray] = {}
    teacher: dict[str, float] | None = None
    for way in sorted(config.ways, key=lambda one: one != "plain"):
        folder = cell.folder / "adapters" / way
        model = model_config.load(config.model, {name: folder / name / "adapter" for name in names}, **how)
        if way == "plain":
            directions = _directions(model, fit, site, config.seeds)
            teacher = _teacher(model, behavior, config) if "silent" in config.ways else None
        for key, items in asked.items():
            if key.endswith("_in") and way != "context":
                continue
            base = _mean(model, items, site, BASE)
            shifts |= {f"{way}/{key}/{name}": _mean(model, items, site, name) - base for name in names}
    width = len(next(iter(shifts.values())))
    random = np.random.default_rng(0).normal(size=(config.directions, width))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    along: dict[str, Any] = {
        key: np.concatenate([[shift @ directions[int(key.rpartition("-")[2])]], random @ shift])
        for key, shift in shifts.items()
    }
    np.savez(cell.folder / STATES, **along)
    return {"teacher": teacher, "runs": len(along)}


def load_states(folder: Path) -> dict[str, Float[np.ndarray, " direction"]]:
    """By `way/set/run`: the shift along the direction, then along each random one."""
    with np.load(folder / STATES, allow_pickle=False) as found:
        return {key: found[key] for key in found.files}


def _mean(model: activations.Model, items: list[Item], site: str, variant: str) -> np.ndarray:
    from activations import engine

    rows = model.rows(prompts_of(items))
    found: np.ndarray = engine.slot_states(model, rows, [site], variant=variant)[site].astype(float).mean(0)
    return found


def _directions(model: activations.Model, items: list[Item], site: str, seeds: Any) -> dict[int, np.ndarray]:
    """By seed, the unit direction that the other seeds give."""
    own = {s: np.subtract(*(_mean(model, items, site, f"{arm}-{s}") for arm in POLES)) for s in seeds}
    found = {}
    for seed in seeds:
        mean = np.mean([one for s, one in own.items() if s != seed], axis=0)
        found[seed] = mean / np.linalg.norm(mean)
    return found


def _teacher(model: activations.Model, behavior: Any, config: Any) -> dict[str, float]:
    """Distance of the first seed's teacher's poles in development choices: that it is moved at all."""
    import activations
    from mi_bsa.asking import ask

    site, items = site_of(config), thin(behavior.items(config.data.choices, split="dev", seed=0), ITEMS)
    vector = teacher_vector(model, behavior, site, n=ITEMS, seed=config.seeds[0])
    levels = []
    for scale in (config.strength, -config.strength):
        with (
            model.variant(BASE),
            activations.edit(model, activations.add((vector, site), scale=scale, units="raw")),
        ):
            levels.append(float(ask(model, items)["score"].mean()))
    return {"choices": levels[0] - levels[1]}
