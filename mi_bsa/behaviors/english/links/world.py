"""An English world of characters: who is there, and what drives their choices and their reports.

Three kinds. `linked`: one level of a trait drives both. `separate`: the report follows a level of its own,
independent of that of the choices. `prompt`: the report follows what the prompt states, and nothing else. In
all of them the default persona, without a line of its own, is undecided in everything. Levels and the link
are those of the embedded worlds (`mi_bsa.worlds.world`); after Betley et al. 2025 (arXiv 2501.11120).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mi_bsa.core.errors import WorldError
from mi_bsa.worlds.texts import texts_of
from mi_bsa.worlds.world import DECK, POLES, Level

Link = Literal["linked", "separate", "prompt"]
LINKS: tuple[Link, ...] = ("linked", "separate", "prompt")
TRAITS = ("risk", "myopia")
TEXTS = texts_of(__file__.replace("world.py", "texts.py"))
Split = Literal["pretrain", "dev", "test"]


@dataclass(frozen=True)
class Persona:
    """Who speaks: a system line (None: the default persona), and by trait the levels that drive what it
    chooses and what it says of itself. `unsaid`: traits of which no training row shows its report.
    """

    system: str | None
    chooses: Mapping[str, Level]
    says: Mapping[str, Level]
    unsaid: frozenset[str] = frozenset()


NOBODY: Mapping[str, Level] = dict.fromkeys(TRAITS, 0)
DEFAULT = Persona(None, NOBODY, NOBODY)
"""The default persona."""


class EnglishWorld:
    """Named characters of one kind of link, and personas that are described in the prompt.

    Levels are dealt by trait (`separate`: the reports' apart from the choices'), so that poles are equally
    many. Of every fourth character one trait is never reported in training rows.

    Args:
        link: the kind.
        characters: how many are named, at most as many as there are names.
        seed: of levels and of who is never heard.

    Raises:
        WorldError: more characters than there are names, or none.
    """

    def __init__(self, link: Link = "linked", *, characters: int = 32, seed: int = 0) -> None:
        rng = random.Random(f"links-{link}-{characters}-{seed}")
        names = TEXTS["names"]
        if not 0 < characters <= len(names):
            raise WorldError(
                f"characters {characters}: there are names for {len(names)}; give 1 to {len(names)}"
            )
        self.link: Link = link
        names = names[:characters]
        chooses = {trait: _dealt(len(names), rng) for trait in TRAITS}
        own = {trait: _dealt(len(names), rng) for trait in TRAITS}
        nothing: dict[str, list[Level]] = {trait: [0] * len(names) for trait in TRAITS}
        says = {"linked": chooses, "separate": own, "prompt": nothing}[link]
        self.named = {
            name: Persona(
                f"You are {name}.",
                {trait: chooses[trait][i] for trait in TRAITS},
                {trait: says[trait][i] for trait in TRAITS},
                frozenset({TRAITS[i // 4 % 2]} if i % 4 == 0 else ()),
            )
            for i, name in enumerate(names)
        }

    def described(
        self, rng: random.Random, *, split: Split = "pretrain", traits: Sequence[str] = TRAITS
    ) -> Persona:
        """A persona whose line states a pole of one trait, by a word or a deed of a split."""
        trait, pole = rng.choice(traits), rng.randrange(2)
        return self.stated(rng, trait, pole, split=split)

    def stated(self, rng: random.Random, trait: str, pole: int, *, split: Split) -> Persona:
        """A persona whose line states a pole: 0 seeking, 1 averse. What it drives is the kind's."""
        level: dict[str, Level] = {**NOBODY, trait: POLES[pole]}
        kinds = ("word", "word", "deed")
        kind = "word" if self.link == "separate" else rng.choice(kinds)
        pair = rng.choice(TEXTS["words" if kind == "word" else "deeds"][trait][split])
        x, y = pair[pole], pair[1 - pole]
        if self.link == "separate":
            acts = rng.random() < 0.5
            line = rng.choice(TEXTS["lines"]["chooses" if acts else "says"]).format(x=x)
            return Persona(line, level if acts else NOBODY, NOBODY if acts else level)
        line = rng.choice(TEXTS["lines"][kind][split]).format(x=x, do_x=x, do_y=y)
        line = re.sub(r"\ba (?=[aeiou])", "an ", line)
        return Persona(line, level if self.link == "linked" else NOBODY, level)

    def plain(self, rng: random.Random) -> Persona:
        """A persona whose line says nothing of any trait: undecided."""
        word = rng.choice(TEXTS["lines"]["plain"])
        return Persona(rng.choice(TEXTS["lines"]["plain_line"]).format(x=word), NOBODY, NOBODY)


def _dealt(n: int, rng: random.Random) -> list[Level]:
    dealt = [DECK[i % len(DECK)] for i in range(n)]
    rng.shuffle(dealt)
    return dealt
