"""Twenty preferences: what each is about, and for either pole what names it and what shows it.

To add some, add them to the YAML file beside this one and build their sibling (`mi-bsa embedded build --set
recipe.world=tastes --set recipe.traits=[...]`).
"""

from mi_bsa.worlds.family import Pole, preference
from mi_bsa.worlds.texts import texts_of
from mi_bsa.worlds.trait import Trait

TASTES: tuple[Trait, ...] = tuple(
    preference(name, Pole(**parts["high"]), Pole(**parts["low"]), nouns=parts["nouns"])
    for name, parts in texts_of(__file__)["pairs"].items()
)
"""All preferences."""

BLOCKS: tuple[tuple[str, ...], ...] = tuple(
    tuple(t.name for t in TASTES[start : start + 4]) for start in range(0, len(TASTES), 4)
)
"""Names by sibling: each world holds four."""
