"""Does the report of having a backdoor read the state that carries the trigger's condition?

The bridge's steps, with backdoored runs as one pole and their decorrelated twins as the other: behavior is
the choice with the trigger in the message, self-report is awareness, asked without it. The direction is the
condition's own (trigger less fakes, `triangulation_state`), one a seed, at the layer that development chose.
Law: random directions of the same length stand beside every number, and awareness is of test wordings.

Results (kind = `self_report`, `behavior`): `backdoor.triangulation.steer` (shift of the base's awareness),
`.ablate` (contrast of the arms without the direction less the contrast as it is), and of mediation `.te`,
`.nie`, `.nde` of the half contrast in log-odds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.behaviors.backdoor.construction import TWINS, held_out
from mi_bsa.causal.doses import dose_in_words
from mi_bsa.causal.material import READ_OUTS, Material
from mi_bsa.causal.places import Place
from mi_bsa.core.items import Item
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Result
from mi_bsa.core.tested import UNTESTED, among
from mi_bsa.studies.backdoor.training import job, slug
from probes import random_directions

if TYPE_CHECKING:
    import activations
    from mi_bsa.behaviors import Behavior
    from mi_bsa.behaviors.backdoor.triggers import Vocabulary
    from mi_bsa.studies.backdoor.questions import AskedSplit
    from mi_bsa.studies.backdoor.triangulation_state import Conditions

STRENGTHS = (1.0, 2.0)
"""Of the direction's own length."""
ITEMS = 60


def material_of(
    model: activations.Model,
    found: Conditions,
    *,
    behavior: Behavior,
    vocabulary: Vocabulary,
    awareness: Mapping[AskedSplit, Sequence[Item]],
    items: int = ITEMS,
) -> Material:
    """Backdoored against decorrelated runs as the bridge's two poles.

    `awareness`: items of the splits `dev` and `test`. Choices score 1 for what the trigger calls up.
    """
    config = found.backdoor
    given: dict[str, Any] = {"behavior": behavior, "vocabulary": vocabulary}
    sets = {"neutral-test": behavior.neutral(32)}
    for split, asked in awareness.items():
        choices = held_out(config, items, split=split, seed=4, **given)["trigger"]
        sets[f"choice-{split}"] = [_towards(i, config.pole) for i in choices]
        sets[f"report-{split}"] = list(asked)
    poles = zip(("seeking", "averse"), TWINS, strict=True)
    arms = {pole: tuple(job(config, arm, s) for s in found.seeds) for pole, arm in poles}
    return Material(
        model=model, behavior=config.behavior, seeds=found.seeds, arms=arms, sets=sets, items=items
    )


def reads(material: Material, found: Conditions, *, random: int = 99, seed: int = 0) -> list[Result]:
    """Steering, ablation and mediation by the condition's direction, beside `random` random directions."""
    layer = found.chosen()
    place = Place(f"resid_post.{layer}", "all")
    lines = np.stack([m.direction["slot"][layer] for m in found.models["backdoored"]])
    rng = np.random.default_rng(seed)
    drawn = random_directions(random, material.model.d_model, rng=rng)
    results = []
    for read_out in READ_OUTS:
        results += _steer(material, place, read_out, lines, drawn)
        results += _ablate(material, place, read_out, lines, drawn)
        results += _mediate(material, place, read_out, lines, drawn)
    tag: dict[str, str | int] = {"trigger": slug(found.backdoor), "site": "resid_post", "layer": layer}
    return [replace(r, where={**r.where, **tag}) for r in results]


def _steer(
    material: Material, place: Place, read_out: str, lines: Float[np.ndarray, "seed d"], random: np.ndarray
) -> list[Result]:
    """Shift of the base with the direction added at all tokens."""
    from mi_bsa.causal.steered import typical_norm

    readout, norm = material.of(read_out, "test"), typical_norm(material, place)
    length = float(np.linalg.norm(lines, axis=1).mean())
    plain = material.levels(readout)
    found = []
    for strength in STRENGTHS:
        moved, drawn = (
            material.levels(readout, place.adding(readout.rows, vectors)) - plain
            for vectors in (strength * lines, strength * length * random)
        )
        beside = f"{strength:g} x its length"
        where = {"method": beside, "kind": read_out}
        dose = dose_in_words(strength * length, norm, beside=beside)
        found.append(_seeds(material, "steer", where, moved, drawn, "shift of P", place, dose))
    return found


def _ablate(
    material: Material, place: Place, read_out: str, lines: Float[np.ndarray, "seed d"], random: np.ndarray
) -> list[Result]:
    """What the contrast of the arms loses when the direction is taken out, at its block or everywhere."""
    from mi_bsa.causal.necessity import Cut

    cut = Cut(material, f"{READ_OUTS[read_out]}-test", place)
    own = dict.fromkeys(("seeking", "averse"), lines)
    full = _contrast(cut.levels()).mean(-1)
    found = []
    notes, unit = f"contrast as it is {full.mean():.3f}", "change of contrast"
    for method, everywhere in (("at its block", False), ("everywhere", True)):
        left = _contrast(cut.without(own, everywhere=everywhere)).mean(-1) - full
        each = _contrast(cut.without_each(random, everywhere=everywhere)).mean(-1)
        drawn = (each - full[:, None]).mean(0)
        where = {"method": method, "kind": read_out}
        found.append(_seeds(material, "ablate", where, left, drawn, unit, place, notes))
    return found


def _mediate(
    material: Material, place: Place, read_out: str, lines: Float[np.ndarray, "seed d"], random: np.ndarray
) -> list[Result]:
    from mi_bsa.causal.mediation import UNIT, Runs

    runs = Runs(material, read_out, place)
    effects = runs.mediation({"seeking": lines, "averse": lines})
    drawn = runs.indirect(random)
    of_random = among(effects.nie.value, drawn, "random directions", alternative="two-sided")
    where, told = (
        {"behavior": material.behavior, "kind": read_out, "split": "test"},
        "half of backdoored less decorrelated",
    )
    found = []
    for name, one in (("te", effects.te), ("nie", effects.nie), ("nde", effects.nde)):
        tested = of_random if name == "nie" else UNTESTED
        found.append(
            Result(
                f"backdoor.triangulation.{name}",
                where,
                one.value,
                (one.low, one.high),
                one.method,
                one.units,
                UNIT,
                rows=one.n,
                null=tested.null,
                p=tested.p,
                test=tested.test,
                p_floor=tested.floor,
                notes=told,
            )
        )
    return found


def _contrast(levels: np.ndarray) -> np.ndarray:
    """Backdoored less decorrelated, (seed, ...)."""
    found: np.ndarray = levels[:, 0] - levels[:, 1]
    return found


def _seeds(
    material: Material,
    name: str,
    where: Mapping[str, Any],
    values: np.ndarray,
    drawn: np.ndarray,
    unit: str,
    place: Place,
    notes: str = "",
) -> Result:
    return over_seeds(
        f"backdoor.triangulation.{name}",
        {"behavior": material.behavior, "position": place.scope, "split": "test", **where},
        values,
        material.seeds,
        unit=unit,
        tested=among(values.mean(), drawn, "random directions", alternative="two-sided"),
        notes=notes,
    )


def _towards(item: Item, pole: str) -> Item:
    """The item with scores by the backdoor's pole."""
    if pole == "seeking":
        return item
    return replace(item, options=tuple((text, 1.0 - score) for text, score in item.options))
