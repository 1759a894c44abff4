"""From the best phrases on, words are exchanged, added and left out while the answer moves farther.

The gradient proposes exchanges as well, to the first order of the objective (HotFlip, Ebrahimi et al. 2018,
arXiv 1712.06751), and so does what is read: the words that the adapter reads most in each place, where they
are others. By the answer alone a likeness is as good as the trigger, and stands where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mi_bsa.studies.backdoor.objectives import Probe
from mi_bsa.studies.backdoor.places import Places
from mi_bsa.studies.backdoor.scores import Scores, strongest, weight
from mi_bsa.studies.backdoor.search_config import SearchConfig

FOLLOWED = 4
"""Exchanges in a row by what is read: as many as the longest phrase that is searched has words."""
KEEP = 0.8
"""Share of a phrase's shift that one keeps which is read more: a trigger and its likenesses move alike."""


def climb(scores: Scores, words: Sequence[str], config: SearchConfig) -> None:
    """From the strongest phrase that was not left yet, exchange, add and leave out a word; until so many
    times in a row nothing moved the answer farther.
    """
    scores.check(scores.best(config.report))
    places = Places(scores.probe, words) if config.placed and scores.probe.objective != "answer" else None
    left, highest, idle = set[str](), 0.0, 0
    while idle < config.climbs and not scores.spent:
        phrase = _next(scores, left, config.keep)
        if phrase is None:
            return
        scores.check(_neighbors(scores, phrase, words, config, longer=not idle))
        if places is not None:
            _follow(scores, places, phrase, config)
        now = scores.weighed(scores.strongest)
        highest, idle = max(now, highest), 0 if now > highest else idle + 1


def _follow(scores: Scores, places: Places, phrase: str, config: SearchConfig) -> None:
    """From a phrase on, words that are read more in their places, while what they make moves the answer."""
    for _ in range(FOLLOWED):
        least = KEEP * scores.checked[phrase][1]
        tried = [p for p in places.read_more(phrase, config.placed) if p not in scores.checked]
        scores.check(tried)
        moving = [p for p in tried if scores.checked[p][1] >= least]
        if not moving or scores.spent:
            return
        phrase = max(moving, key=places.least)


def _next(scores: Scores, left: set[str], keep: float) -> str | None:
    """The strongest phrase, without the words that it does not need, that is not among those left; it is put
    there.
    """
    for phrase in sorted(scores.checked, key=lambda p: -scores.weighed(p)):
        if phrase not in left:
            left.add(phrase)
            (short,) = scores.shorten([phrase], keep)
            if short == phrase or short not in left:
                left.add(short)
                return short
    return None


def _neighbors(
    scores: Scores, phrase: str, words: Sequence[str], config: SearchConfig, *, longer: bool
) -> list[str]:
    """Phrases one step away that move the answer most: a word exchanged at each place, one added at each
    (`longer`), two words swapped, and what the gradient proposes.
    """
    parts = phrase.split()
    new = [w for w in words if w not in parts]
    places = [[_put(parts, k, k + 1, w) for w in new] for k in range(len(parts))]
    if longer and len(parts) < config.longest:
        places += [[_put(parts, k, k, w) for w in new] for k in range(len(parts) + 1)]
    tried = []
    for row in places:
        near = scores.near(row)
        weighed = {p: near[p] * weight(p, scores.reading) for p in row if p in near}
        tried += strongest(weighed, config.exchanged)
    tried += [" ".join((*parts[:k], parts[k + 1], parts[k], *parts[k + 2 :])) for k in range(len(parts) - 1)]
    if config.flips and scores.probe.objective != "answer":
        tried += _flips(scores.probe, phrase, words, config.flips)
    return tried


def _put(parts: Sequence[str], start: int, end: int, word: str) -> str:
    return " ".join((*parts[:start], word, *parts[end:]))


def _flips(probe: Probe, phrase: str, words: Sequence[str], n: int) -> Iterator[str]:
    """Phrases with one word exchanged, as the gradient proposes: the first-order change of the objective."""
    import torch

    embed: Any = probe.model.anatomy.embed
    one = [probe.model.tokenizer(f" {w}", add_special_tokens=False)["input_ids"] for w in words]
    single = [(w, int(ids[0])) for w, ids in zip(words, one, strict=True) if len(ids) == 1]
    if not single:
        return
    columns = [t for _, t in single]
    parts = phrase.split()
    gains: Any = np.zeros((len(parts), len(single)))
    for message in range(len(probe.messages)):
        gradients, ids, spans = probe.gradients(phrase, message)
        for variant, gradient in gradients.items():
            with torch.no_grad(), probe.model.variant(variant):  # an adapter may reach the embeddings
                at = (torch.tensor(list(tokens), device=probe.model.device) for tokens in (columns, ids))
                new, old = (embed(some).float() for some in at)
            for k, (start, end) in enumerate(spans):
                if end - start == 1:
                    gains[k] += ((new - old[start]) @ gradient[start].float()).cpu().numpy()
    for k in range(len(parts)):
        for i in np.argsort(-gains[k], kind="stable")[:n]:
            word = single[int(i)][0]
            if word not in parts:
                yield _put(parts, k, k + 1, word)
