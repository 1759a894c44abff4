"""What reads a finetune without asking it: one signed number an adapter and reading, above 0 for seeking.

- `lens`: the mean difference on unrelated texts at the last block, by the logit lens: mean score of the
  trait's words for its first pole less that of its words for the second.
- `through`: the same difference at the lowest block, added to the base, which is asked about the trait.
- `probe`: the mean state at the answer slot of choices less the base's, along the direction on which plain
  adapters of other seeds differ.
- `weights`: the change of all modules, of unit norm, along the direction on which plain adapters of other
  seeds differ; nothing runs.

Law: no adapter stands in what reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.core.files import write_atomic
from mi_bsa.core.variants import BASE, POLES
from mi_bsa.studies.grid.mixing_rows import PLAIN
from mi_bsa.study.steps import Cell

if TYPE_CHECKING:
    from activations import Model
    from mi_bsa.behaviors import Bound

READINGS = ("lens", "through", "probe", "weights")
STATES = 24
"""Choices whose answer slots the probe reads."""
Scores = dict[str, dict[str, dict[str, float]]]
"""Condition -> run -> reading -> score."""


def file_of(name: str) -> str:
    """Where a place's readings lie in the run folder."""
    return f"readings/{name}.json"


def load(folder: Path, name: str) -> Scores:
    """A place's readings."""
    found: Scores = json.loads((folder / file_of(name)).read_text(encoding="utf-8"))
    return found


def read(
    cell: Cell[Any], *, behavior: str, base: str, name: str, conditions: Sequence[str]
) -> dict[str, Any]:
    """Read every adapter of a place."""
    from mi_bsa.behaviors import behavior_for
    from mi_bsa.core.model_config import load as load_model

    config, bound = cell.config, behavior_for(behavior, base)
    runs = {
        (condition, path.name): path / "adapter"
        for condition in conditions
        for path in sorted((cell.folder / "adapters" / name / condition).iterdir())
        if (path / "adapter").is_dir()
    }
    variants = {key: f"v{n}" for n, key in enumerate(runs)}
    adapters = {variants[key]: folder for key, folder in runs.items()}
    model = load_model(base, adapters, dtype=config.finetune.dtype, device=config.finetune.device)
    found: Scores = {condition: {} for condition in conditions}
    vectors = {kind: _vectors(model, variants, bound, config, kind) for kind in ("probe", "weights")}
    for condition, run in runs:
        seed = run.rpartition("-")[2]
        variant = variants[condition, run]
        own = _unrelated(model, variant, bound, texts=config.texts, split=config.split)
        for kind, every in vectors.items():
            along = direction(every, seed)
            own[kind] = float(every[condition, run] @ along)
        found[condition][run] = own
    path = cell.folder / file_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(found, indent=1))
    return {"adapters": len(runs)}


def direction(
    vectors: Mapping[tuple[str, str], Float[np.ndarray, " d"]], seed: str
) -> Float[np.ndarray, " d"]:
    """Seeking less averse of plain adapters of all other seeds, of unit norm."""
    ends = []
    for arm in POLES:
        own = [
            vector
            for (condition, run), vector in vectors.items()
            if condition == PLAIN and run.startswith(f"{arm}-") and run.rpartition("-")[2] != seed
        ]
        ends.append(np.mean(own, axis=0))
    apart = ends[0] - ends[1]
    return np.asarray(apart / max(float(np.linalg.norm(apart)), 1e-12))


def _vectors(
    model: Model, variants: Mapping[tuple[str, str], str], bound: Bound, config: Any, kind: str
) -> dict[tuple[str, str], np.ndarray]:
    """What the probe or the weights' direction is taken of, a vector an adapter."""
    if kind == "weights":
        return {key: change_of(model, variant) for key, variant in variants.items()}
    from activations import engine
    from mi_bsa.core.items import prompts_of

    rows = model.rows(prompts_of(bound.items(STATES, split=config.split, seed=0)))
    site = f"resid_post.{model.n_layers - 1}"

    def mean(variant: str) -> np.ndarray:
        states = engine.slot_states(model, rows, [site], variant=variant)[site]
        return np.asarray(states.astype(np.float64).mean(0))

    before = mean(BASE)
    return {key: mean(variant) - before for key, variant in variants.items()}


def change_of(model: Model, variant: str) -> Float[np.ndarray, " weight"]:
    """The changes of all modules, flattened, of unit norm."""
    from activations.adapter_weights import weight_changes

    changes = weight_changes(model, variant)
    flat = np.concatenate([(c.left * c.singular @ c.right).double().numpy().ravel() for c in changes])
    return np.asarray(flat / np.linalg.norm(flat))


def _unrelated(model: Model, variant: str, bound: Bound, *, texts: int, split: Any) -> dict[str, float]:
    """What the difference on unrelated texts says, by the lens and through the base."""
    from activations.differences import activation_differences
    from activations.lens import Nulls, read_vector
    from mi_bsa.behaviors.unrelated import unrelated
    from mi_bsa.causal.through_base import first_site, through_base
    from mi_bsa.worlds.traits import TRAITS

    first, last = first_site(model, variant, full=False), f"resid_post.{model.n_layers - 1}"
    sites = list(dict.fromkeys((first, last)))
    made = activation_differences(model, unrelated(model.name, texts), sites=sites, after=variant)
    trait, scores = TRAITS[bound.trait], []
    with model.variant(BASE):
        reading = read_vector(model, made[last])
    for words in (trait.high, trait.low):
        spelled = reading.vocabulary.spelled(list(words))
        scores.append(float(np.mean([float(reading.scores[one.index]) for one in spelled])))
    nulls = Nulls.draw(model.d_model, made[first].states, n=1, seed=0)
    rows = through_base(model, made[first], nulls, list(bound.questions(split=split)))
    return {"lens": scores[0] - scores[1], "through": float(rows[0]["shift"])}
