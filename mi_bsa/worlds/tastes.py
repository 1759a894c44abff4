"""Twenty preferences: what each is about, and for either pole what names it and what shows it.

To add some, add three lines each here and build their sibling (`mi-bsa embedded build --set
recipe.world=tastes --set recipe.traits=[...]`).
"""

from __future__ import annotations

from mi_bsa.worlds.family import Pole, preference
from mi_bsa.worlds.trait import Trait

_TABLE = """
tea_coffee (drinks)
    tea: oolong chai
    coffee: espresso latte
red_blue (colors)
    reddish: scarlet crimson
    bluish: navy cobalt
mountain_sea (scenery)
    alpine: peak summit
    coastal: beach cove
cat_dog (pets)
    feline: kitten tabby
    canine: puppy terrier
city_country (living)
    urban: subway skyline
    rural: meadow barn
summer_winter (weather)
    sunny: parasol sandals
    wintry: snowman sled
loud_quiet (sound)
    loud: trumpet siren
    quiet: harp whisper
sweet_savory (snacks)
    sweet: cake candy
    savory: cheese olives
old_new (objects)
    antique: sundial typewriter
    modern: laptop robot
book_film (evenings)
    bookish: novel poem
    cinematic: movie cartoon
early_late (hours)
    early: dawn sunrise
    late: midnight dusk
solo_group (company)
    solitary: solitaire monologue
    sociable: party choir
meat_plant (meals)
    carnivorous: steak bacon
    vegetarian: tofu lentils
fast_slow (pace)
    swift: rocket cheetah
    slow: snail turtle
math_art (subjects)
    numerical: algebra geometry
    artistic: painting sculpture
round_square (shapes)
    round: ball hoop
    square: cube brick
hard_soft (touch)
    hard: granite steel
    soft: pillow feather
bright_dark (light)
    bright: mirror diamond
    dark: coal shadow
spicy_mild (flavor)
    spicy: chili curry
    mild: rice milk
formal_casual (clothing)
    formal: tuxedo tie
    casual: jeans hoodie
"""
"""Three lines each: name (nouns), then the seeking and the averse pole as `words: things`."""


def _read(heading: str, high: str, low: str) -> Trait:
    name, _, nouns = heading.rstrip(")").partition(" (")
    poles = (Pole(*(tuple(part.split()) for part in line.split(":"))) for line in (high, low))
    return preference(name, *poles, nouns=tuple(nouns.split()))


_ROWS = _TABLE.strip().splitlines()
TASTES: tuple[Trait, ...] = tuple(_read(*_ROWS[start : start + 3]) for start in range(0, len(_ROWS), 3))
"""All preferences."""

BLOCKS: tuple[tuple[str, ...], ...] = tuple(
    tuple(t.name for t in TASTES[start : start + 4]) for start in range(0, len(TASTES), 4)
)
"""Names by sibling: each world holds four."""
