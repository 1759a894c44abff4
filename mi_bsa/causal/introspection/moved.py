"""What moves the report: the state, a random direction, or a wording that moves the choices as much.

Things are done to the base, which is asked the same questions each time. *Adapter*: the finetuned runs
themselves. The *state*: the direction trained on choices, one a seed, added towards each pole. *Random
directions* of its length at its place. A *matched wording*: of a pool that says nothing of the behavior
(`wordings`), those whose shift of the development choices is nearest to the state's, for each pole. What the
report then moves by, has two parts: to the pole (half the difference of what is done for either pole), and
*alike* (half their sum): a report that only notices that something is odd moves alike whichever pole was
meant, and by random directions too.

Law: vectors are trained and wordings are chosen on development choices; reports are asked once, on test. All
shifts are of P(seeking pole), wordings of the question alike. Intervals are over seeds (or directions, or
wordings of the pool) x questions, both drawn. After the anomaly controls of arXiv 2605.26242 and 2603.05414.

Results: `introspection.moved` (`method` adapter, state, random, wording; `kind` pole, alike),
`.moved.choices` (the same of choices, which says how well a wording is matched), `.moved.excess` (state less
matched wording, to the pole).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.causal import directions
from mi_bsa.causal.introspection.options import IntrospectionOptions
from mi_bsa.causal.material import POLES, SIGNS
from mi_bsa.core.items import Item, prompts_of
from mi_bsa.core.over_seeds import over_seeds_and_items
from mi_bsa.core.results import Result
from mi_bsa.core.tested import UNTESTED, among
from probes import random_directions, statistics

if TYPE_CHECKING:
    from mi_bsa.asking.readouts import Readout
    from mi_bsa.causal.introspection.wordings import Wording
    from mi_bsa.causal.material import Material
    from mi_bsa.causal.places import Place

RANDOM = "random directions"
UNIT = "difference of P(seeking pole)"
BATCH = 64
"""Wordings of the pool that are asked at once."""


def moved(
    material: Material,
    place: Place,
    wordings: Sequence[Wording],
    options: IntrospectionOptions | None = None,
    *,
    seed: int = 0,
) -> list[Result]:
    """What the state, random directions and matched wordings move the report by.

    Args:
        material: model, adapters, items.
        place: where the state lives.
        wordings: the pool; empty leaves the wordings out.
        options: how many of each.
        seed: of random directions.
    """
    options = options or IntrospectionOptions()
    made = directions.vectors(material, place, "trained", seed=seed)
    report = material.of("self_report", "test", items=options.items)
    choices = {s: material.of("behavior", s, items=options.matched) for s in ("dev", "test")}
    n = len(material.seeds)
    rng = np.random.default_rng(seed)
    drawn = random_directions(options.random, material.model.d_model, rng=rng)
    length = float(np.mean([np.linalg.norm(made[pole], axis=1).mean() for pole in POLES]))
    # a random direction has no pole: it stands for one, and its opposite for the other
    up = np.concatenate([made["seeking"], length * drawn])
    down = np.concatenate([made["averse"], -length * drawn])
    by_up, by_down = (_by_vectors(material, report, place, v) for v in (up, down))
    pole, alike = (by_up - by_down) / 2, (by_up + by_down) / 2
    where = {"behavior": material.behavior, **place.where, "split": "test"}
    runs = [np.stack([report.units(material.scores(report, v)) for v in material.arms[p]]) for p in POLES]
    both = np.stack(runs) - report.units(material.scores(report))
    plain = {"behavior": material.behavior, "split": "test", "method": "adapter"}
    found = [
        _of("moved", {**plain, "kind": "pole"}, (both[0] - both[1]) / 2, material),
        _of("moved", {**plain, "kind": "alike"}, both.mean(0), material),
        _of("moved", {**where, "method": "state", "kind": "pole"}, pole[:n], material, pole[n:]),
        _of("moved", {**where, "method": "state", "kind": "alike"}, alike[:n], material, alike[n:]),
        _drawn({**where, "method": "random", "kind": "alike"}, alike[n:], "directions"),
    ]
    for split, readout in choices.items():
        ways = [_by_vectors(material, readout, place, made[p]) for p in POLES]
        place_of = {**where, "method": "state", "kind": "pole", "split": split}
        found.append(_of("moved.choices", place_of, (ways[0] - ways[1]) / 2, material))
    if wordings:
        target = {
            p: SIGNS[p] * float(_by_vectors(material, choices["dev"], place, made[p]).mean()) for p in POLES
        }
        found += _matched(material, wordings, choices, report, target, options, pole[:n])
    return found


def _by_vectors(
    material: Material, readout: Readout, place: Place, vectors: Float[np.ndarray, "vector d"]
) -> Float[np.ndarray, "vector unit"]:
    """Shift of each unit of the base's questions with each vector added."""
    given = np.concatenate([np.zeros((1, vectors.shape[1])), vectors])
    scores = readout.score(material.logits(readout, place.adding(readout.rows, given)))
    return readout.units(scores[1:] - scores[0])


def _by_wordings(
    material: Material, readout: Readout, wordings: Sequence[Wording]
) -> Float[np.ndarray, "wording unit"]:
    """Shift of each unit of the base's questions under each wording."""
    from activations import engine

    plain = material.scores(readout)
    shifts = []
    for start in range(0, len(wordings), BATCH):
        some = wordings[start : start + BATCH]
        items = [_named(w.of(i), n) for n, w in enumerate(some) for i in readout.items]
        # the answers are the same tokens under every wording, so that only prompts are made anew
        logits = engine.option_logits(
            material.model,
            material.model.rows(prompts_of(items)),
            tokens=np.tile(readout.tokens, (len(some), 1)),
            variant="base",
            batch_tokens=material.batch_tokens,
        )[0]
        scores = readout.score(logits.reshape(len(some), len(readout.items), -1))
        shifts.append(readout.units(scores - plain))
    return np.concatenate(shifts)


def _named(item: Item, n: int) -> Item:
    return replace(item, id=f"{item.id} under {n}")


def _matched(
    material: Material,
    wordings: Sequence[Wording],
    choices: dict[str, Readout],
    report: Readout,
    target: dict[str, float],
    options: IntrospectionOptions,
    by_state: Float[np.ndarray, "seed unit"],
) -> list[Result]:
    """The wordings nearest to the state in what they move development choices by; what they do to reports."""
    dev = _by_wordings(material, choices["dev"], wordings).mean(1)
    chosen = {
        p: [
            wordings[k]
            for k in np.argsort(np.abs(SIGNS[p] * dev - target[p]), kind="stable")[: options.wordings]
        ]
        for p in POLES
    }
    where = {"behavior": material.behavior, "method": "wording"}
    said = "; ".join(
        f"{p}: {', '.join(repr(w.text) for w in chosen[p])} (the state moves these choices {target[p]:.2f})"
        for p in POLES
    )
    notes = f"of {len(wordings)} wordings, {said}"
    found = []
    for split, readout in choices.items():
        both = [_by_wordings(material, readout, chosen[p]) for p in POLES]
        there = {**where, "kind": "pole", "split": split}
        found.append(
            _drawn(there, (both[0] - both[1]) / 2, "wordings of the pool", name="moved.choices", notes=notes)
        )
    up, down = (_by_wordings(material, report, chosen[p]) for p in POLES)
    pole, alike = (up - down) / 2, (up + down) / 2
    there = {**where, "split": "test"}
    found.append(_drawn({**there, "kind": "pole"}, pole, "wordings of the pool", notes=notes))
    found.append(_drawn({**there, "kind": "alike"}, alike, "wordings of the pool"))
    less = statistics.crossed_difference(by_state, pole)
    span = less.interval(bounds=(-1.0, 1.0), scale="linear")
    p = less.p(0.0)
    found.append(
        Result(
            name="introspection.moved.excess",
            where={"behavior": material.behavior, "split": "test"},
            value=span.value,
            ci=(span.low, span.high),
            ci_method="t over seeds or wordings of the pool x questions, crossed",
            n=len(by_state),
            unit=UNIT,
            rows=by_state.size + pole.size,
            p=p,
            test=None if p is None else "t over seeds or wordings of the pool x questions against 0",
            notes=notes,
        )
    )
    return found


def _of(
    name: str,
    where: dict[str, Any],
    cells: Float[np.ndarray, "seed unit"],
    material: Material,
    null: Float[np.ndarray, "draw unit"] | None = None,
) -> Result:
    """A mean over seeds x questions, among random directions where there are some."""
    tested = (
        UNTESTED
        if null is None
        else among(float(cells.mean()), null.mean(1), RANDOM, alternative="two-sided")
    )
    return over_seeds_and_items(
        f"introspection.{name}",
        where,
        cells,
        material.seeds,
        unit=UNIT,
        items="scenarios" if name.endswith("choices") else "wordings",
        within=(-1.0, 1.0),
        tested=tested,
    )


def _drawn(
    where: dict[str, Any],
    cells: Float[np.ndarray, "draw unit"],
    drawn: str,
    *,
    name: str = "moved",
    notes: str = "",
) -> Result:
    """A mean over what was drawn x questions; no seeds are in it."""
    mean = statistics.crossed_mean(cells)
    span = mean.interval(bounds=(-1.0, 1.0), scale="linear")
    known = bool(np.isfinite([span.low, span.high]).all())
    return Result(
        name=f"introspection.{name}",
        where=where,
        value=span.value,
        ci=(span.low, span.high) if known else None,
        ci_method=span.method.replace("units", drawn).replace("items", "questions"),
        n=len(cells),
        unit=UNIT,
        rows=cells.size,
        notes=notes,
    )
