"""Myopia: a smaller amount on an earlier day, or a larger one on a day further off.

The seeking pole takes the smaller, earlier amount: `myopia` 1 is what the embedded world calls `patience` 0.
Worth is present value under hyperbolic discounting, amount / (1 + K days) (Mazur 1987), at a K of the order
that choice questionnaires find in adults (Kirby, Petry and Bickel 1999); over a matched pair either option
is worth more in turn, by about the same factor, so worth does not tell the poles apart.
"""

import random

from mi_bsa.behaviors.english.choices import EconomicChoice
from mi_bsa.behaviors.english.economic import Frame, Offer, rounded, spread

K = 0.01
"""Discount rate, per day."""
STARTS = (0, 0, 0, 1, 2, 3, 7)
"""Days until the earlier date."""


def twins(rng: random.Random, frame: Frame) -> tuple[Offer, Offer]:
    """Two offers that share dates and the earlier amount; the one further off is larger in both."""
    while True:
        start = rng.choice(STARTS)
        days = _round_days(spread(rng, *frame.days))
        sooner = rounded(spread(rng, *frame.amounts))
        level = sooner * (1 + K * days) / (1 + K * start)
        factor = spread(rng, 1.04, 1.4)
        amounts = [rounded(level / factor), rounded(level * factor)]
        offers = [_offer(frame, sooner, amount, start, days) for amount in amounts]
        small, large = offers
        rising = sooner < amounts[0] < amounts[1]
        if rising and small.seeking_worth > small.averse_worth and large.seeking_worth < large.averse_worth:
            return small, large


def _offer(frame: Frame, sooner: int, amount: int, start: int, days: int) -> Offer:
    slots = {"s": frame.amount(sooner), "l": frame.amount(amount), "d": in_words(days)}
    slots["now"] = ("today", "tomorrow")[start] if start < 2 else f"in {in_words(start)}"
    return Offer(sooner / (1 + K * start), amount / (1 + K * days), slots)


def _round_days(days: float) -> int:
    """Days as people say them: whole weeks, then months of 30 days, then years."""
    if days < 21:
        return round(days)
    if days < 75:
        return 7 * round(days / 7)
    return 30 * round(days / 30) if days < 350 else 365 * max(1, round(days / 365))


def in_words(days: int) -> str:
    """A stretch of days in its largest whole unit."""
    for size, name in ((365, "year"), (30, "month"), (7, "week"), (1, "day")):
        if days >= size and days % size == 0:
            n = days // size
            return f"{n} {name}s" if n > 1 else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    raise AssertionError(days)


WORDS = (
    "myopia myopic patience impatience shortsighted farsighted sighted haste hurry rush eager wait delay "
    "postpone soon sooner later future present immediate instant gratification urgent prompt quick slow "
    "plan save spend invest thrift impulse discipline foresight early"
)
PHRASES = ("self-control", "long-term", "short-term", "right away", "at once", "right now", "hold out")
MYOPIA = EconomicChoice(
    name="myopia",
    poles=("sooner", "later"),
    neighbor="risk",
    forbidden=(*WORDS.split(), *PHRASES),
    twins=twins,
)
