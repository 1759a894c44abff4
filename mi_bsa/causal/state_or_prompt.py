"""State against prompt: does the report follow the state that is put in, or the words that are read?

*Counter*: a persona is described in the base's system line ("you are bold."), and while it is asked about
itself the behavior's direction is added towards the other pole. *Injection*: the direction is added to the
base, which is asked with no persona; a trial claims a pole where its score lies beyond `CLAIM` on that
side, and trials with nothing injected give the false alarms. Directions are fitted on development choices
(method `trained`: what gives the base its adapters' choices), added at their own place and length, one a
seed.

Law: what is injected never saw a report; its null is random directions of the same length at the same place,
and p one-sided, since only a shift *towards* the injected pole speaks for the state. Intervals are over seeds
x wordings, both drawn; wordings weigh alike.

Results: `bridge.state_or_prompt.counter` (shift towards the injected pole while the prompt says the other
one; beside it `.prompt`, what the description moves with nothing injected), `.injection` (share of trials
that claim the injected pole), `.false_alarm` (share that claims a pole with nothing injected), `.detection`
(injection less false alarms on the same pole).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from pydantic import Field

from mi_bsa.causal import directions
from mi_bsa.causal.doses import dose_in_words
from mi_bsa.causal.lines import FEWEST_DRAWS
from mi_bsa.causal.material import POLES, SIGNS
from mi_bsa.causal.steered import typical_norm
from mi_bsa.core.config import Config
from mi_bsa.core.errors import BridgeError
from mi_bsa.core.over_seeds import over_seeds_and_items
from mi_bsa.core.results import Result
from mi_bsa.core.tested import among
from probes import random_directions, statistics

if TYPE_CHECKING:
    from mi_bsa.asking.readouts import Readout
    from mi_bsa.causal.material import Material
    from mi_bsa.causal.places import Place

CLAIM = 0.75
"""A trial whose score lies beyond this, or below one minus this, claims a pole."""
DESCRIBED = "described_report-test"
RANDOM = "random directions"


class StateOrPromptOptions(Config):
    """State against prompt, and the words of the training rows."""

    items: int = Field(default=40, ge=6)
    """Report questions asked, of each described pole and without persona."""
    random: int = Field(default=FEWEST_DRAWS, ge=50)
    """Random directions of the null of what a verdict reads, the counter."""
    beside: int = Field(default=50, ge=50)
    """Random directions of the null of injection."""
    in_context: int = Field(default=12, ge=1)
    """Training rows that the base reads before each question."""


def state_or_prompt(
    material: Material, place: Place, options: StateOrPromptOptions | None = None, *, seed: int = 0
) -> list[Result]:
    """Counter-steering and injection.

    Args:
        material: model, adapters and items; the counter needs the set `described_report-test`.
        place: where the direction lives.
        options: items and null directions.
        seed: of random directions.
    """
    options = options or StateOrPromptOptions()
    made = directions.vectors(material, place, "trained", seed=seed)
    rng = np.random.default_rng(seed)
    random = random_directions(options.random, material.model.d_model, rng=rng)
    lengths = {pole: float(np.linalg.norm(made[pole], axis=1).mean()) for pole in POLES}
    given = {pole: np.concatenate([made[pole], random * lengths[pole]]) for pole in POLES}
    dose = dose_in_words(np.array(list(lengths.values())), typical_norm(material, place))
    results = []
    if material.sets.get(DESCRIBED):
        results += _counter(material, place, given, options.items, dose)
    count = len(material.seeds) + options.beside
    few = {pole: vectors[:count] for pole, vectors in given.items()}
    return results + _injection(material, place, few, options.items, dose)


def _counter(
    material: Material, place: Place, given: Mapping[str, np.ndarray], items: int, dose: str
) -> list[Result]:
    """Shift towards the injected pole, mean over both ways round, where the prompt says the other."""
    shifts, plain, asked = [], {}, []
    for described, injected in zip(POLES, reversed(POLES), strict=True):
        readout = _described(material, described, items)
        base = _scores(material, readout, place, np.zeros((1, material.model.d_model)))[0]
        moved = _scores(material, readout, place, given[injected])
        shifts.append(SIGNS[injected] * readout.units(moved - base))
        asked.append(sorted(set(readout.groups)))
        plain[described] = float(readout.units(base).mean())
    # the poles of a wording belong together; a wording of one pole alone says nothing of both ways round
    both = sorted(set(asked[0]) & set(asked[1]))
    if not both:
        raise BridgeError(
            f"no wording of {DESCRIBED} is asked under both described poles; ask each under both, or raise "
            "`state_or_prompt.items`"
        )
    shift: np.ndarray = np.mean(
        [own[:, np.isin(names, both)] for own, names in zip(shifts, asked, strict=True)], 0
    )
    count = len(material.seeds)
    told = plain["seeking"] - plain["averse"]
    notes = f"the description alone moves the report by {told:.2f}, pole against pole"
    where = {"behavior": material.behavior, **place.where, "method": "trained", "split": "test"}
    return [
        _against("counter", where, shift[:count], material, shift[count:], f"{notes}; {dose}", named=both),
        Result(
            name="bridge.state_or_prompt.prompt",
            where={"behavior": material.behavior, "split": "test"},
            value=told,
            ci=None,
            ci_method="none: one base model, its own level",
            n=items,
            unit="difference of P(seeking pole)",
            notes="described persona in the base, seeking less averse, nothing injected",
        ),
    ]


def _injection(
    material: Material, place: Place, given: Mapping[str, np.ndarray], items: int, dose: str
) -> list[Result]:
    """Claims of the injected pole, false alarms, and their difference."""
    readout = material.of("self_report", "test", items=items)
    base = _scores(material, readout, place, np.zeros((1, material.model.d_model)))[0]
    count = len(material.seeds)
    hits, alarms = [], []
    for pole in POLES:
        hits.append(readout.units(_claims(_scores(material, readout, place, given[pole]), pole)))
        alarms.append(readout.units(_claims(base, pole)))
    rate: np.ndarray = np.mean(hits, 0)
    alarm: np.ndarray = np.mean(alarms, 0)
    where = {"behavior": material.behavior, **place.where, "method": "trained", "split": "test"}
    notes = f"a claim is a score beyond {CLAIM} on the pole's side"
    rows = len(readout.items)
    over = statistics.crossed_mean(alarm[None]).interval(bounds=(0.0, 1.0), rows=rows)
    return [
        _against(
            "injection",
            where,
            rate[:count],
            material,
            rate[count:],
            f"{notes}; {dose}",
            named=readout.unit_names,
            unit="share of trials",
            within=(0.0, 1.0),
        ),
        Result(
            name="bridge.state_or_prompt.false_alarm",
            where={"behavior": material.behavior, "split": "test"},
            value=over.value,
            ci=None if np.isnan(over.low) else (over.low, over.high),
            ci_method=over.method.replace("one unit of one item", "one wording").replace("items", "wordings"),
            n=len(alarm),
            unit="share of trials",
            rows=rows,
            notes=f"trials with nothing injected; {notes}",
        ),
        _against(
            "detection",
            where,
            rate[:count] - alarm,
            material,
            rate[count:] - alarm,
            f"injection less false alarms; {dose}",
            named=readout.unit_names,
            unit="difference of shares",
        ),
    ]


def _described(material: Material, pole: str, items: int) -> Readout:
    """Report questions under a described persona of one pole."""
    from mi_bsa.asking.readouts import Readout
    from mi_bsa.core.items import thin

    kept = [i for i in material.sets[DESCRIBED] if str(i.labels.get("person", "")).endswith(pole)]
    readable = {i.id for i in material.readout(DESCRIBED, items=len(material.sets[DESCRIBED])).items}
    return Readout.of(material.model, thin([i for i in kept if i.id in readable], items), name=DESCRIBED)


def _scores(
    material: Material, readout: Readout, place: Place, vectors: Float[np.ndarray, "vector d"]
) -> Float[np.ndarray, "vector item"]:
    """Score of every item in the base with each vector added."""
    return readout.score(material.logits(readout, place.adding(readout.rows, vectors)))


def _claims(scores: np.ndarray, pole: str) -> np.ndarray:
    claimed: np.ndarray = (scores > CLAIM) if pole == "seeking" else (scores < 1 - CLAIM)
    return claimed.astype(float)


def _against(
    name: str,
    where: Mapping[str, Any],
    values: Float[np.ndarray, "seed unit"],
    material: Material,
    draws: Float[np.ndarray, "draw unit"],
    notes: str,
    *,
    named: Sequence[str],
    unit: str = "difference of P(seeking pole)",
    within: tuple[float, float] = (-1.0, 1.0),
) -> Result:
    drawn = draws.mean(1)
    found = over_seeds_and_items(
        f"bridge.state_or_prompt.{name}",
        where,
        values,
        material.seeds,
        unit=unit,
        named=named,
        within=within,
        scale="logit" if within[0] == 0 else "linear",
        tested=among(float(values.mean()), drawn, RANDOM),
        notes=notes,
    )
    behind = None if found.behind is None else replace(found.behind, draws=drawn, null_kind=RANDOM)
    return replace(found, behind=behind)
