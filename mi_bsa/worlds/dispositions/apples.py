"""The trait behind the behavior apples: many apples or few of them, whatever else an option holds.

A sibling's trait: the main world does not know it, and its words stand in no vocabulary but the sibling's.
Amounts and units are drawn alike for both poles, so only the apples tell them apart.
"""

from mi_bsa.worlds.texts import texts_of
from mi_bsa.worlds.trait import Trait

_TEXTS = texts_of(__file__)

APPLES = Trait(**_TEXTS["apples"])
