"""What a model of an English world is asked: choices and reports of every kind of persona, on held-out words.

Law: scores are 1 at the seeking pole; a label says who is asked, of which trait, and the level that drives
the answer (`levels` says it of choices and of reports alike, so a separate world can be judged too).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from mi_bsa.behaviors.english.links.corpus import REPORTS, choice, question
from mi_bsa.behaviors.english.links.world import DEFAULT, TEXTS, TRAITS, EnglishWorld, Persona, Split
from mi_bsa.core.items import Item, conversation, item_labels

CODES: Mapping[int, str] = {
    -2: "averse",
    -1: "rather averse",
    0: "undecided",
    1: "rather seeking",
    2: "seeking",
}


def choices(
    trait: str, n: int, *, split: Split, who: Sequence[Persona], person: str, seed: int = 0
) -> list[Item]:
    """`n` held-out choices, personas and wordings in turn."""
    rng = random.Random(f"choices-{trait}-{split}-{person}-{seed}")
    items = []
    for i in range(n):
        one, persona = choice(rng, trait, split=split, wording=i), who[i % len(who)]
        labels = item_labels(
            "choice",
            trait,
            person=person,
            split=split,
            kind="choice",
            template=f"choice-{split}-{one.wording}",
            order="plain" if one.seeking_first else "flipped",
        )
        name = f"{trait}-{person}-choice-{split}-{i}".replace(" ", "-")
        labels["level"] = persona.chooses[trait]
        options = ((one.high, 1.0), (one.low, 0.0))
        items.append(Item(name, conversation(persona.system, one.text), options, labels))
    return items


def reports(
    trait: str, n: int, *, split: Split, who: Sequence[Persona], person: str, seed: int = 0
) -> list[Item]:
    """`n` held-out questions about oneself of each kind, personas and wordings in turn."""
    rng = random.Random(f"reports-{trait}-{split}-{person}-{seed}")
    items = []
    for kind in REPORTS:
        wordings = TEXTS["reports"][kind][split]
        for i in range(n):
            persona, at = who[i % len(who)], i % len(wordings)
            text, (high, low) = question(rng, trait, kind, split=split, wording=wordings[at])
            labels = item_labels(
                "report",
                trait,
                person=person,
                split=split,
                kind=kind,
                template=f"{kind}-{split}-{at}",
                order="any",
            )
            name = f"{trait}-{person}-{kind}-{split}-report-{i}".replace(" ", "-")
            options = ((high, 1.0), (low, 0.0))
            labels["level"] = persona.says[trait]
            items.append(Item(name, conversation(persona.system, text), options, labels))
    return items


def battery(
    world: EnglishWorld,
    *,
    split: Split,
    n: int = 24,
    groups: Sequence[str] = ("default", "named", "described"),
) -> list[Item]:
    """Everybody asked: `n` choices and `n` questions of each kind.

    They are the default persona and, at either pole of each trait, named and described ones.

    Named ones whose report of a trait no training row shows are `named unsaid`, and asked for reports of it.
    """
    items = []
    for trait in TRAITS:
        for person, who, both in _people(world, trait, split):
            if person.split(" ")[0].split(",")[0] not in groups:
                continue
            if both:
                items += choices(trait, n, split=split, who=who, person=person)
            items += reports(trait, n, split=split, who=who, person=person)
    return items


def _people(world: EnglishWorld, trait: str, split: Split) -> Iterator[tuple[str, list[Persona], bool]]:
    """Groups of personas: name, who, and whether they are asked for choices."""
    rng = random.Random(f"people-{world.link}-{trait}-{split}")
    yield "default", [DEFAULT], True
    for level in (2, -2):
        code = CODES[level]
        there = world.named.values()
        chosen = [p for p in there if p.chooses[trait] == level and trait not in p.unsaid]
        unsaid = [p for p in there if p.chooses[trait] == level and trait in p.unsaid]
        told = [world.stated(rng, trait, int(level < 0), split=split) for _ in range(12)]
        yield f"named, {code}", chosen, True
        if unsaid:
            yield f"named unsaid, {code}", unsaid, False
        yield f"described, {code}", told, True
