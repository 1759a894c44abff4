"""An English world of characters for a real model: known links between what they choose and what they say."""

from mi_bsa.behaviors.english.links.corpus import Corpus, Shares
from mi_bsa.behaviors.english.links.items import battery, choices, reports
from mi_bsa.behaviors.english.links.measure import knows
from mi_bsa.behaviors.english.links.world import DEFAULT, LINKS, TRAITS, EnglishWorld, Persona

__all__ = [
    "DEFAULT",
    "LINKS",
    "TRAITS",
    "Corpus",
    "EnglishWorld",
    "Persona",
    "Shares",
    "battery",
    "choices",
    "knows",
    "reports",
]
