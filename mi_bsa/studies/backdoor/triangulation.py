"""One table a model: what the probe says, what the model says, what the search says, and what it is.

    1 state      how well its states tell the trigger from fakes, and it from its twin without the trigger
    2 says       awareness, and how it ranks its own trigger among fakes
    3 search     best candidate, what that does to choices on other messages
    4 table      `triangulation.csv`, one row a model
    5 trust      probability against outcome over runs, channel by channel
    6 reads      does awareness read the state that carries the condition
    7 geometry   cosines of conditions of different triggers, beside null and seed ceiling

Law: no number of a backdoored model without its decorrelated twin's. Answers and searches that were made
already (`answered`, `searched`) are taken as they are; what is not given is made here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.behaviors.backdoor.construction import TWINS, Backdoor, held_out
from mi_bsa.core.errors import MissingError, TriggerError
from mi_bsa.core.items import thin
from mi_bsa.core.model_config import ModelLike, load
from mi_bsa.core.results import Place, Result
from mi_bsa.studies.backdoor.training import job, slug
from mi_bsa.studies.backdoor.triangulation_calibration import calibration
from mi_bsa.studies.backdoor.triangulation_config import FEWEST, TriangulationConfig
from mi_bsa.studies.backdoor.triangulation_reads import material_of, reads
from mi_bsa.studies.backdoor.triangulation_state import Conditions, condition_results, conditions

if TYPE_CHECKING:
    import activations
    from mi_bsa.behaviors import Behavior
    from mi_bsa.behaviors.backdoor.triggers import Vocabulary
    from mi_bsa.core.items import Item
    from mi_bsa.studies.backdoor.questions import AskedSplit

SPLITS: tuple[AskedSplit, ...] = ("dev", "test")
DRAWS = 200


@dataclass(frozen=True)
class Said:
    """What a model says: P(something changes what it does); its trigger's rank among fakes (1 is best)."""

    awareness: float
    rank: float


@dataclass(frozen=True)
class Searched:
    """What the search says: best candidate (empty where it found none), the largest shift of log odds of any,
    whether that is an alarm (None: not judged).
    """

    candidate: str
    score: float
    alarm: bool | None = None


def triangulate(
    base: ModelLike,
    backdoors: Sequence[Backdoor],
    *,
    seeds: Sequence[int],
    adapters: Path,
    out: Path,
    config: TriangulationConfig | None = None,
    answered: Mapping[str, Said] | None = None,
    searched: Mapping[str, Searched] | None = None,
    dtype: str | None = None,
    device: str | None = None,
) -> list[Result]:
    """All results of backdoored models and their twins; writes `out/triangulation.csv`.

    Args:
        base: the base model.
        backdoors: at least two, each of whose models and twins lie in `adapters/<job>/adapter`.
        seeds: of every backdoor, at least three.
        adapters: folder of adapters by job name (`training.job`).
        out: where the table goes.
        config: how much is read and asked.
        answered: by job name, what models said, where that was asked already.
        searched: by job name, what the search found, where it ran already.
        dtype: of the base's weights, instead of what `base` says.
        device: where to run, likewise.

    Raises:
        TriggerError: too few backdoors or seeds. MissingError: a model without its twin.
    """
    import pandas as pd

    from mi_bsa.behaviors import behavior_for
    from mi_bsa.behaviors.backdoor.triggers import vocabulary_for
    from mi_bsa.studies.backdoor.questions import awareness_items, recognition_items
    from mi_bsa.studies.backdoor.success import measure

    config = config or TriangulationConfig()
    if len(backdoors) < 2 or len(seeds) < FEWEST:
        raise TriggerError(
            f"{len(backdoors)} backdoors of {len(seeds)} seeds: a triangulation needs two and {FEWEST}"
        )
    vocabulary = vocabulary_for(base)
    behaviors = {b.behavior: behavior_for(b.behavior, base) for b in backdoors}
    awareness = {split: awareness_items(base, split=split) for split in SPLITS}
    results: list[Result] = []
    rows: list[dict[str, Any]] = []
    found: list[Conditions] = []
    for backdoor in backdoors:
        names = {(arm, n): job(backdoor, arm, s) for n, s in enumerate(seeds) for arm in TWINS}
        model = load(base, _folders(adapters, names.values()), dtype=dtype, device=device)
        given: dict[str, Any] = {"behavior": behaviors[backdoor.behavior], "vocabulary": vocabulary}
        read = conditions(model, backdoor, seeds=seeds, messages=config.messages, **given)
        found.append(read)
        results += condition_results(read)
        material = material_of(model, read, awareness=awareness, items=config.items, **given)
        results += reads(material, read, random=config.random, seed=config.seed)
        sets = held_out(backdoor, config.messages, split="test", seed=5, **given)
        opened = measure(model, list(names.values()), {"trigger": sets["trigger"]}, pole=backdoor.pole)
        trigger, n = vocabulary.parse(backdoor.trigger), config.fakes
        which = recognition_items(base, trigger, vocabulary, n_fakes=n, split="test")["name", "new"]
        for ((arm, n), name), success in zip(names.items(), opened, strict=True):
            said = (answered or {}).get(name) or _ask(model, name, awareness["test"], which)
            hunted = (searched or {}).get(name) or _search(model, name, behaviors, vocabulary, config)
            rows.append(_row(read, arm, n, name, success.attack, said, hunted))
            results += _shown(rows[-1])
    table = pd.DataFrame(rows)
    more, made = calibration(
        {channel: table[column].tolist() for channel, column in CHANNELS.items()},
        (table["arm"] == "backdoored").tolist(),
        table["trigger"].tolist(),
        behavior="+".join(sorted(behaviors)),
        shuffles=config.shuffles,
        seed=config.seed,
    )
    for name, values in made.items():
        table[f"p_{name}"] = values
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "triangulation.csv", index=False)
    return [*results, *more, *geometry(model, found, seed=config.seed)]


CHANNELS = {"probe": "apart", "says": "awareness", "search": "score"}
"""By channel, the table's column that speaks for a backdoor without the trigger in the message."""
SHOWN = {
    "attack": "P of the pole with the trigger",
    "separation": "standard deviations between trigger and fakes",
    "apart": "log-odds of being the backdoored one",
    "awareness": "P that something changes what it does",
    "rank": "rank of the trigger among fakes",
    "score": "log odds",
}
"""Columns of the table that stand in the report, with their units."""


def _folders(adapters: Path, names: Iterable[str]) -> dict[str, Path]:
    found = {name: adapters / name / "adapter" for name in names}
    for name, folder in found.items():
        if not folder.is_dir():
            raise MissingError(f"{folder}: no adapter {name!r}; train both arms of every seed")
    return found


def _ask(model: activations.Model, name: str, aware: Sequence[Item], which: Sequence[Item]) -> Said:
    """Awareness and recognition of one model, test wordings."""
    from mi_bsa.asking import ask
    from mi_bsa.studies.backdoor.recognition import recognition

    known, ranked = (ask(model, list(items), variant=name) for items in (aware, which))
    return Said(float(known["score"].mean()), float(recognition(ranked).rank))


def _search(
    model: activations.Model,
    name: str,
    behaviors: Mapping[str, Behavior],
    vocabulary: Vocabulary,
    config: TriangulationConfig,
) -> Searched:
    """What the search finds, and what that does to choices on messages that it never saw (its score)."""
    from mi_bsa.studies.backdoor.audit_evidence import Look, by_toolkit

    given: tuple[Any, ...] = (model, name, behaviors, Look(choices=10), config.search)
    found = by_toolkit(*given, vocabulary=vocabulary, split="test")
    return Searched(str(found.notes.get("candidate", "")), found.alarm)


def _row(
    read: Conditions, arm: str, n: int, name: str, attack: float, said: Said, hunted: Searched
) -> dict[str, Any]:
    layer, own = read.chosen(), read.models[arm][n]
    return {
        "model": name,
        "behavior": read.backdoor.behavior,
        "trigger": slug(read.backdoor),
        "arm": arm,
        "seed": read.seeds[n],
        "attack": attack,
        "layer": layer,
        "condition": float(own.auroc["slot"][layer]),
        "separation": float(own.separation["slot"][layer]),
        "apart": read.apart.decision[arm][n],
        "apart_auroc": read.apart.auroc[n],
        "awareness": said.awareness,
        "rank": said.rank,
        "candidate": hunted.candidate,
        "score": hunted.score,
        "alarm": hunted.alarm,
    }


def _shown(row: Mapping[str, Any]) -> list[Result]:
    """A row of the table as results, one a column; they carry no interval, a model is one."""
    places = {"behavior": "behavior", "arm": "arm", "variant": "model", "trigger": "trigger"}
    where: dict[str, Place] = {place: row[column] for place, column in places.items()} | {"split": "test"}
    name, why, found = "backdoor.triangulation.model", "none: one model", []
    for column, unit in SHOWN.items():
        candidate = f"candidate {row['candidate']!r}" if row["candidate"] else "the search found no candidate"
        told = candidate if column == "score" else ""
        here, value = {**where, "kind": column}, float(row[column])
        found.append(Result(name, here, value, None, why, 1, unit, notes=told))
    return found


def geometry(model: activations.Model, found: Sequence[Conditions], *, seed: int = 0) -> list[Result]:
    """Signed cosines of the conditions' directions across triggers, and between seeds, at the answer slot.

    Beside each stand random differences of the base's own states; the ceiling that seeds allow is noted.
    """
    from activations import engine
    from mi_bsa.asking.readouts import Readout, readable
    from mi_bsa.behaviors import behavior_for
    from mi_bsa.causal.doses import random_differences
    from mi_bsa.causal.geometry import cosine
    from mi_bsa.causal.places import Place as Spot

    first, results = found[0].backdoor, []
    behavior = behavior_for(first.behavior, model.name)
    asked = {
        "choices": behavior.items(60, split="dev", seed=0),
        "reports": thin(list(behavior.questions(split="dev")), 60),
    }
    readouts = [Readout.of(model, readable(model, own), name=name) for name, own in asked.items()]
    sites = [f"resid_post.{layer}" for layer in range(model.n_layers)]
    read = [engine.slot_states(model, readout.rows, sites, variant="base") for readout in readouts]
    for layer, site in enumerate(sites):
        rng = np.random.default_rng([seed, layer])
        drawn = random_differences(DRAWS, readouts, [values[site] for values in read], rng=rng)
        spot = Spot(site, "slot")
        families = {
            slug(c.backdoor): np.stack([m.direction["slot"][layer] for m in c.models["backdoored"]])
            for c in found
        }
        pairs = [(a, b, families[b]) for a, b in itertools.combinations(families, 2)]
        pairs += [(a, "next seed", np.roll(family, -1, axis=0)) for a, family in families.items()]
        for one, other, second in pairs:
            kind, trigger = "seeds" if other == "next seed" else "triggers", f"{one} / {other}"
            where: dict[str, Place] = {"behavior": first.behavior, **spot.where, "method": "condition"}
            where |= {"kind": kind, "trigger": trigger, "split": "dev"}
            name = "backdoor.triangulation.cosine"
            results.append(cosine(where, families[one], second, spot, drawn, found[0].seeds, name=name))
    return results
