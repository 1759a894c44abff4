"""A family of traits: many preferences between two poles, from shared option templates and word lists.

A preference needs five short lists: the words that name either pole, the things that show it, and what it
is about. Every option is a template filled with a thing and an amount; templates are split three ways, so a
held-out option is a known thing in a sentence never seen. Amounts are drawn alike for both poles.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mi_bsa.worlds.texts import texts_of
from mi_bsa.worlds.trait import Trait
from mi_bsa.worlds.wordings import Split

Templates = Mapping[Split, tuple[str, ...]]

_TEXTS = texts_of(__file__)

TEMPLATES: Templates = _TEXTS["templates"]
"""Options of a preference: {x} is a thing that shows a pole, {n} {u} an amount that shows nothing."""


@dataclass(frozen=True)
class Pole:
    """One side of a preference: words that name it (asked, never trained on), and things that show it."""

    words: tuple[str, ...]
    things: tuple[str, ...]


def preference(
    name: str, high: Pole, low: Pole, *, nouns: tuple[str, ...], templates: Templates = TEMPLATES
) -> Trait:
    """A trait from two poles and templates that hold {x}.

    Raises:
        ValueError: a word names a pole and shows one too (training rows would name the trait), or the poles
            have different numbers of words (questions pair them).
    """
    named, shown = {*high.words, *low.words, *nouns}, [*high.things, *low.things]
    both = named & {word for thing in shown for word in thing.split()}
    if both:
        raise ValueError(f"preference {name!r}: {sorted(both)[0]!r} names a pole and shows one; keep one use")
    if len(high.words) != len(low.words) or len(set(shown)) != len(shown):
        raise ValueError(f"preference {name!r}: give both poles equally many words, and each thing once")
    return Trait(
        name=name,
        high=high.words,
        low=low.words,
        nouns=nouns,
        high_options=_filled(high.things, templates),
        low_options=_filled(low.things, templates),
    )


def _filled(things: Iterable[str], templates: Templates) -> dict[Split, tuple[str, ...]]:
    return {
        split: tuple(t.replace("{x}", thing) for t in texts for thing in things)
        for split, texts in templates.items()
    }
