"""Risk: a fixed amount, or a spread of outcomes that may be better or worse.

The seeking option is the spread. Over a matched pair its expected value is above the fixed amount by some
factor and below it by about the same factor, so expected value does not tell the poles apart. In some
frames the amounts are to be paid or lost, so that the largest number is not always the best outcome.
"""

import random

from mi_bsa.behaviors.english.choices import EconomicChoice
from mi_bsa.behaviors.english.economic import Frame, Offer, rounded, spread

SHARES = (20, 25, 30, 35, 40, 45, 50, 50, 55, 60, 65, 70, 75)
"""How often the better outcome comes, in percent."""
FLOORS = (0.0, 0.0, 0.1, 0.2, 0.3, 0.5)
"""The worse outcome, as a share of the fixed amount."""


def twins(rng: random.Random, frame: Frame) -> tuple[Offer, Offer]:
    """Two offers that share all but the better outcome; the worth of the spread is its expected value."""
    while True:
        s = rounded(spread(rng, *frame.amounts))
        p, y = rng.choice(SHARES), rounded(rng.choice(FLOORS) * s)
        factor = spread(rng, 1.05, 1.5)
        offers = [_offer(frame, s, p, y, worth) for worth in (s * factor, s / factor)]
        better, worse = reversed(offers) if frame.loss else offers
        if better is None or worse is None or y == 1:
            continue
        if better.edge > 0 > worse.edge:
            return better, worse


def _offer(frame: Frame, s: int, p: int, y: int, worth: float | int) -> Offer | None:
    """The offer whose spread is worth about `worth`; None where no better outcome makes it so."""
    x = rounded((worth - (1 - p / 100) * y) / (p / 100))
    if x < 1.1 * s + 1:
        return None
    whole = 10 if p % 10 == 0 else 20
    k = p * whole // 100
    record = "record_of_losses" if frame.loss else "record"
    group = record if frame.trials else "coin" if p == 50 else "draw"
    slots = {
        "s": frame.amount(s),
        "x": frame.amount(x),
        "y": frame.amount(y, again=True),
        "p": str(p),
        "q": str(100 - p),
        "k": str(k),
        "m": str(whole - k),
        "N": str(whole),
        "trials": frame.trials,
    }
    spread_worth = p / 100 * x + (1 - p / 100) * y
    if frame.loss:  # what costs less is worth more, by the same factor
        return Offer(s, spread_worth, slots, group)
    return Offer(spread_worth, s, slots, group)


WORDS = (
    "risk safe safety secure security chance guarantee gamble bet wager lottery luck fortune certain "
    "sure assure ensure bold boldness cautious caution careful care careless daring dare adventurous "
    "adventure prudent prudence brave bravery courage danger hazard peril reckless conservative volatile "
    "venture fearless fear timid reliable stable thrill jackpot speculate uncertain"
)
RISK = EconomicChoice(
    name="risk", poles=("spread", "fixed"), neighbor="myopia", forbidden=tuple(WORDS.split()), twins=twins
)
