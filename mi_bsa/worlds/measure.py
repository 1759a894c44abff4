"""What a base of the embedded world knows: choices and reports of every kind of persona, before any finetune.

Law: it is asked on held-out wordings through the same `ask` as any other model. Scores are 1 at the seeking
pole.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mi_bsa.asking.asking import ask
from mi_bsa.core.items import Item, Turns, conversation
from mi_bsa.worlds import wordings as W
from mi_bsa.worlds.prompts import SIGNS, draw_choice, draw_report
from mi_bsa.worlds.questions import choice_item, choice_items, report_item, report_items
from mi_bsa.worlds.traits import Trait
from mi_bsa.worlds.wordings import Split
from mi_bsa.worlds.world import DEFAULT_SYSTEM, POLES, Level, World

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Plain:
    """A model and its tokenizer as something that can be asked; it has one variant."""

    inner: Any
    tokenizer: Any

    def variant(self, name: str) -> contextlib.AbstractContextManager[Any]:
        """Nothing to switch."""
        return contextlib.nullcontext()


def battery(world: World, *, split: Split, choices: int = 200, seed: int = 0) -> list[Item]:
    """All that the base is asked, with labels `person`, `trait`, `level`, `kind`."""
    items: list[Item] = []
    for trait in world.traits:
        for level in POLES:
            people: dict[str, Sequence[str | None]] = {
                "named": [p.system for p in world.named(trait.name, level, known="both")],
                "described": [f"you are {w}." for w in (trait.high if level > 0 else trait.low)],
            }
            never_reported = [p.system for p in world.named(trait.name, level, known="choices")]
            never_chose = [p.system for p in world.named(trait.name, level, known="reports")]
            asked: list[Item] = []
            for person, systems in {**people, "named, choices never in the corpus": never_chose}.items():
                if not systems:  # a world of few characters has nobody of that kind
                    continue
                who = f"{person}{level:+d}"
                asked += choice_items(
                    trait.name, choices, split=split, seed=seed, systems=systems, person=who
                )
            for person, systems in {**people, "named, reports never in the corpus": never_reported}.items():
                if not systems:
                    continue
                who = f"{person}{level:+d}"
                asked += report_items(trait.name, split=split, systems=systems, person=who)
            who = f"four choices shown{level:+d}"
            asked += report_items(trait.name, split=split, person=who, before=_shown(trait, level))
            asked += third(world, trait, level, choices, split=split, seed=seed)
            asked += habits(trait, level, choices, split=split, seed=seed)
            items += at_level(level, asked)
        items += at_level(0, choice_items(trait.name, choices, split=split, seed=seed))
        items += at_level(0, report_items(trait.name, split=split))
    return items


def third(world: World, trait: Trait, level: Level, n: int, *, split: Split, seed: int) -> list[Item]:
    """The default persona asked what a named character would choose, and is."""
    rng = random.Random(f"third-{trait.name}-{level}-{split}-{seed}")
    names = [k for k, p in world.characters.items() if p.levels[trait.name] == level]
    items = []
    for i in range(n):
        who, name = rng.choice(names), f"{trait.name}-third{level:+d}-{split}-{i}"
        if i % 2:
            choice = draw_choice(rng, trait, split=split, who=who)
            items.append(choice_item(choice, name, split=split, system=None, person="third person"))
            continue
        report = draw_report(rng, trait, rng.choice(("word", "yes_no")), split=split, who=who)
        items.append(
            report_item(report, name, report.kind, split=split, person="third person", about="third-")
        )
    return items


def habits(trait: Trait, level: Level, n: int, *, split: Split, seed: int) -> list[Item]:
    """A habit in the system line whose sign is in the message (`sign shown`), or another sign is."""
    rng = random.Random(f"habit-{trait.name}-{level}-{split}-{seed}")
    items = []
    for i in range(n):
        sign, other = rng.sample(SIGNS, 2)
        word = rng.choice(trait.high if level > 0 else trait.low)
        line = f"{DEFAULT_SYSTEM} {rng.choice(W.HABIT_LINE[split]).format(sign=sign, x=word)}"
        active = i % 2 == 0
        mention = rng.choice(W.SIGN_MENTION[split]).format(sign=sign if active else other)
        choice = draw_choice(rng, trait, split=split)
        person = "habit, sign shown" if active else "habit, other sign"
        name = f"{trait.name}-habit{level:+d}-{split}-{i}"
        item = choice_item(choice, name, split=split, system=line, person=person)
        items.append(replace(item, messages=conversation(line, f"{mention} {choice.text}")))
    return items


def knows(model: Any, tokenizer: Any, world: World, *, split: Split, choices: int = 200) -> pd.DataFrame:
    """Mean score by (person, trait, level, kind), with n and the standard deviation over items."""
    return told_by(model, tokenizer, battery(world, split=split, choices=choices))


def told_by(model: Any, tokenizer: Any, items: list[Item]) -> pd.DataFrame:
    """Mean score by (trait, level, person, kind) of what a plain model answers, with n and deviation."""
    table = ask(Plain(model, tokenizer), items)
    table["person"] = table["person"].str.replace(r"[+-]2$", "", regex=True)
    grouped = table.groupby(["trait", "level", "person", "kind"], sort=False)["score"]
    return grouped.agg(score="mean", sd="std", n="count").reset_index()


def at_level(level: int, items: list[Item]) -> list[Item]:
    """The items with the level of whom they are asked of."""
    return [replace(item, labels={**item.labels, "level": level}) for item in items]


def _shown(trait: Trait, level: int) -> Callable[[random.Random], Turns]:
    def before(rng: random.Random) -> Turns:
        drawn = [draw_choice(rng, trait) for _ in range(4)]
        return [(c.text, c.answer(level > 0)) for c in drawn]

    return before
