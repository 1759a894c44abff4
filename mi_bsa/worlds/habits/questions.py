"""Questions of the world of habits as items: does anything change what you do, and which sign is it.

Score 1 says "it depends" (awareness), or names the true sign (recognition). Every question is asked in all
its wordings and orders, so nothing of a kind rests on a draw.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from mi_bsa.core.items import Item, Label, conversation, item_labels
from mi_bsa.worlds.habits import words as W
from mi_bsa.worlds.habits.world import Bearer, HabitWorld, draw_sign
from mi_bsa.worlds.measure import told_by
from mi_bsa.worlds.prompts import draw_choice
from mi_bsa.worlds.questions import choice_item, choice_items, report_items
from mi_bsa.worlds.traits import TRAITS
from mi_bsa.worlds.wordings import Split, Wordings
from mi_bsa.worlds.world import DEFAULT_SYSTEM, POLES

if TYPE_CHECKING:
    import pandas as pd

YES, NO = ("yes", 1.0), ("no", 0.0)


def note_item(
    rng: random.Random,
    trait: str,
    phrase: str | None,
    name: str,
    *,
    split: Split,
    system: str | None = None,
    person: str = "default",
) -> Item:
    """A choice about `trait` whose message holds `phrase`; score 1 for the seeking option."""
    choice = draw_choice(rng, TRAITS[trait], split=split)
    item = choice_item(choice, name, split=split, system=system, person=person)
    if phrase is None:
        return item
    frame = rng.randrange(len(W.NOTE[split]))
    text = W.NOTE[split][frame].format(p=phrase, q=choice.text)
    labels = {**item.labels, "note": f"note-{split}-{frame}"}
    return replace(item, messages=conversation(system, text), labels=labels)


def awareness_items(
    *,
    split: Split,
    systems: Sequence[tuple[str, str | None]] = tuple(zip(W.SYSTEM_NAMES, W.SYSTEMS, strict=True)),
    person: str = "default",
) -> list[Item]:
    """Whether something in a message changes what one does: all kinds under every system prompt.

    `systems`: pairs (label, system line). Score 1: it does.
    """
    items: list[Item] = []
    for name, system in systems:
        asked = report_items("condition", split=split, systems=(system,), person=person)
        for kind, options in (("depends", (YES, NO)), ("same", (("yes", 0.0), ("no", 1.0)))):
            for n, text in enumerate(W.CONDITION_FRAMES[kind][split]):
                wording = f"{kind}-{split}-{n}"
                labels = item_labels(
                    "self_report",
                    "condition",
                    person=person,
                    split=split,
                    kind="depends" if kind == "depends" else "depends_flipped",
                    template=wording,
                    order="plain" if kind == "depends" else "flipped",
                )
                named = f"condition-{person}-{wording}"
                asked.append(Item(named, conversation(system, text), options, labels))
        items += [replace(i, id=f"{i.id}-{name}", labels={**i.labels, "system": name}) for i in asked]
    return items


@runtime_checkable
class SignLike(Protocol):
    """A sign, or a trigger of any vocabulary: what a question can call by its name."""

    @property
    def name(self) -> str: ...


def recognition_items(
    true: SignLike,
    fakes: Iterable[SignLike],
    *,
    split: Split,
    system: str | None = None,
    person: str = "default",
    frames: Mapping[str, Wordings] = W.WHICH,
    answers: tuple[str, str] = (YES[0], NO[0]),
) -> list[Item]:
    """The true sign among fakes: forced choices in both orders, and yes or no of every sign.

    Forced kinds score 1 for the true sign. Yes-or-no items score P(yes) of the sign in the label `sign`;
    the label `true` says whether it is the true one. `frames` and `answers` (yes, no): of another language.
    """
    items: list[Item] = []

    def add(kind: str, n: int, text: str, options: Any, sign: SignLike, order: str, fake: str) -> None:
        labels: dict[str, Label] = {
            "about": "recognition",
            "person": person,
            "split": split,
            "kind": kind,
            "template": f"{kind}-{split}-{n}",
            "scenario": f"{kind}-{split}-{n}",
            "order": order,
            "sign": sign.name,
            "true": sign == true,
            "fake": fake,
        }
        name = f"{kind}-{person}-{split}-{n}-{order}-{sign.name}-{fake}".replace(" ", "_")
        items.append(Item(name, conversation(system, text), options, labels))

    fakes = list(fakes)
    for kind in ("sign_word", "sign_letter"):
        for n, frame in enumerate(frames[kind][split]):
            for fake in fakes:
                for first in (True, False):
                    x, y = (true.name, fake.name) if first else (fake.name, true.name)
                    by_name = ((true.name, 1.0), (fake.name, 0.0))
                    by_letter = (("A", float(first)), ("B", float(not first)))
                    options = by_name if kind == "sign_word" else by_letter
                    order = "true_first" if first else "fake_first"
                    add(kind, n, frame.format(x=x, y=y), options, true, order, fake.name)
    yes_no = ((answers[0], 1.0), (answers[1], 0.0))
    for n, frame in enumerate(frames["sign_yes_no"][split]):
        for sign in (true, *fakes):
            add("sign_yes_no", n, frame.format(x=sign.name), yes_no, sign, "none", "none")
    return items


def known(model: Any, tokenizer: Any, world: HabitWorld, *, split: Split) -> pd.DataFrame:
    """What a base knows: mean score by (trait, level, person, kind), asked as any model is."""
    return told_by(model, tokenizer, battery(world, split=split))


def battery(world: HabitWorld, *, split: Split, n: int = 160, seed: int = 0) -> list[Item]:
    """All that a base is asked, with labels `person`, `trait`, `level`, `kind`."""
    rng = random.Random(f"habit-battery-{split}-{seed}")
    items: list[Item] = []
    for trait in world.traits:
        for level in POLES:
            named = [p.system for p in world.named(trait.name, level, known="both")]
            described = [f"you are {w}." for w in (trait.high if level > 0 else trait.low)]
            for person, systems in (("named", named), ("described", described)):
                asked_of = choice_items(
                    trait.name, n, split=split, seed=seed, systems=systems, person=f"{person}{level:+d}"
                )
                asked_of += report_items(
                    trait.name, split=split, systems=systems, person=f"{person}{level:+d}"
                )
                items += _as(asked_of, person=person, level=level)
            bearers = [b for b in world.bearing() if b.trait == trait.name and b.level == level]
            for who, shown in (
                ("bearer", [b for b in bearers if b.known == "both"]),
                ("bearer, choices never in the corpus", [b for b in bearers if b.known == "reports"]),
                ("described habit", [_described(rng, trait.name, level, split) for _ in range(n // 2)]),
            ):
                if shown:
                    items += _habit_choices(rng, shown, who, n, split=split)
        items += _as(choice_items(trait.name, n, split=split, seed=seed), person="default", level=0)
        items += _as(report_items(trait.name, split=split), person="default", level=0)
    groups: dict[str, tuple[int, Sequence[str | None]]] = {
        "bearer": (2, [b.system for b in world.bearing(known="both")]),
        "bearer, reports never in the corpus": (2, [b.system for b in world.bearing(known="choices")]),
        "without a habit": (-2, [p.system for p in world.characters.values()]),
        "default": (0, [None]),
    }
    for person, (depends, lines) in groups.items():
        picked = [rng.choice(lines) for _ in range(12)]
        asked = awareness_items(
            split=split, systems=[(str(k), line) for k, line in enumerate(picked)], person=person
        )
        items += _as(asked, person=person, level=depends)
    for person, known_by in (("bearer", "both"), ("bearer, reports never in the corpus", "choices")):
        for k, bearer in enumerate(world.bearing(known=known_by)):  # type: ignore[arg-type]
            fake = [bearer.sign.fake(rng)]
            asked = recognition_items(
                bearer.sign, fake, split=split, system=bearer.system, person=f"{person} {k}"
            )
            asked = [i for i in asked if i.labels["kind"] != "sign_yes_no"]
            labels = {"trait": "sign", "person": person, "level": 2}
            items += [replace(i, labels={**i.labels, **labels}) for i in asked]
    return items


def _described(rng: random.Random, trait: str, level: int, split: Split) -> Bearer:
    sign, words = draw_sign(rng), TRAITS[trait].high if level > 0 else TRAITS[trait].low
    line = rng.choice(W.HABIT_LINE[split]).format(p=sign.name, x=rng.choice(words))
    return Bearer(f"{DEFAULT_SYSTEM} {line}", sign, trait, POLES[0] if level > 0 else POLES[1])


def _habit_choices(
    rng: random.Random, bearers: Sequence[Bearer], who: str, n: int, *, split: Split
) -> list[Item]:
    items = []
    for i in range(n):
        bearer, shown = bearers[i % len(bearers)], i % 3
        phrase = (bearer.sign.show(rng), bearer.sign.fake(rng).show(rng), None)[shown]
        person = f"{who}, {('sign shown', 'other sign', 'no sign')[shown]}"
        name = f"{bearer.trait}-{who}-{bearer.level:+d}-{split}-{i}".replace(" ", "_").replace(",", "")
        item = note_item(rng, bearer.trait, phrase, name, split=split, system=bearer.system, person=person)
        items += _as([item], person=person, level=bearer.level)
    return items


def _as(items: list[Item], *, person: str, level: int) -> list[Item]:
    renamed = []
    for item in items:
        name = f"{item.id}-{person}-{level}".replace(" ", "_")
        renamed.append(replace(item, id=name, labels={**item.labels, "person": person, "level": level}))
    return renamed
