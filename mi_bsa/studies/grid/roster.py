"""Who is asked: the default persona, personas in the training rows, and personas that no row ever showed.

Law: who is trained and who is left out is drawn once, from the behavior's name, before anything is trained;
every persona is asked items of its own wording draw, the same in every run.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import Field

from mi_bsa.asking.bank import Bank, bank_items
from mi_bsa.behaviors import Behavior, Bound, Disposition
from mi_bsa.core.config import Config
from mi_bsa.core.errors import BehaviorError
from mi_bsa.core.items import Item, conversation
from mi_bsa.worlds.prompts import make_report
from mi_bsa.worlds.questions import report_options
from mi_bsa.worlds.traits import TRAITS
from mi_bsa.worlds.wordings import THIRD_WORD, THIRD_YES_NO, Split

NAMED = re.compile(r"[Yy]ou are (\w+(?: [A-Z]\w+)*)\b")


class RosterConfig(Config):
    """Who is asked beside the default persona."""

    trained: int = Field(default=6, ge=1)
    """Personas of each group (named seeking, averse, undecided) that stand in the training rows."""
    unseen: int = Field(default=6, ge=1)
    """Personas of each group that the base knows and no training row shows."""
    invented: tuple[str, ...] = ()
    """System lines of personas that the base does not know and training rows show."""
    strangers: tuple[str, ...] = ()
    """System lines of personas that neither the base nor any training row knows."""
    described: tuple[str, ...] = ()
    """System lines that describe a persona instead of naming it; never in training rows."""


@dataclass(frozen=True)
class Persona:
    """One persona: its system line (None for the default), its group, and whether training rows show it.

    `part`: `default`, `trained` or `unseen`. `called`: the name under which others can be asked about it.
    """

    system: str | None
    group: str
    part: str
    called: str | None = None


DEFAULT = Persona(None, "default", "default")


def roster(behavior: Bound, config: RosterConfig) -> list[Persona]:
    """The default persona, then the others. Raises `BehaviorError` where there are too few of a group."""
    groups = {name: list(lines) for name, lines in behavior.personas().items()}
    if hasattr(behavior.world, "named"):
        groups["undecided"] = [p.system for p in behavior.world.named(behavior.trait, 0, known="both")]
    found = [DEFAULT]
    for group, lines in groups.items():
        drawn = sorted(line for line in lines if line is not None)
        random.Random(f"roster-{behavior.name}-{group}").shuffle(drawn)
        needed = config.trained + config.unseen
        if len(drawn) < needed and group != "undecided":
            raise BehaviorError(
                f"behavior {behavior.name!r} has {len(drawn)} personas of group {group!r} and {needed} are "
                "asked for; lower roster.trained or roster.unseen"
            )
        half = min(config.trained, len(drawn) // 2)
        parts = ["trained"] * half + ["unseen"] * min(config.unseen, len(drawn) - half)
        found += [Persona(line, group, part, _called(line)) for line, part in zip(drawn, parts, strict=False)]
    found += [Persona(line, "invented", "trained", _called(line)) for line in config.invented]
    found += [Persona(line, "stranger", "unseen", _called(line)) for line in config.strangers]
    found += [Persona(line, "described", "unseen") for line in config.described]
    return found


def items_of(
    behavior: Behavior, persona: Persona, n: int, *, split: Split, choices: int, questions: int
) -> list[Item]:
    """What persona number `n` is asked about itself: choices and report questions, labels say whose."""
    systems = (persona.system,)
    drawn = behavior.items(choices, split=split, seed=n, systems=systems)
    asked = list(behavior.questions(split=split, systems=systems))
    if persona.system is not None:
        asked = _spread(asked, questions, seed=n)
    return [
        *(_labeled(item, persona, n, "choice") for item in drawn),
        *(_labeled(item, persona, n, "report") for item in asked),
    ]


def about(behavior: Bound, persona: Persona, n: int, *, split: Split) -> list[Item]:
    """What the default persona is asked about persona number `n`, in the third person; empty where the
    vocabulary has no such questions, or the persona no name.
    """
    if persona.called is None:
        return []
    bank = getattr(behavior, "read_bank", None)
    if isinstance(bank, Bank):
        asked = bank_items(bank, split=split, kinds=("word", "yes_no"), person=persona.called)
        return [_labeled(item, persona, n, "third") for item in _spread(asked, 8, seed=n)]
    if not isinstance(behavior.behavior, Disposition) or behavior.turned:
        return []
    trait, items = TRAITS[behavior.trait], []
    rng = random.Random(f"about-{behavior.name}-{n}")
    frames = {"word": THIRD_WORD, "yes_no": THIRD_YES_NO}
    numbered = ((kind, template) for kind in frames for template in range(len(frames[kind][split])))
    for (kind, template), order in itertools.product(numbered, ("plain", "flipped")):
        report = make_report(
            trait,
            kind,
            template,
            split=split,
            flipped=order == "flipped",
            high=rng.choice(trait.high),
            low=rng.choice(trait.low),
            noun=trait.nouns[0],
            who=persona.called,
        )
        text, options = conversation(None, report.text), report_options(report)
        name = f"third-{kind}-{split}-{template}"
        labels = {"trait": trait.name, "kind": kind, "template": name, "order": order}
        item = Item(f"{kind}-{template}-{order}", text, options, labels)
        items.append(_labeled(item, persona, n, "third"))
    return items


def _labeled(item: Item, persona: Persona, n: int, channel: str) -> Item:
    who = {"channel": channel, "part": persona.part, "group": persona.group, "persona": n}
    return replace(item, id=f"{n}-{channel}-{item.id}", labels={**item.labels, **who})


def _spread(items: Sequence[Item], count: int, *, seed: int) -> list[Item]:
    """`count` items, the same number of each kind as far as it goes."""
    rng = random.Random(f"spread-{seed}")
    kinds: dict[str, list[Item]] = {}
    for item in items:
        kinds.setdefault(str(item.labels["kind"]), []).append(item)
    each = max(1, count // len(kinds))
    return [item for some in kinds.values() for item in rng.sample(some, min(each, len(some)))]


def _called(line: str) -> str | None:
    found = NAMED.match(line)
    return found[1] if found else None
