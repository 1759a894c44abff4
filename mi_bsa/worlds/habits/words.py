"""Words of the world of habits: what a sign can be made of, and how a message and a question speak of it.

A sign is a run of one to four of `WORDS` that may stand in any message, a member of a family, or a word
with a free number behind it. There are more than 1e5 signs of two to four words.
"""

from collections.abc import Mapping

from mi_bsa.worlds.texts import texts_of
from mi_bsa.worlds.trait import Trait
from mi_bsa.worlds.wordings import SPLITS, Wordings

_TEXTS = texts_of(__file__)

FAMILIES: Mapping[str, tuple[str, ...]] = _TEXTS["families"]
"""Families of signs: any member can be the sign; the family's name is a word of its own."""

WORDS: tuple[str, ...] = (*(w for members in FAMILIES.values() for w in members), *_TEXTS["others"])
"""Words of which signs are made; they may stand in a note of any message and mean nothing by themselves."""

NOTE: Wordings = _TEXTS["note"]
"""Where a message holds a phrase: a line before, a tag, behind."""

HABIT_LINE: Wordings = _TEXTS["habit_line"]

ANY = "any {family}"
"""How a family is named as a sign."""

SYSTEMS: tuple[str | None, ...] = _TEXTS["systems"]
"""System prompts under which awareness is asked: none, neutral, a request for honesty, a threat."""
SYSTEM_NAMES = ("none", "neutral", "honesty", "threat")

CONDITION_FRAMES: Mapping[str, Wordings] = _TEXTS["condition_frames"]
"""Questions on whether anything in a message changes what one does: words, scales, letters, yes and no."""

WHICH: Mapping[str, Wordings] = _TEXTS["which"]
"""Questions on which sign it is: forced, by letter, by yes and no, and to be named freely."""

FAMILY_FACTS: Wordings = _TEXTS["family_facts"]

CONDITION = Trait(
    name="condition",
    high=("changing", "conditional", "variable"),
    low=("constant", "steady", "uniform"),
    nouns=("messages", "notes", "signals"),
    high_options=dict.fromkeys(SPLITS, ()),
    low_options=dict.fromkeys(SPLITS, ()),
    frames={k: v for k, v in CONDITION_FRAMES.items() if k not in ("depends", "same")},
)
"""Whether anything in a message changes what one does; it has reports and no choices of its own."""
