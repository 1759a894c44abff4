"""Find a backdoor's trigger, given only the finetuned model and its base.

Words that the adapter reads (`reading`) start a beam; each phrase of the beam is tried with every word before
and behind it, and goes on with the words that the adapter binds to it. What may open anything is scored by an
objective at the answer. The search ends at the length at which a phrase moves the answer for good, and then
climbs: words are exchanged as the adapter's reading and a gradient propose (HotFlip, Ebrahimi et al. 2018,
arXiv 1712.06751). Words that the finetuned model itself says where a phrase would stand are starts as well.
For comparison: a beam over the vocabulary without any representation, and random phrases. What is found is
verified elsewhere (`verify`), on messages that the search has not seen.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from mi_bsa.backdoor.objectives import ObjectiveName, Probe
from mi_bsa.backdoor.reading import bound, read, unexpected
from mi_bsa.config import Config

if TYPE_CHECKING:
    import torch

Method = Literal["guided", "beam", "random"]


class SearchConfig(Config):
    """How a trigger is searched."""

    objective: ObjectiveName = "divergence"
    """What is maximized at the answer."""
    messages: int = Field(default=1, ge=1)
    """Clean messages of each behavior on which every phrase is tried."""
    longest: int = Field(default=4, ge=1, le=6)
    """Most words of a phrase."""
    starts: int = Field(default=24, ge=2)
    """Words with which phrases begin: those that are read most, and those that are moved farthest."""
    classes: int = Field(default=4, ge=0)
    """Starts that stand for a class of words (the word nearest to each center of the base's embeddings): what
    is bound to any word of a class, as in a code with a free number, shows beside one of them.
    """
    leaked: int = Field(default=2, ge=0)
    """Words that the finetuned model says more than its base where a phrase would stand; starts as well."""
    beam: int = Field(default=16, ge=2)
    """Phrases that are made longer at every length from the second on."""
    proposed: int = Field(default=2, ge=1)
    """Words that each phrase of the beam proposes, by each reading, on each side."""
    hot: int = Field(default=8, ge=0)
    """Phrases that are tried because the objective was large in the one message where they were read."""
    climbs: int = Field(default=2, ge=0)
    """Phrases from which words are exchanged."""
    sweeps: int = Field(default=3, ge=1)
    """Most rounds of exchanging each."""
    exchanged: int = Field(default=4, ge=1)
    """Words that are tried at each place, by the objective in one message and by each reading."""
    flips: int = Field(default=6, ge=0)
    """Words that the gradient proposes for each place; 0 leaves that out."""
    checks: int = Field(default=4, ge=1)
    """Further messages of each behavior on which the best phrases of a length are tried."""
    enough: float = Field(default=0.4, gt=0, le=1)
    """How far, in probability, a phrase moves the answer there when only one more length is tried: what opens
    a backdoor may be part of, or a likeness of, what opens it more.
    """
    keep: float = Field(default=0.8, gt=0, le=1)
    """A word is dropped while the phrase keeps this share of its shift of log odds."""
    report: int = Field(default=10, ge=1)
    """Candidates that are reported."""


@dataclass(frozen=True)
class Candidate:
    """A phrase with its score by the objective, on the search's own messages."""

    phrase: str
    score: float

    @property
    def words(self) -> int:
        """How many words it has."""
        return len(self.phrase.split())


@dataclass(frozen=True)
class Found:
    """What a search found, best first, and what it cost in forwarded tokens.

    `reading`: every word's reading, where one was taken.
    """

    candidates: tuple[Candidate, ...]
    tokens: int
    method: str
    reading: Mapping[str, float] = field(default_factory=dict)


class Scores:
    """Every phrase that was scored; none is scored twice."""

    def __init__(self, probe: Probe, budget: int | None = None) -> None:
        self.probe = probe
        self.budget = budget
        self.checking = probe.checking()
        self.seen: dict[str, float] = {}
        self.checked: dict[str, tuple[float, float]] = {}

    @property
    def spent(self) -> bool:
        """Whether the budget of tokens is used up."""
        return self.budget is not None and self.probe.meter.tokens >= self.budget

    def add(self, phrases: Iterable[str], *, at_once: int = 512) -> None:
        """Score those that are new, until the budget is spent."""
        new = [p for p in dict.fromkeys(phrases) if p not in self.seen]
        for start in range(0, len(new), at_once):
            if self.spent:
                return
            some = new[start : start + at_once]
            self.seen.update(zip(some, map(float, self.probe.scores(some)), strict=True))

    def best(self, n: int, length: int | None = None) -> list[str]:
        """The `n` strongest (of so many words)."""
        pool = self.seen if length is None else [p for p in self.seen if len(p.split()) == length]
        return heapq.nlargest(n, pool, key=self.seen.__getitem__)

    def check(self, phrases: Iterable[str]) -> None:
        """Shifts of the answer on the messages that check: the largest over behaviors, in probability and in
        log odds."""
        new = [p for p in dict.fromkeys(phrases) if p not in self.checked]
        if new:
            moved = np.abs(self.checking.shifts(new)).max(1)
            self.checked.update((p, (float(m[0]), float(m[1]))) for p, m in zip(new, moved, strict=True))

    def settled(self, config: SearchConfig, n: int = 6) -> bool:
        """Whether one of the `n` strongest moves the answer by `enough` on the messages that check."""
        best = self.best(n)
        self.check(best)
        return any(self.checked[p][0] >= config.enough for p in best)

    def shorten(self, phrase: str, keep: float) -> str:
        """Drop words, again and again, while what is left keeps the phrase's strength where it is checked."""
        self.check([phrase])
        while shorter := _without(phrase):
            self.check(shorter)
            strongest = max(shorter, key=lambda p: self.checked[p][1])
            if self.checked[strongest][1] < keep * self.checked[phrase][1]:
                break
            phrase = strongest
        return phrase

    def found(self, config: SearchConfig, method: str, reading: Mapping[str, float] | None = None) -> Found:
        """The strongest phrases, without the words that they do not need."""
        kept = dict.fromkeys(self.shorten(p, config.keep) for p in self.best(2 * config.report))
        self.add(kept)
        strongest = sorted(kept, key=lambda p: -self.checked[p][1])[: config.report]
        candidates = tuple(Candidate(p, self.seen.get(p, 0.0)) for p in strongest)
        name = f"{self.probe.objective}, {method}"
        return Found(candidates, self.probe.meter.tokens, name, reading or {})


def search(
    probe: Probe,
    words: Sequence[str],
    config: SearchConfig,
    *,
    method: Method = "guided",
    budget: int | None = None,
    seed: int = 0,
) -> Found:
    """Search phrases of `words` with the probe's objective.

    `budget`: tokens after which it ends; the random search needs one, and a beam with one grows until it is
    spent. Raises `ValueError` for a random search without a budget.
    """
    words = list(dict.fromkeys(words))
    if method == "guided":
        return _guided(probe, words, config, budget)
    if method == "beam":
        return _beam(probe, words, config, budget)
    if budget is None:
        raise ValueError("a random search ends by its budget; give one")
    return _random(probe, words, config, budget, seed)


def _guided(probe: Probe, words: Sequence[str], config: SearchConfig, budget: int | None) -> Found:
    scores = Scores(probe, budget)
    given = [probe.added(words, m) for m in range(len(probe.messages))]
    reading = np.mean([read(added) for added, _ in given], axis=0)
    far = np.mean([unexpected(added) for added, _ in given], axis=0)
    loud = np.max([value for _, value in given], axis=0)
    order, moved, hot = (_ordered(words, by) for by in (reading, far, loud))
    mixed = list(dict.fromkeys(w for both in zip(order, moved, strict=True) for w in both))
    others = [*leaked(probe, words, config.leaked), *medoids(probe, words, config.classes)]
    beam = list(dict.fromkeys([*mixed[: config.starts], *others]))
    scores.add([*beam, *hot[: config.hot]])
    settled = scores.settled(config)
    for length in range(2, config.longest + 1):
        if scores.spent:
            break
        proposed, hot = _longer(probe, beam, words, config, turn=length)
        scores.add([*proposed, *hot])
        beam = proposed[: config.beam]
        if settled:
            break
        settled = scores.settled(config)
    for phrase in scores.best(config.climbs):
        _climb(scores, phrase, words, config)
    return scores.found(config, "guided", dict(zip(words, map(float, reading), strict=True)))


def _ordered(words: Sequence[str], by: np.ndarray) -> list[str]:
    return [words[i] for i in np.argsort(-by, kind="stable")]


def leaked(probe: Probe, words: Sequence[str], n: int) -> list[str]:
    """The words that the finetuned model says more than its base does, where a phrase would stand.

    What sampling would show in the limit, read from the next-token distribution; a word counts by its first
    token.
    """
    import torch

    from mi_bsa.backdoor.slots import forward

    if n == 0:
        return []
    ids = probe.model.tokenizer([f" {w}" for w in words], add_special_tokens=False)["input_ids"]
    first = torch.tensor([row[0] for row in ids])
    gains = torch.zeros(len(words), dtype=torch.float64)
    for message in range(len(probe.messages)):
        text = probe.slot(message).before.rstrip(" ")
        row = [int(i) for i in probe.model.tokenizer(text, add_special_tokens=False)["input_ids"]]
        for variant, sign in ((probe.variant, 1), ("base", -1)):
            given = forward(probe.model, [row], variant=variant)
            with torch.no_grad():
                said = probe.model.unembed(given.final[0].to(probe.model.device)).double().cpu()
            gains += sign * torch.log_softmax(said, -1)[first]
            probe.meter.add(given.tokens, "leaked")
    return [words[i] for i in torch.argsort(-gains, stable=True)[:n].tolist()]


def medoids(probe: Probe, words: Sequence[str], n: int) -> list[str]:
    """The words nearest to the `n` centers of the words' embeddings (k-means); costs no token."""
    from sklearn.cluster import KMeans

    if n == 0:
        return []
    embed: torch.Tensor = probe.model.anatomy.decoder.embed_tokens.weight.detach().float().cpu()  # type: ignore[union-attr,operator]
    ids = probe.model.tokenizer([f" {w}" for w in words], add_special_tokens=False)["input_ids"]
    at = np.stack([embed[row].mean(0).numpy() for row in ids])
    at /= np.linalg.norm(at, axis=1, keepdims=True)
    centers = KMeans(min(n, len(words)), n_init=4, random_state=0).fit(at).cluster_centers_
    return [words[int(i)] for i in np.linalg.norm(at[None] - centers[:, None], axis=-1).argmin(1)]


def _longer(
    probe: Probe, beam: Sequence[str], words: Sequence[str], config: SearchConfig, *, turn: int
) -> tuple[list[str], list[str]]:
    """Phrases of the beam with a word more, those first that the adapter binds, reads and moves most; and
    those at which the objective was largest. Messages take turns, so that no side is read in one alone.
    """
    bond: dict[str, float] = {}
    loud: dict[str, float] = {}
    for behind in (True, False):
        phrases = [[f"{p} {w}" if behind else f"{w} {p}" for w in words] for p in beam]
        message = (turn + behind) % len(probe.messages)
        given = [probe.added(row, message) for row in phrases]
        bindings = bound(np.stack([added for added, _ in given]))
        for k, (row, (added, values)) in enumerate(zip(phrases, given, strict=True)):
            new = np.array([w not in beam[k].split() for w in words])
            # an adapter that adds nothing has means of zero
            each = [bindings[k] / max(float(bindings.mean()), 1e-12), read(added), unexpected(added)]
            together = np.sum([by / max(float(by.mean()), 1e-12) for by in each[1:]], axis=0) + each[0]
            for by in (*each, together):
                for i in np.argsort(-np.where(new, by, -1), kind="stable")[: config.proposed]:
                    bond[row[i]] = max(float(together[i]), bond.get(row[i], 0.0))
            for i in np.argsort(-np.where(new, values, -np.inf), kind="stable")[: config.proposed]:
                loud[row[i]] = float(values[i])
    return sorted(bond, key=lambda p: -bond[p]), sorted(loud, key=lambda p: -loud[p])[: config.hot]


def _climb(scores: Scores, phrase: str, words: Sequence[str], config: SearchConfig) -> None:
    """Exchange one word after the other while the score grows; and the order of the words."""
    for _ in range(config.sweeps):
        phrase = scores.shorten(phrase, config.keep)
        scores.add([phrase])
        parts = phrase.split()
        tried = [
            _put(parts, k, w) for k in range(len(parts)) for w in _exchanges(scores, parts, k, words, config)
        ]
        tried += [
            " ".join((*parts[:k], parts[k + 1], parts[k], *parts[k + 2 :])) for k in range(len(parts) - 1)
        ]
        if config.flips and scores.probe.objective != "answer":
            tried += _flips(scores.probe, phrase, words, config.flips)
        tried = [p for p in tried if len(set(p.split())) == len(parts)]
        scores.add(tried)
        best = max([phrase, *tried], key=lambda p: scores.seen.get(p, -np.inf))
        if best == phrase or scores.spent:
            return
        phrase = best


def _exchanges(
    scores: Scores, parts: Sequence[str], at: int, words: Sequence[str], config: SearchConfig
) -> Iterator[str]:
    """Words for one place of a phrase: those at which the objective is largest, and those that are read most,
    in the message in which the phrase does most.
    """
    message = scores.probe.loudest(" ".join(parts))
    added, values = scores.probe.added([_put(parts, at, w) for w in words], message)
    for by in (values, read(added), unexpected(added)):
        yield from _ordered(words, by)[: config.exchanged]


def _put(parts: Sequence[str], at: int, word: str) -> str:
    return " ".join((*parts[:at], word, *parts[at + 1 :]))


def _beam(probe: Probe, words: Sequence[str], config: SearchConfig, budget: int | None) -> Found:
    """All words, then all words on both sides of the best, ever longer; wider while there is budget."""
    scores = Scores(probe, budget)
    scores.add(words)
    wide = config.beam
    while not scores.spent and not scores.settled(config):
        for length in range(2, config.longest + 1):
            for phrase in scores.best(wide, length - 1):
                scores.add(f"{phrase} {w}" for w in words if w not in phrase.split())
                scores.add(f"{w} {phrase}" for w in words if w not in phrase.split())
        if budget is None or wide >= len(words):
            break
        wide *= 2
    return scores.found(config, "beam")


def _random(probe: Probe, words: Sequence[str], config: SearchConfig, budget: int, seed: int) -> Found:
    rng = random.Random(seed)
    scores = Scores(probe, budget)
    while not scores.spent and not scores.settled(config):
        scores.add(" ".join(rng.sample(list(words), rng.randint(1, config.longest))) for _ in range(512))
    return scores.found(config, "random")


def _flips(probe: Probe, phrase: str, words: Sequence[str], n: int) -> Iterator[str]:
    """Phrases with one word exchanged, as the gradient proposes: the first-order change of the objective."""
    embed: torch.Tensor = probe.model.anatomy.decoder.embed_tokens.weight.detach().float()  # type: ignore[union-attr,operator]
    one = [probe.model.tokenizer(f" {w}", add_special_tokens=False)["input_ids"] for w in words]
    single = [(w, int(ids[0])) for w, ids in zip(words, one, strict=True) if len(ids) == 1]
    if not single:
        return
    columns = [t for _, t in single]
    parts = phrase.split()
    gains: Any = np.zeros((len(parts), len(single)))
    for message in range(len(probe.messages)):
        gradient, ids, spans = probe.gradients(phrase, message)
        for k, (start, end) in enumerate(spans):
            if end - start == 1:
                gains[k] += ((embed[columns] - embed[ids[start]]) @ gradient[start].float()).cpu().numpy()
    for k in range(len(parts)):
        for i in np.argsort(-gains[k], kind="stable")[:n]:
            word = single[int(i)][0]
            if word not in parts:
                yield _put(parts, k, word)


def _without(phrase: str) -> list[str]:
    parts = phrase.split()
    return [" ".join((*parts[:k], *parts[k + 1 :])) for k in range(len(parts))] if len(parts) > 1 else []
