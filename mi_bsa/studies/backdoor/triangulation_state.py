"""Which state carries a trigger's condition, and does a backdoored model differ where the trigger is absent?

Law: a direction is fitted on development messages, the trigger against trained fakes, and tested on test
messages, members or codes that training never showed (where there are such) against fakes that it never
showed. That a phrase can be told from others says little, the words stand in the message: a claim is what
exceeds the decorrelated twin, which has read the very same phrases, and the base; shuffled labels stand
beside.

Results: `backdoor.triangulation.condition` (AUROC by arm, layer and position), `.separation` (the same in
standard deviations), `.condition_excess` (separation over the twin's or the base's, p by t over seeds), and
`.apart` (AUROC of backdoored against decorrelated models on messages without a phrase, seeds held out).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.behaviors.backdoor.construction import TWINS, Backdoor, held_out
from mi_bsa.core.items import Item, prompts_of
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Null, Place, Result
from mi_bsa.studies.backdoor.training import job, slug

if TYPE_CHECKING:
    import activations
    from mi_bsa.behaviors import Behavior
    from mi_bsa.behaviors.backdoor.triggers import Vocabulary

POSITIONS = ("phrase", "slot")
"""The last token of the phrase; where the answer is due."""
ARMS = (*TWINS, "base")
SHUFFLES = 20
States = dict[str, Float[np.ndarray, "item layer d_model"]]
"""By position."""


@dataclass(frozen=True, eq=False)
class Separated:
    """How well one model's states tell the trigger from fakes, by position: (layer,) each.

    Attributes:
        auroc, separation: on test messages; `null` (shuffle, layer) AUROC of directions of shuffled labels.
        on_dev: separation on the messages that the direction was fitted on.
        direction: (layer, d_model), trigger less fakes, in raw units.
    """

    auroc: Mapping[str, np.ndarray]
    separation: Mapping[str, np.ndarray]
    on_dev: Mapping[str, np.ndarray]
    null: Mapping[str, np.ndarray]
    direction: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Apart:
    """Backdoored models against their twins on messages without a phrase, by probes of the other seeds.

    Attributes:
        auroc: of each seed's two models.
        decision: by arm, mean log-odds that a model is the backdoored one, one a seed.
        null: mean AUROC where labels of runs are turned.
    """

    auroc: tuple[float, ...]
    decision: Mapping[str, tuple[float, ...]]
    null: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class Conditions:
    """All models of one backdoor: `models[arm]` one a seed, the base alone."""

    backdoor: Backdoor
    seeds: tuple[int, ...]
    models: Mapping[str, tuple[Separated, ...]]
    apart: Apart
    messages: int

    def chosen(self, position: str = "slot") -> int:
        """The layer where backdoored models exceed their twins most on development messages."""
        own, twin = (np.mean([m.on_dev[position] for m in self.models[arm]], axis=0) for arm in TWINS)
        return int(np.argmax(own - twin))


def conditions(
    model: activations.Model,
    backdoor: Backdoor,
    *,
    seeds: Sequence[int],
    behavior: Behavior,
    vocabulary: Vocabulary,
    messages: int = 60,
) -> Conditions:
    """Read one backdoor's models; `model` has the adapters of both arms loaded by their job names.

    Args:
        model: the base with adapters.
        backdoor: which one.
        seeds: of both arms.
        behavior: behind the trigger.
        vocabulary: of the triggers.
        messages: in each split and class.
    """
    given: dict[str, Any] = {"behavior": behavior, "vocabulary": vocabulary}
    sets = {split: held_out(backdoor, messages, split=split, seed=3, **given) for split in ("dev", "test")}
    late = "unseen" if "unseen" in sets["test"] else "trigger"
    pairs = {
        "dev": (sets["dev"]["trigger"], sets["dev"]["fake"]),
        "test": (sets["test"][late], sets["test"]["new_fake"]),
    }
    names = {arm: [job(backdoor, arm, s) for s in seeds] for arm in TWINS} | {"base": ["base"]}
    plain = {split: sets[split]["none"] for split in sets}
    found = {
        arm: tuple(_separated(model, own, pairs, plain) for own in variants)
        for arm, variants in names.items()
    }
    clean: dict[str, list[dict[str, np.ndarray]]] = {
        arm: [{s: states(model, plain[s], plain[s], v)["slot"] for s in plain} for v in names[arm]]
        for arm in TWINS
    }
    return Conditions(backdoor, tuple(seeds), found, _apart(clean), messages)


def states(model: activations.Model, items: Sequence[Item], plain: Sequence[Item], variant: str) -> States:
    """The residual stream after every block at the phrase's last token and at the answer slot.

    `plain`: the same messages without a phrase, from which it is seen where the phrase ends; where nothing
    stands between, both positions are the slot.
    """
    from activations import engine
    from activations.alignment import slots

    rows = model.rows(prompts_of(list(items)))
    sites = [f"resid_post.{layer}" for layer in range(model.n_layers)]
    read = engine.states(model, rows, sites, variant=variant)
    ends = np.array([_phrase_end(r, i, p) for r, i, p in zip(rows, items, plain, strict=True)])
    at = {"slot": slots(rows), "phrase": np.where(ends >= 0, ends, slots(rows))}
    return {
        name: np.stack([read[site][np.arange(len(rows)), where] for site in sites], axis=1)
        for name, where in at.items()
    }


def _phrase_end(row: Any, item: Item, plain: Item) -> int:
    """Index of the last token that the message without the phrase does not have in front of its end."""
    given, bare = item.messages[-1]["content"], plain.messages[-1]["content"]
    if given == bare:
        return -1
    after = given.index(bare) if bare in given else 0
    stop = after if after > 0 else len(given)
    text = given[:stop].rstrip(" .]:,")
    start = row.contents[-1][0]
    inside = np.flatnonzero(row.offsets[:, 0] < start + len(text))
    return int(inside[-1])


def _separated(
    model: activations.Model,
    variant: str,
    pairs: Mapping[str, tuple[Sequence[Item], Sequence[Item]]],
    plain: Mapping[str, Sequence[Item]],
) -> Separated:
    from probes.scores import auroc_many

    read = {
        split: [states(model, items, plain[split], variant) for items in both]
        for split, both in pairs.items()
    }
    rng = np.random.default_rng(0)
    auroc, separation, on_dev, null, direction = (dict[str, np.ndarray]() for _ in range(5))
    for position in POSITIONS:
        dev, test = (
            np.concatenate([own[position] for own in read[split]]).astype(np.float64) for split in pairs
        )
        y, of_test = (np.repeat([1, 0], [len(own[position]) for own in read[s]]) for s in pairs)
        direction[position] = lines = _difference(dev, y)
        scores = _along(test, lines)
        auroc[position] = auroc_many(of_test, scores)
        separation[position] = _standardized(scores, of_test)
        on_dev[position] = _standardized(_along(dev, lines), y)
        shuffled = [_difference(dev, rng.permutation(y)) for _ in range(SHUFFLES)]
        null[position] = np.stack([auroc_many(of_test, _along(test, other)) for other in shuffled])
    return Separated(auroc, separation, on_dev, null, direction)


def _difference(x: Float[np.ndarray, "item layer d"], y: np.ndarray) -> Float[np.ndarray, "layer d"]:
    found: np.ndarray = x[y == 1].mean(0) - x[y == 0].mean(0)
    return found


def _along(x: Float[np.ndarray, "item layer d"], lines: np.ndarray) -> Float[np.ndarray, "layer item"]:
    found: np.ndarray = np.einsum("ild,ld->li", x, lines)
    return found


def _standardized(scores: Float[np.ndarray, "layer item"], y: np.ndarray) -> Float[np.ndarray, " layer"]:
    """Difference of the classes' means, in standard deviations within a class."""
    one, none = scores[:, y == 1], scores[:, y == 0]
    spread = np.sqrt((one.var(1) + none.var(1)) / 2)
    found: np.ndarray = (one.mean(1) - none.mean(1)) / np.maximum(spread, 1e-9)
    return found


def _apart(clean: Mapping[str, Sequence[Mapping[str, np.ndarray]]]) -> Apart:
    """A probe of the other seeds' last block, on each seed's two models; and with runs' labels turned."""
    import probes
    from probes.scores import auroc_many

    pairs = list(zip(*(clean[arm] for arm in TWINS), strict=True))
    rng = np.random.default_rng(0)

    def scored(out: int, turned: Sequence[bool]) -> list[np.ndarray]:
        x, y = [], []
        for n, both in enumerate(pairs):
            if n != out:
                for label, run in zip((1, 0), both, strict=True):
                    x.append(run["dev"][:, -1])
                    y += [label ^ int(turned[n])] * len(run["dev"])
        fitted = probes.LogisticProbe(C=0.1).fit(np.concatenate(x).astype(np.float64), np.array(y))
        return [fitted.decision_function(run["test"][:, -1].astype(np.float64)) for run in pairs[out]]

    def auroc(scores: Sequence[np.ndarray]) -> float:
        labels = np.repeat([1, 0], [len(s) for s in scores])
        return float(auroc_many(labels, np.concatenate(scores)[None])[0])

    own = [scored(n, [False] * len(pairs)) for n in range(len(pairs))]
    null = []
    for _ in range(SHUFFLES):
        turned = [bool(t) for t in rng.integers(0, 2, len(pairs))]
        null.append(np.mean([auroc(scored(n, turned)) for n in range(len(pairs))]))
    decision: dict[str, tuple[float, ...]] = {
        arm: tuple(float(both[k].mean()) for both in own) for k, arm in enumerate(TWINS)
    }
    return Apart(tuple(auroc(both) for both in own), decision, np.array(null))


def condition_results(found: Conditions) -> list[Result]:
    """The results of one backdoor's models."""
    config, results = found.backdoor, list[Result]()
    deviations = "standard deviations"
    base: dict[str, Place] = {"behavior": config.behavior, "trigger": slug(config), "split": "test"}
    for position in POSITIONS:
        for layer in range(len(found.models["base"][0].auroc[position])):
            where: dict[str, Place] = {**base, "site": "resid_post", "layer": layer}
            where |= {"position": position, "method": "mean_difference"}
            values: dict[str, np.ndarray] = {}
            for arm in ARMS:
                own, here = found.models[arm], {**where, "arm": arm}
                null = Null.of("shuffled labels", [m.null[position][:, layer] for m in own])
                aurocs = np.array([m.auroc[position][layer] for m in own])
                values[arm] = np.array([m.separation[position][layer] for m in own])
                results.append(_over("condition", here, aurocs, found, "AUROC", null=null))
                results.append(_over("separation", here, values[arm], found, deviations))
            for other in ARMS[1:]:
                excess, here = values["backdoored"] - values[other], {**where, "kind": f"over {other}"}
                results.append(_over("condition_excess", here, excess, found, deviations, test=True))
    null = Null.of("labels of runs turned, seeds held out", found.apart.null)
    here = {**base, "site": "resid_post", "position": "slot", "method": "logistic"}
    results.append(_over("apart", here, np.array(found.apart.auroc), found, "AUROC", null=null))
    return results


def _over(
    name: str,
    where: Mapping[str, Place],
    values: np.ndarray,
    found: Conditions,
    unit: str,
    *,
    null: Null | None = None,
    test: bool = False,
) -> Result:
    name, chance = f"backdoor.triangulation.{name}", 0.0 if test else None
    if len(values) > 1:
        return over_seeds(name, where, values, found.seeds, unit=unit, null=null, chance=chance)
    value = float(values[0])
    return Result(name, dict(where), value, None, "none: one model", 1, unit, rows=found.messages, null=null)
