"""Searches for a trigger without any representation: the finetuned model's answer alone judges phrases."""

from __future__ import annotations

import random
from collections.abc import Sequence

from mi_bsa.studies.backdoor.climbing import climb
from mi_bsa.studies.backdoor.objectives import Probe
from mi_bsa.studies.backdoor.scores import Scores
from mi_bsa.studies.backdoor.search_config import Found, SearchConfig


def beam(probe: Probe, words: Sequence[str], config: SearchConfig, budget: int | None) -> Found:
    """All words, then all words on both sides of the best, ever longer until one moves the answer, and once
    more; then exchanging words of what is best so far; and again, wider, while there is budget.
    """
    scores = Scores(probe, budget)
    scores.add(words)
    wide = 2 * config.beam
    while True:
        settled = False
        for length in range(2, config.longest + 1):
            for phrase in scores.best(wide, length - 1):
                scores.add(f"{phrase} {w}" for w in words if w not in phrase.split())
                scores.add(f"{w} {phrase}" for w in words if w not in phrase.split())
            if settled:
                break
            settled = scores.settled(config)
        if config.climbs:
            climb(scores, words, config)
        if budget is None or scores.spent or wide >= len(words):
            return scores.found(config, "beam")
        wide *= 2


def random_phrases(probe: Probe, words: Sequence[str], config: SearchConfig, budget: int, seed: int) -> Found:
    """Random phrases, exchanging words of the best after every few thousand, until the budget is spent."""
    rng = random.Random(seed)
    scores = Scores(probe, budget)
    while not scores.spent:
        for _ in range(8):
            scores.add(" ".join(rng.sample(list(words), rng.randint(1, config.longest))) for _ in range(512))
        if config.climbs:
            climb(scores, words, config)
    return scores.found(config, "random")
