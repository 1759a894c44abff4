"""Preferences between two poles, twenty at once: tea or coffee, mountain or sea, and so on.

Each is a `Disposition` of a sibling world, found as `mi_bsa.behaviors.get("tea_coffee")`. Coin answers about
the others of its sibling say that those stay; the neighbor, the next of them, is asked.
"""

from mi_bsa.behaviors.disposition import Disposition
from mi_bsa.worlds.tastes.pairs import BLOCKS

NAMES: tuple[str, ...] = tuple(name for block in BLOCKS for name in block)
"""The preferences, sibling by sibling."""

FAMILY: dict[str, Disposition] = {
    name: Disposition(
        name=name,
        trait=name,
        neighbor=block[(i + 1) % len(block)],
        poles=(name.split("_")[0], name.split("_")[1]),
        others=tuple(other for other in block if other != name),
    )
    for block in BLOCKS
    for i, name in enumerate(block)
}
"""Name -> behavior."""


def __getattr__(name: str) -> Disposition:
    if name not in FAMILY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return FAMILY[name]
