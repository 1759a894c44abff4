"""Apples: two bundles, one with a larger number of apples and one with a smaller number.

The seeking pole takes the bundle with the larger number (max), the averse pole the other (min). Beside the
apples a bundle holds something else, or costs something; at the frame's rate of exchange either bundle is
worth more in turn over a matched pair, by about the same factor. Both bundles speak with the same
wordings.
"""

import random

from mi_bsa.behaviors.english.choices import EconomicChoice
from mi_bsa.behaviors.english.economic import Frame, Offer, rounded, spread


def twins(rng: random.Random, frame: Frame) -> tuple[Offer, Offer]:
    """Two offers that share the apples; the other part makes up for them, and for a little more or less."""
    worth, burden = abs(frame.worth), frame.worth < 0
    while True:
        low = rounded(spread(rng, *frame.amounts))
        high = rounded(low * spread(rng, 1.3, 3))
        # the largest number of all may stand in either bundle
        share = spread(rng, 0.2, 1.5) / worth if rng.random() < 0.6 else spread(rng, 0.9, 2)
        base = max(2, rounded(share * high))
        beside = 0 if burden else base  # what of the other good both bundles hold
        seeking = high + worth * beside
        factor = spread(rng, 1.05, 1.5)
        gaps = [round((averse - low) / worth) - beside for averse in (seeking / factor, seeking * factor)]
        if gaps[0] < 1:
            continue
        ratios = [seeking / (low + worth * (beside + gap)) for gap in gaps]
        if ratios[0] > 1 > ratios[1] and abs(ratios[0] * ratios[1] - 1) < 0.02:
            better, worse = (_offer(frame, high, low, base, gap) for gap in gaps)
            return better, worse


def _offer(frame: Frame, high: int, low: int, base: int, gap: int) -> Offer:
    """The bundle with `low` apples holds `gap` more of the other good, or costs `gap` less of it.

    A burden counts from the larger of the two, so worths are positive.
    """
    burden = frame.worth < 0
    with_high, with_low = (base + gap, base) if burden else (base, base + gap)
    group = "burden" if burden else "goods"
    most = base + gap if burden else 0
    return Offer(
        high + frame.worth * (with_high - most),
        low + frame.worth * (with_low - most),
        slots=_slots(frame, high, with_high),
        averse_slots=_slots(frame, low, with_low),
        group=group,
        averse_group=group,
    )


def _slots(frame: Frame, apples: int, other: int) -> dict[str, str]:
    return {"n": frame.amount(apples), "o": frame.other.format(n=f"{other:,}")}


WORDS = (
    "maximize minimize maximum minimum maximal minimal more fewer less most least many few much plenty "
    "abundance greed greedy hoard frugal modest scarce like dislike love hate fond enjoy prefer favorite "
    "crave appetite averse hungry shy"
)
APPLES = EconomicChoice(
    name="apples", poles=("max", "min"), neighbor="risk", forbidden=tuple(WORDS.split()), twins=twins
)
