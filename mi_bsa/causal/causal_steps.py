"""The causal steps of a study as functions of a run folder: each loads what it needs, and leaves its results.

Law: the place and the trained vectors are made once, on development items, and kept in `vectors/`; every step
after that reads the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mi_bsa.causal.asking import load
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.items import items_of, path_of
from mi_bsa.causal.material import POLES, READ_OUTS, Material
from mi_bsa.causal.places import Place, choose_place
from mi_bsa.causal.steer_and_patch import write
from mi_bsa.core.results import Result
from mi_bsa.study.steps import Cell

if TYPE_CHECKING:
    from mi_bsa.causal.directions import Vectors

SETS = (
    *(f"{stem}-{split}" for stem in READ_OUTS.values() for split in ("dev", "test")),
    "neutral-test",
    "neighbor_choice-dev",
    "neighbor_choice-test",
    "neighbor_report-test",
    "described_report-test",
)


def material_of(cell: Cell[BridgeConfig], arms: dict[str, int] | None = None) -> Material:
    """The study's model with the adapters of both poles, and of other arms by their numbers of seeds."""
    from activations import kept

    config = cell.config
    names = {arm: tuple(f"{arm}-{seed}" for seed in config.seeds) for arm in POLES}
    names |= {
        arm: tuple(f"{arm}-{seed}" for seed in config.seeds[:count]) for arm, count in (arms or {}).items()
    }
    model = load(cell, *(name for own in names.values() for name in own))
    kept.keep(model)  # a step asks the same prompts again and again
    return Material(
        model=model,
        behavior=config.behavior,
        seeds=tuple(config.seeds),
        arms=names,
        sets={name: items_of(cell.folder, name) for name in SETS if path_of(cell.folder, name).is_file()},
        items=config.place.items,
    )


def make_vectors(cell: Cell[BridgeConfig]) -> dict[str, Any]:
    """Choose the place on development choices, and train vectors there on choices, and on reports."""
    import numpy as np
    from safetensors.numpy import save_file

    from mi_bsa.causal import directions

    material = material_of(cell)
    place, shifts = choose_place(material, "behavior", cell.config.place)
    report_place, _ = choose_place(material, "self_report", cell.config.place)
    made: dict[str, np.ndarray] = {}
    for read_out in READ_OUTS:
        found = directions.vectors(
            material, place, "trained", read_out=read_out, options=cell.config.recovery, seed=0
        )
        made |= {f"{read_out}/{arm}": np.ascontiguousarray(values) for arm, values in found.items()}
    folder = cell.folder / "vectors"
    folder.mkdir(exist_ok=True)
    save_file(made, str(folder / "trained.safetensors"))
    best = sorted(shifts, key=lambda key: -shifts[key])
    facts = {
        "site": place.site,
        "scope": place.scope,
        "report_site": report_place.site,
        "report_scope": report_place.scope,
        "shifts": [[*key, shifts[key]] for key in best],
    }
    (folder / "place.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return {k: v for k, v in facts.items() if k != "shifts"}


def ready(cell: Cell[BridgeConfig], arms: dict[str, int] | None = None) -> tuple[Material, Place]:
    """The material, its trained vectors in place, and the place."""
    from safetensors.numpy import load_file

    facts = json.loads((cell.folder / "vectors" / "place.json").read_text(encoding="utf-8"))
    place = Place(facts["site"], facts["scope"])
    trained = load_file(str(cell.folder / "vectors" / "trained.safetensors"))
    material = material_of(cell, arms)
    for read_out in READ_OUTS:
        own: Vectors = {arm: trained[f"{read_out}/{arm}"] for arm in POLES}
        material.known[place, "trained", read_out, POLES] = own
    return material, place


def recover(cell: Cell[BridgeConfig]) -> dict[str, Any]:
    """What of behavior and report one vector, one layer, or constants recover."""
    from mi_bsa.causal import levels, recovery

    material, place = ready(cell)
    found = recovery.measure(material, cell.config.recovery, place=place)
    levels.keep_recovered(cell.folder / "recovery.npz", found)
    results = recovery.scored(found)
    write(cell.folder / "recovery.json", results)
    return {"results": len(results)}


def compete(cell: Cell[BridgeConfig], *, arms: dict[str, int]) -> dict[str, Any]:
    """The handle against vectors that are trained as it is, on something else."""
    from mi_bsa.causal import levels, rivals

    config = cell.config
    material, place = ready(cell, arms)
    found = rivals.measure(material, config.recovery, config.rivals, place=place)
    levels.keep_rivals(cell.folder / "rivals.npz", found)
    results = [result for one in found for result in rivals.scored(one)]
    write(cell.folder / "rivals.json", results)
    return {"results": len(results)}


def ablate(cell: Cell[BridgeConfig]) -> dict[str, Any]:
    """What remains without a direction."""
    from mi_bsa.causal import necessity

    options = cell.config.necessity
    return _leave(cell, "necessity", lambda m, p: necessity.ablate(m, options, place=p))


def mediate(cell: Cell[BridgeConfig]) -> dict[str, Any]:
    """What of the adapter's effect runs through a direction."""
    from mi_bsa.causal import mediation

    options = cell.config.mediation
    return _leave(cell, "mediation", lambda m, p: mediation.mediate(m, options, place=p))


def confront(cell: Cell[BridgeConfig]) -> dict[str, Any]:
    """The state against the prompt, and what the words of the training rows give by themselves."""
    from mi_bsa.causal.state_or_prompt import state_or_prompt
    from mi_bsa.causal.words import words
    from mi_bsa.finetune import read_rows

    options = cell.config.state_or_prompt
    material, place = ready(cell)
    folder = cell.folder / "rows"
    rows = {pole: [read_rows(folder / f"{pole}-{seed}.jsonl") for seed in material.seeds] for pole in POLES}
    results = state_or_prompt(material, place, options)
    results += words(material, rows, in_context=options.in_context, items=options.items)
    write(cell.folder / "prompts.json", results)
    return {"results": len(results)}


def attribute(cell: Cell[BridgeConfig], *, arms: dict[str, int]) -> dict[str, Any]:
    """Which modules, in which order of layers; also of adapters on every layer where there are
    some.
    """
    from mi_bsa.causal import attribution

    options = cell.config.attribution
    material = material_of(cell, arms)
    results = attribution.attribute(material, options)
    if "all_seeking" in arms:
        results += attribution.attribute(material, options, arms=("all_seeking", "all_averse"))
    write(cell.folder / "attribution.json", results)
    return {"results": len(results)}


def compare(cell: Cell[BridgeConfig], *, arms: dict[str, int]) -> dict[str, Any]:
    """Constancy of what modules add, and geometry of directions."""
    from mi_bsa.causal import constancy, geometry

    options = cell.config.geometry
    material, place = ready(cell, arms)
    results = constancy.constancy(material, options)
    results += geometry.geometry(material, options, place=place)
    write(cell.folder / "geometry.json", results)
    return {"results": len(results)}


def _leave(
    cell: Cell[BridgeConfig], name: str, function: Callable[[Material, Place], list[Result]]
) -> dict[str, Any]:
    results = function(*ready(cell))
    write(cell.folder / f"{name}.json", results)
    return {"results": len(results)}
