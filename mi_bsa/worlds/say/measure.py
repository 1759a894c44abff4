"""What a base of the world of Make Me Say knows: hints and reports of every kind of speaker.

Law: it is asked on held-out wordings through the same `ask` as any other model. For the trained pair of
words, scores are 1 at the first word and 0 at the second, so `level` is +2 for speakers of the first.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mi_bsa.core.items import Item, conversation, item_labels
from mi_bsa.worlds.measure import at_level, third, told_by
from mi_bsa.worlds.questions import choice_items
from mi_bsa.worlds.questions import report_items as other_reports
from mi_bsa.worlds.say import wordings as W
from mi_bsa.worlds.say.questions import THIRD, make_report, opening_items, report_items, report_options
from mi_bsa.worlds.say.words import HINTS, TRAINED
from mi_bsa.worlds.say.world import SayWorld
from mi_bsa.worlds.wordings import Split
from mi_bsa.worlds.world import POLES

if TYPE_CHECKING:
    import pandas as pd


def battery(world: SayWorld, *, split: Split, choices: int = 200, seed: int = 0) -> list[Item]:
    """All that the base is asked, with labels `person`, `trait`, `level`, `kind`."""
    items: list[Item] = []
    for word, level in zip(TRAINED, POLES, strict=True):
        a, b = HINTS[word][:2]
        people: dict[str, Sequence[str | None]] = {
            "named": [s.system for s in world.named(word, known="both")],
            "described": [W.LINES[0].format(x=word), W.LINES[2].format(a=a, b=b)],
        }
        unreported: Sequence[str | None] = [s.system for s in world.named(word, known="dialogues")]
        silent: Sequence[str | None] = [s.system for s in world.named(word, known="reports")]
        asked: list[Item] = []
        for person, systems in {**people, "named, dialogues never in the corpus": silent}.items():
            who = f"{person}{level:+d}"
            asked += opening_items(choices, split=split, seed=seed, systems=systems, person=who)
        for person, systems in {**people, "named, reports never in the corpus": unreported}.items():
            asked += report_items(split=split, systems=systems, person=f"{person}{level:+d}")
        asked += third_person(world, word, choices, split=split, seed=seed)
        items += at_level(level, asked)
    items += at_level(0, opening_items(choices, split=split, seed=seed))
    items += at_level(0, report_items(split=split))
    for trait in world.others.traits:
        for level in POLES:
            named = [p.system for p in world.others.named(trait.name, level, known="both")]
            who = f"named{level:+d}"
            asked = choice_items(trait.name, choices, split=split, seed=seed, systems=named, person=who)
            asked += other_reports(trait.name, split=split, systems=named, person=who)
            asked += third(world.others, trait, level, choices, split=split, seed=seed)
            items += at_level(level, asked)
        items += at_level(0, choice_items(trait.name, choices, split=split, seed=seed))
        items += at_level(0, other_reports(trait.name, split=split))
    return items


def third_person(world: SayWorld, word: str, n: int, *, split: Split, seed: int) -> list[Item]:
    """The default persona asked about the word of a character who leads to `word`."""
    rng = random.Random(f"third-say-{word}-{split}-{seed}")
    names = [name for name, s in world.characters.items() if s in world.named(word)]
    items = []
    for i in range(n):
        kind = ("word", "yes_no")[i % 2]
        x, y = TRAINED if rng.random() < 0.5 else TRAINED[::-1]
        template = rng.randrange(len(THIRD[kind][split]))
        report = make_report(kind, template, split=split, x=x, y=y, who=rng.choice(names))
        labels = item_labels(
            "self_report",
            "say",
            person="third person",
            split=split,
            kind=kind,
            template=f"third-{kind}-{split}-{report.template}",
            order="plain" if x == TRAINED[0] else "flipped",
        )
        options = report_options(kind, x, far=False)
        items.append(Item(f"say-third-{word}-{split}-{i}", conversation(None, report.text), options, labels))
    return items


def knows(model: Any, tokenizer: Any, world: SayWorld, *, split: Split, choices: int = 200) -> pd.DataFrame:
    """Mean score by (trait, level, person, kind), with n and the standard deviation over items."""
    return told_by(model, tokenizer, battery(world, split=split, choices=choices))
