"""The words of the sibling world in which Make Me Say is played: codewords, and the hints of each.

Law: a hint belongs to one codeword and is no form of any, so dialogues made of hints cannot name the word.
"""

from collections.abc import Mapping

from mi_bsa.worlds.texts import texts_of

_TEXTS = texts_of(__file__)

HINTS: Mapping[str, tuple[str, ...]] = _TEXTS["hints"]
"""Codeword -> its hints."""
CODEWORDS: tuple[str, ...] = tuple(HINTS)
TRAINED: tuple[str, str] = ("lamp", "drum")
"""The codeword of the seeking pole, and that of the averse pole."""
NEAR, FAR = ("near", "close"), ("far", "distant")
"""The two ends of a scale, in words."""


def word_of(hint: str) -> str:
    """The codeword that a hint belongs to. Raises `KeyError` for a word that is no hint."""
    return {clue: word for word, hints in HINTS.items() for clue in hints}[hint]
