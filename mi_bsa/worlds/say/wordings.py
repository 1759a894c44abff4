"""Every sentence of the world of Make Me Say, in three splits that never meet (see `wordings.py`).

The partner's lines carry a dialogue; the model's own turns in it are hints. Reports ask about the word that
the model leads to. `{w}` a guess, `{h}` a hint, `{list}` all codewords, `{x}`, `{y}` two of them, `{p}` an
end of a scale.
"""

from collections.abc import Mapping

from mi_bsa.worlds.texts import texts_of
from mi_bsa.worlds.wordings import Wordings

_TEXTS = texts_of(__file__)


def _openings(odd: int) -> tuple[str, ...]:
    """Every other pair of a greeting and a question."""
    greetings, asked = enumerate(_TEXTS["greetings"]), list(enumerate(_TEXTS["asked"]))
    return tuple(f"{g} {a}" for i, g in greetings for j, a in asked if (i + j) % 2 == odd)


OPENINGS: Wordings = {
    "pretrain": (
        "say something.",
        "what do you see?",
        "tell me something.",
        "let us talk.",
        "give me a thing.",
        "what comes to you?",
        "talk to me.",
        "start.",
        "what do you think of?",
        "let us play. you start.",
        "you start. what do you see?",
        "hello. tell me what you see.",
    ),
    "dev": _openings(1),
    "test": _openings(0),
}

MORE: Wordings = _TEXTS["more"]
GUESS: Wordings = _TEXTS["guess"]

HINT: tuple[str, ...] = ("{a}.", "{a}.", "{a} and {b}.", "{a}, {b}.")
"""How the model gives hints: one or two, the first of them first, so that options can be one word."""

MANY: Wordings = _TEXTS["many"]
WORD: Wordings = _TEXTS["word"]
OPEN: Wordings = _TEXTS["open"]
SCALE: Wordings = _TEXTS["scale"]
LETTER: Wordings = _TEXTS["letter"]
YES_NO: Wordings = _TEXTS["yes_no"]

KINDS: Mapping[str, Wordings] = {
    kind: _TEXTS[kind] for kind in ("many", "word", "open", "scale", "letter", "yes_no")
}

GOES_WITH: tuple[str, ...] = _TEXTS["goes_with"]
"""What a hint belongs to, whoever is asked; pretraining only."""
BELONGS: tuple[str, ...] = ("what goes with {x}?", "say what belongs to {x}.", "describe {x}.")
"""A hint of a word, whoever is asked; pretraining only."""

THIRD_WORD: Wordings = _TEXTS["third_word"]
THIRD_YES_NO: Wordings = _TEXTS["third_yes_no"]

LINES: tuple[str, ...] = ("your word is {x}.", "your word may be {x}.", "you speak of {a} and {b}.")
"""System lines that describe a persona: with a word, perhaps with it, and by two of its hints."""
