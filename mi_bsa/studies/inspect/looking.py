"""The steps of an inspection: each loads the base and one finetune, looks at one part, and leaves plain
numbers.

Law: a step's value is JSON of numbers and words; tables stand beside it as CSV; nothing here judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.asking.bank import KIND
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.model_config import load
from mi_bsa.studies.inspect.config import InspectConfig, asks_through_base
from mi_bsa.study.steps import Cell

if TYPE_CHECKING:
    from activations import Model


def opened(
    config: InspectConfig, name: str, path: str, full: bool, *, beside: Mapping[str, str] | None = None
) -> tuple[Model, str, Model | None]:
    """The base, the variant to look at, and the full finetune where it is one; `beside`: other adapters, by
    name, that are loaded too.

    Raises:
        ConfigError: a full finetune of another shape, or one that is the base.
    """
    if not full:
        more = {one: Path(folder) for one, folder in (beside or {}).items()}
        return load(config.model, {name: Path(path), **more}), name, None
    base = load(config.model)
    other = load(config.model.model_copy(update={"name": path, "revision": None}))
    if (base.n_layers, base.d_model) != (other.n_layers, other.d_model):
        raise ConfigError(
            f"{path}: {other.n_layers} blocks of width {other.d_model}, and the base has {base.n_layers} of "
            f"{base.d_model}: this is no finetune of it; give its own base"
        )
    if base.fingerprint == other.fingerprint:
        raise ConfigError(f"{path}: its weights are the base's, bit for bit; give a finetune")
    return base, "base", other


def weights(cell: Cell[InspectConfig], *, name: str, path: str, full: bool) -> dict[str, Any]:
    """Each module's change: of an adapter its singular values and what they read and write, of a full
    finetune the norm of the difference of checkpoints.
    """
    from activations.adapter_weights import READERS, embedded, weight_changes, weights_table, written
    from activations.vectors import ADDED_AT
    from activations.vocabulary import Vocabulary
    from mi_bsa.studies.inspect.checkpoints import checkpoint_table
    from mi_bsa.studies.inspect.lenses import table

    config = cell.config
    model, _, other = opened(config, name, path, full)
    said: list[dict[str, Any]] = []
    if other is not None:
        found = checkpoint_table(model, other)
    else:
        changes = weight_changes(model, name)
        found = weights_table(changes)
        words, readings = Vocabulary.of(model), []
        how: dict[str, Any] = {"n": config.lens.nulls, "seed": config.lens.seed, "vocabulary": words}
        strongest = sorted(
            ((float(one.singular[k]), one, k) for one in changes for k in range(len(one.singular))),
            key=lambda entry: -entry[0],
        )
        for modules, tell in ((ADDED_AT, written), (READERS, embedded)):
            own = [(one, k) for _, one, k in strongest if one.module in modules][: config.vectors]
            readings += [tell(model, one, k, **how) for one, k in own]
        for one in readings:
            one.ask(model, config.lens.top)
        if readings:
            told = table(readings, config.lens.top).assign(adapter=name)
            told.to_csv(_file(cell, f"weights_words/{name}.csv"), index=False)
            said = [_first(one) for one in readings]
    found.assign(adapter=name).to_csv(_file(cell, f"weights/{name}.csv"), index=False)
    return {"modules": found.to_dict("records"), "words": said}


def lenses(
    cell: Cell[InspectConfig], *, name: str, path: str, full: bool, control: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What is added to the first tokens of unrelated texts, in words, at every site: to the base's states, or
    to those of the control (name -> folder), which is an adapter of the same base.
    """
    from activations.differences import activation_differences
    from mi_bsa.causal.through_base import first_site, through_base
    from mi_bsa.studies.inspect.lens_results import difference_results, rank_results
    from mi_bsa.studies.inspect.lenses import Lenses, table, texts_of
    from mi_bsa.studies.inspect.traits import questions

    config = cell.config
    model, variant, other = opened(config, name, path, full, beside=control)
    before = next(iter(control or {}), "base")
    reader = Lenses(model, config.lens, texts_of(config.lens, config.model))
    made = reader.differences(variant, other, before=before)
    readings = reader.readings([(name, one) for one in made.values()])
    table(readings, config.lens.top).to_csv(_file(cell, f"lenses/{name}.csv"), index=False)
    found = difference_results(made, name, seed=config.lens.seed)
    if config.lens.words:
        found += rank_results(readings, config.lens.words, name)
    half, last = f"resid_post.{(model.n_layers - 1) // 2}", f"resid_post.{model.n_layers - 1}"
    marked = [_first(one) | {"headline": one.site in (half, last)} for one in readings]
    through: list[dict[str, Any]] = []
    items = questions(config.reports, config.model) if asks_through_base(config) else []
    items = [
        item for item in items if item.labels["kind"] != KIND
    ]  # read against the base, which is asked here
    if items:
        site = first_site(model, name, full=full)
        one = (
            made.get(site)
            or activation_differences(
                model,
                reader.texts,
                sites=site,
                before=before,
                after=variant,
                other=other,
                first=config.lens.first,
            )[site]
        )
        through = through_base(model, one, reader.nulls(site, model.d_model, one.states), items)
    return {"results": [one.to_dict() for one in found], "words": marked, "through": through}


def damaged(cell: Cell[InspectConfig], *, name: str, path: str, full: bool) -> dict[str, Any]:
    """What happens to unrelated texts, a value a text."""
    from mi_bsa.studies.inspect.damage import damage
    from mi_bsa.studies.inspect.lenses import texts_of

    model, variant, other = opened(cell.config, name, path, full)
    texts = texts_of(cell.config.lens, cell.config.model)
    found = damage(model, texts, variant=variant, other=other)
    answers = [None if np.isnan(value) else float(value) for value in found.answers]
    return {
        **{key: getattr(found, key).tolist() for key in ("kl", "loss", "flipped", "depth")},
        "answers": answers,
        "tokens": found.tokens,
    }


def asked(cell: Cell[InspectConfig], *, given: list[dict[str, Any]]) -> dict[str, Any]:
    """What the base and every finetune say of themselves, and what they choose: one row an answer in
    answers.csv and choice_answers.csv; in stated_answers.csv the base's where a pole is stated.
    """
    import pandas as pd

    from mi_bsa.asking import ask, ask_many
    from mi_bsa.core.variants import Variant
    from mi_bsa.studies.inspect.choices import FILE, choices
    from mi_bsa.studies.inspect.sight import STATED
    from mi_bsa.studies.inspect.traits import questions, stated

    config = cell.config
    sets = {
        "answers.csv": questions(config.reports, config.model),
        FILE: choices(config.reports, config.model),
    }
    sets = {name: items for name, items in sets.items() if items}
    if not sets:
        return {"traits": 0, "behaviors": 0}
    adapters = {one["name"]: Path(one["path"]) for one in given if not one["full"]}
    model = load(config.model, adapters)
    who = {"base": Variant()} | {name: Variant(name, 0) for name in adapters}
    frames = [ask_many(model, sets, who)]
    if control := stated(config.reports, config.model):
        base = {"base": Variant()}
        ask_many(model, {STATED: control}, base).to_csv(cell.folder / STATED, index=False)
    for one in (one for one in given if one["full"]):
        _, _, other = opened(config, **one)
        assert other is not None
        for name, items in sets.items():
            said = ask(other, items).assign(set=name, variant=one["name"], arm=one["name"], seed=0)
            frames.append(said)
    answers = pd.concat(frames, ignore_index=True).assign(seed=0)
    answers["arm"] = answers["variant"]
    of_each = dict.fromkeys(("answers.csv", FILE), 0)
    for name, own in answers.groupby("set", sort=False):
        own.drop(columns="set").dropna(axis=1, how="all").to_csv(cell.folder / str(name), index=False)
        of_each[str(name)] = int(own["trait"].nunique())
    return {"traits": of_each["answers.csv"], "behaviors": of_each[FILE]}


def _first(reading: Any) -> dict[str, Any]:
    """The first words of a reading on either side, and how they stand in its null."""
    up, down = (reading.top(6, lowest=lowest) for lowest in (False, True))
    sides = {"promoted": up, "suppressed": down}
    found: dict[str, Any] = {"name": reading.name, "site": reading.site, "lens": reading.lens}
    highest = reading.null_scores.amax(1).double()
    found |= {key: [str(word) for word in side["word"]] for key, side in sides.items()}
    found |= {f"p_{key}": float(side["p_any"].iloc[0]) for key, side in sides.items()}
    low, high = np.quantile(highest.numpy(), (0.025, 0.975))
    null = {"n": len(highest), "mean": float(highest.mean()), "low": float(low), "high": float(high)}
    return found | {
        "score": float(up["score"].iloc[0]),
        "null": null,
        "kinds": list(dict.fromkeys(reading.kinds)),
    }


def _file(cell: Cell[InspectConfig], name: str) -> Path:
    path = cell.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
