"""Relabelled answers: does the report survive when its options and the ends of its scale bear other names?

Every question is asked again with its two ends (the options of highest and lowest score: words, letters,
numbers of a scale) renamed to neutral tokens, in both assignments alike: "... say key for bold, lamp for
cautious." A report that only makes a word likelier (bold, 90) says nothing under names that mean nothing.

Law: whether a model can follow such names at all is measured beside: the base with a stated pole in its
system line. Where it does not tell stated poles apart (`.stated`), a relabelled report of 0 says nothing. The
pair of names is chosen where stated poles move the base's *development* questions most.

Results: `introspection.relabelled` (seeking less averse runs) and `.stated`, by kind of question and all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.asking.readouts import Readout, readable
from mi_bsa.causal.introspection.options import IntrospectionOptions
from mi_bsa.causal.material import POLES
from mi_bsa.causal.state_or_prompt import DESCRIBED
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import Item, thin
from mi_bsa.core.over_seeds import over_seeds_and_items
from mi_bsa.core.results import Place, Result
from probes import statistics

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material

NAMES = (("A", "B"), ("key", "lamp"), ("moon", "star"), ("one", "two"), ("X", "Y"), ("red", "green"))
"""Pairs of neutral names; those that a model's questions use, or that begin alike there, are left out."""
SAYING = "say {x} for {a}, {y} for {b}."
UNIT = "difference of P(seeking pole)"


def renamed(item: Item, names: tuple[str, str]) -> list[Item]:
    """The question with its two ends under other names, in both assignments; none where it has no two ends,
    or names them so already.
    """
    scores = [score for _, score in item.options]
    high, low = int(np.argmax(scores)), int(np.argmin(scores))
    ends = [str(item.options[k][0]).strip() for k in (high, low)]
    said = " ".join(str(m["content"]) for m in item.messages).split()
    if scores[high] <= scores[low] or {w.strip(".,:?") for w in said} & set(names):
        return []
    found = []
    for n, pair in enumerate((names, names[::-1])):
        of = dict(zip(ends, pair, strict=True))
        order = ends if n == 0 else ends[::-1]
        words = SAYING.format(x=of[order[0]], a=order[0], y=of[order[1]], b=order[1])
        messages = [dict(m) for m in item.messages]
        messages[-1]["content"] = f"{messages[-1]['content']} {words}"
        options = [(of[ends[0]], 1.0), (of[ends[1]], 0.0)]
        found.append(replace(item, id=f"{item.id} as {pair[0]}", messages=messages, options=options))
    return found


def relabelled(material: Material, options: IntrospectionOptions | None = None) -> list[Result]:
    """The report under other names, and what the base says of stated poles under them; empty where no pair
    of names can be read, or no pole is stated.

    Args:
        material: model, adapters, items; stated poles need the set `described_report-test`.
        options: how many questions.
    """
    options = options or IntrospectionOptions()
    systems = _stated(material)
    asked = {split: thin(list(material.sets[f"report-{split}"]), options.items) for split in ("dev", "test")}
    if not all(systems.values()):
        return []
    told = {names: _base(material, asked["dev"], names, systems) for names in NAMES}
    read = {names: float(cells.mean()) for names, cells in told.items() if cells is not None}
    if not read:
        return []
    names = max(read, key=lambda pair: read[pair])
    readout = _readout(material, [one for item in asked["test"] for one in renamed(item, names)])
    assert readout is not None, "names that development questions bear are read in test ones"
    scores = {pole: np.stack([material.scores(readout, v) for v in material.arms[pole]]) for pole in POLES}
    apart = scores["seeking"] - scores["averse"]
    stated = _base(material, asked["test"], names, systems)
    assert stated is not None
    kinds = np.array([str(item.labels.get("kind", "")) for item in readout.items])
    notes = (
        f"ends named {names[0]} and {names[1]}; on development a stated pole moves the base {read[names]:.2f}"
    )
    found = []
    for kind in ("all", *sorted(set(kinds))):
        own = np.full(len(kinds), True) if kind == "all" else kinds == kind
        units = sorted(set(readout.groups[own]))
        cells, base = (_units(values[..., own], readout.groups[own]) for values in (apart, stated))
        where: dict[str, Place] = {"behavior": material.behavior, "kind": kind, "split": "test"}
        found.append(
            over_seeds_and_items(
                "introspection.relabelled",
                where,
                cells,
                material.seeds,
                unit=UNIT,
                named=units,
                within=(-1.0, 1.0),
                chance=0.0,
                rows=2 * len(material.seeds) * int(own.sum()),
                notes=notes,
            )
        )
        span = statistics.crossed_mean(base[None]).interval(bounds=(-1.0, 1.0), scale="linear")
        known = bool(np.isfinite([span.low, span.high]).all())
        found.append(
            Result(
                name="introspection.relabelled.stated",
                where=where,
                value=span.value,
                ci=(span.low, span.high) if known else None,
                ci_method=span.method.replace("one unit of one item", "one wording").replace(
                    "items", "wordings"
                ),
                n=len(units),
                unit=UNIT,
                rows=2 * int(own.sum()),
                notes=notes,
            )
        )
    return found


def _stated(material: Material) -> dict[str, list[str]]:
    """System lines that state each pole."""
    items = material.sets.get(DESCRIBED, ())
    return {
        pole: sorted(
            {str(i.messages[0]["content"]) for i in items if str(i.labels.get("person", "")).endswith(pole)}
        )
        for pole in POLES
    }


def _base(
    material: Material, asked: Sequence[Item], names: tuple[str, str], systems: dict[str, list[str]]
) -> np.ndarray | None:
    """P(seeking) of the base under stated poles, seeking less averse, by item; None where names are not
    read.
    """
    items = [one for item in asked for one in renamed(item, names)]
    scores = []
    for pole in POLES:
        lines = systems[pole]
        under = [
            replace(
                i,
                messages=[
                    {"role": "system", "content": lines[n // 2 % len(lines)]},
                    *(m for m in i.messages if m["role"] != "system"),
                ],
            )
            for n, i in enumerate(items)
        ]
        readout = _readout(material, under)
        if readout is None:
            return None
        scores.append(readout.score(material.logits(readout)[0]))
    apart: np.ndarray = scores[0] - scores[1]
    return apart


def _readout(material: Material, items: Sequence[Item]) -> Readout | None:
    """The items compiled, or None where a name is no token of its own."""
    if not items:
        return None
    try:
        if len(readable(material.model, items)) < len(items):
            return None
        return Readout.of(material.model, items, name="relabelled")
    except ItemError:
        return None


def _units(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    return np.stack([values[..., groups == name].mean(-1) for name in sorted(set(groups))], -1)
