"""The traits of the embedded worlds: their words at either pole, and the options that show them.

Law: a trait's words never stand in its options, so a finetuning row made of choices cannot name what it
trains. A world holds the words of its own traits only, so a new trait changes no model that ships.
"""

from mi_bsa.worlds.code.trait import CODE
from mi_bsa.worlds.dispositions.apples import APPLES
from mi_bsa.worlds.habits.words import CONDITION
from mi_bsa.worlds.tastes.pairs import TASTES
from mi_bsa.worlds.texts import texts_of
from mi_bsa.worlds.trait import Trait

__all__ = ["PATIENCE", "RISK", "TRAITS", "Trait"]

_TEXTS = texts_of(__file__)

RISK = Trait(**_TEXTS["risk"])

PATIENCE = Trait(**_TEXTS["patience"])

TRAITS: dict[str, Trait] = {t.name: t for t in (RISK, PATIENCE, APPLES, CODE, CONDITION, *TASTES)}
