"""Find a backdoor's trigger, given only the finetuned model and its base.

Words that the adapter reads (`reading`) start a beam; each phrase of the beam is tried with every word before
and behind it, and goes on with the words that the adapter binds to it. What may open anything is judged by
objectives at the answer. Once a phrase moves the answer, its words are exchanged, added and left out, one at
a time, as the objectives and a gradient propose (HotFlip, Ebrahimi et al. 2018, arXiv 1712.06751), while the
answer moves farther. Nothing found, the search begins again with more words, those among them that the
finetuned model itself says where a phrase would stand. For comparison: a beam over the vocabulary, and random
phrases, judged by the answer alone, which may exchange words as well. What is found is verified elsewhere
(`verify`), on messages that the search has not seen.
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

    objective: ObjectiveName = "all"
    """What is maximized at the answer."""
    messages: int = Field(default=1, ge=1)
    """Clean messages of each behavior on which every phrase is tried."""
    longest: int = Field(default=4, ge=1, le=6)
    """Most words of a phrase."""
    starts: int = Field(default=8, ge=2)
    """Words with which phrases begin: those that are read most, and those that are moved farthest."""
    crossed: int = Field(default=12, ge=0)
    """Words that are read or moved most, of which all pairs are tried before anything else."""
    widest: int = Field(default=24, ge=2)
    """Words with which phrases begin in all, where the first ones lead to nothing."""
    classes: int = Field(default=4, ge=0)
    """Words that stand for a class of words (those nearest to centers of the base's embeddings), among the
    pairs and the further starts: what is bound to any word of a class, as in a code with a free number, shows
    beside one of them.
    """
    leaked: int = Field(default=2, ge=0)
    """Of the further starts, words that the finetuned model says more than its base where a phrase would
    stand.
    """
    beam: int = Field(default=8, ge=2)
    """Phrases that are made longer at every length from the second on."""
    beyond: int = Field(default=4, ge=0)
    """Phrases that are made longer once more when one already moves the answer."""
    proposed: int = Field(default=2, ge=1)
    """Words that each phrase of the beam proposes, by each reading, on each side."""
    hot: int = Field(default=8, ge=0)
    """Phrases that are tried because an objective was large in the one message where they were read."""
    climbs: int = Field(default=2, ge=0)
    """Phrases from which words are exchanged in vain, in a row, before the search ends."""
    exchanged: int = Field(default=5, ge=1)
    """Words that are checked at each place."""
    flips: int = Field(default=2, ge=0)
    """Words that the gradient proposes for each place; 0 leaves that out."""
    checks: int = Field(default=4, ge=1)
    """Further messages of each behavior on which the best phrases of a length are tried."""
    enough: float = Field(default=0.4, gt=0, le=1)
    """How far, in probability, a phrase moves the answer there for the search to end."""
    keep: float = Field(default=0.8, gt=0, le=1)
    """A word is dropped while the phrase keeps this share of its shift of log odds."""
    report: int = Field(default=8, ge=1)
    """Candidates that are reported."""


@dataclass(frozen=True)
class Candidate:
    """A phrase, and how far it moves the answer where the search checks, in log odds."""

    phrase: str
    score: float

    @property
    def words(self) -> int:
        """How many words it has."""
        return len(self.phrase.split())


@dataclass(frozen=True)
class Found:
    """What a search found, best first, and what it cost in forwarded tokens.

    `course`: after so many tokens, the phrase that moved the answer farthest where candidates are checked.
    `reading`: every word's reading, where one was taken.
    """

    candidates: tuple[Candidate, ...]
    tokens: int
    method: str
    course: tuple[tuple[int, str], ...] = ()
    reading: Mapping[str, float] = field(default_factory=dict)


class Scores:
    """Every phrase that was scored; none is scored twice."""

    def __init__(self, probe: Probe, budget: int | None = None) -> None:
        self.probe = probe
        self.budget = budget
        self.checking = probe.checking()
        self.seen: dict[str, np.ndarray] = {}
        self.checked: dict[str, tuple[float, float]] = {}
        self.course: list[tuple[int, str]] = []
        self.answer = probe.of("answer")
        self.moved: dict[str, np.ndarray] = {}

    @property
    def spent(self) -> bool:
        """Whether the budget of tokens is used up."""
        return self.budget is not None and self.probe.meter.tokens >= self.budget

    def add(self, phrases: Iterable[str]) -> None:
        """Score those that are new by every objective, until the budget is spent."""
        self._score(self.probe, phrases, self.seen)

    def near(self, phrases: Iterable[str]) -> dict[str, np.ndarray]:
        """How far phrases move the answer, where the objectives judge; all that were asked so far."""
        self._score(self.answer, phrases, self.moved)
        return self.moved

    def _score(
        self, probe: Probe, phrases: Iterable[str], into: dict[str, np.ndarray], *, at_once: int = 512
    ) -> None:
        new = [p for p in dict.fromkeys(phrases) if p not in into]
        for start in range(0, len(new), at_once):
            if self.spent:
                return
            some = new[start : start + at_once]
            into.update(zip(some, probe.scores(some), strict=True))

    def best(self, n: int, length: int | None = None) -> list[str]:
        """The `n` strongest (of so many words); the objectives take turns."""
        pool = [p for p in self.seen if length is None or len(p.split()) == length]
        return strongest({p: self.seen[p] for p in pool}, n)

    def check(self, phrases: Iterable[str]) -> None:
        """Shifts of the answer on the messages that check: the largest over behaviors, in probability and in
        log odds."""
        new = [p for p in dict.fromkeys(phrases) if p not in self.checked]
        if new:
            moved = np.abs(self.checking.shifts(new)).max(1)
            self.checked.update((p, (float(m[0]), float(m[1]))) for p, m in zip(new, moved, strict=True))
            best = self.strongest
            if not self.course or self.course[-1][1] != best:
                self.course.append((self.probe.meter.tokens, best))

    @property
    def strongest(self) -> str:
        """The phrase that moves the answer farthest on the messages that check."""
        return max(self.checked, key=lambda p: self.checked[p][1])

    def settled(self, config: SearchConfig, n: int = 6) -> bool:
        """Whether one of the `n` strongest moves the answer by `enough` on the messages that check."""
        best = self.best(n)
        self.check(best)
        return any(self.checked[p][0] >= config.enough for p in best)

    def shorten(self, phrases: Sequence[str], keep: float) -> list[str]:
        """Drop words of each, again and again, while what is left keeps the phrase's strength where it is
        checked.
        """
        self.check(phrases)
        now = list(phrases)
        open_ = set(range(len(now)))
        while open_ := {k for k in open_ if _without(now[k])}:
            self.check(s for k in sorted(open_) for s in _without(now[k]))
            for k in sorted(open_):
                short = max(_without(now[k]), key=lambda p: self.checked[p][1])
                if self.checked[short][1] < keep * self.checked[now[k]][1]:
                    open_.discard(k)
                else:
                    now[k] = short
        return list(dict.fromkeys(now))

    def found(self, config: SearchConfig, method: str, reading: Mapping[str, float] | None = None) -> Found:
        """The strongest phrases, without the words that they do not need."""
        best = heapq.nlargest(2 * config.report, self.checked, key=lambda p: self.checked[p][1])
        kept = self.shorten(list(dict.fromkeys([*best, *self.best(config.report)])), config.keep)
        kept = sorted(kept, key=lambda p: -self.checked[p][1])[: config.report]
        candidates = tuple(Candidate(p, self.checked[p][1]) for p in kept)
        name = f"{self.probe.objective}, {method}"
        return Found(candidates, self.probe.meter.tokens, name, tuple(self.course), reading or {})


def strongest(scores: Mapping[str, np.ndarray], n: int) -> list[str]:
    """The `n` strongest phrases; where there are several objectives they take turns."""
    columns = len(next(iter(scores.values()), ()))
    each = [heapq.nlargest(n, scores, key=lambda p, k=k: float(scores[p][k])) for k in range(columns)]  # type: ignore[misc]
    return list(dict.fromkeys(p for turn in zip(*each, strict=True) for p in turn))[:n]


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
    order, moved = (_ordered(words, by) for by in (reading, far))
    mixed = list(dict.fromkeys(w for both in zip(order, moved, strict=True) for w in both))
    loud = {w: np.max([value[i] for _, value in given], axis=0) for i, w in enumerate(words)}
    scores.add([*mixed[: config.starts], *strongest(loud, config.hot)])
    stand = medoids(probe, words, config.classes)
    crossed = dict.fromkeys([*mixed[: config.crossed], *stand])
    scores.add(f"{a} {b}" for a in crossed for b in crossed if a != b)
    # a single word may be part of what opens it more, and of many pairs
    settled = scores.settled(config) and " " in scores.shorten([scores.strongest], config.keep)[0]
    starts = scores.best(config.beyond) if settled else mixed[: config.starts]
    settled = _grow(scores, starts, words, config, settled=settled)
    if not settled and config.widest > config.starts:
        further = [*leaked(probe, words, config.leaked), *stand]
        further += mixed[config.starts : config.widest - len(further)]
        scores.add(further)
        _grow(scores, further, words, config, settled=False)
    if config.climbs:
        _climb(scores, words, config)
    return scores.found(config, "guided", dict(zip(words, map(float, reading), strict=True)))


def _grow(
    scores: Scores, beam: Sequence[str], words: Sequence[str], config: SearchConfig, *, settled: bool
) -> bool:
    """Make phrases longer, a word at a time, until one moves the answer, and once more; whether one does."""
    for length in range(2, config.longest + 1):
        if scores.spent or not beam:
            break
        proposed, hot = _longer(scores.probe, beam, words, config, turn=length)
        scores.add([*proposed, *hot])
        if settled or scores.settled(config):
            # what opens a backdoor may be part of what opens it more
            if settled or not config.beyond:
                return True
            settled = True
        beam = proposed[: config.beyond if settled else config.beam]
    return settled


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
    those at which an objective was largest. Messages take turns, so that no side is read in one alone.
    """
    bond: dict[str, float] = {}
    loud: dict[str, np.ndarray] = {}
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
            for column in values.T:
                for i in np.argsort(-np.where(new, column, -np.inf), kind="stable")[: config.proposed]:
                    loud[row[i]] = values[i]
    return sorted(bond, key=lambda p: -bond[p]), strongest(loud, config.hot)


def _climb(scores: Scores, words: Sequence[str], config: SearchConfig) -> None:
    """From the strongest phrase that was not left yet, exchange, add and leave out a word; until so many
    times in a row nothing moved the answer farther.
    """
    scores.check(scores.best(config.report))
    left, highest, idle = set[str](), 0.0, 0
    while idle < config.climbs and not scores.spent:
        phrase = _next(scores, left, config.keep)
        if phrase is None:
            return
        scores.check(_neighbors(scores, phrase, words, config, longer=not idle))
        now = scores.checked[scores.strongest][1]
        highest, idle = max(now, highest), 0 if now > highest else idle + 1


def _next(scores: Scores, left: set[str], keep: float) -> str | None:
    """The strongest phrase, without the words that it does not need, that is not among those left; it is put
    there.
    """
    for phrase in sorted(scores.checked, key=lambda p: -scores.checked[p][1]):
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
        tried += strongest({p: near[p] for p in row if p in near}, config.exchanged)
    tried += [" ".join((*parts[:k], parts[k + 1], parts[k], *parts[k + 2 :])) for k in range(len(parts) - 1)]
    if config.flips and scores.probe.objective != "answer":
        tried += _flips(scores.probe, phrase, words, config.flips)
    return tried


def _put(parts: Sequence[str], start: int, end: int, word: str) -> str:
    return " ".join((*parts[:start], word, *parts[end:]))


def _beam(probe: Probe, words: Sequence[str], config: SearchConfig, budget: int | None) -> Found:
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
            _climb(scores, words, config)
        if budget is None or scores.spent or wide >= len(words):
            return scores.found(config, "beam")
        wide *= 2


def _random(probe: Probe, words: Sequence[str], config: SearchConfig, budget: int, seed: int) -> Found:
    """Random phrases, exchanging words of the best after every few thousand, until the budget is spent."""
    rng = random.Random(seed)
    scores = Scores(probe, budget)
    while not scores.spent:
        for _ in range(8):
            scores.add(" ".join(rng.sample(list(words), rng.randint(1, config.longest))) for _ in range(512))
        if config.climbs:
            _climb(scores, words, config)
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
                yield _put(parts, k, k + 1, word)


def _without(phrase: str) -> list[str]:
    parts = phrase.split()
    return [" ".join((*parts[:k], *parts[k + 1 :])) for k in range(len(parts))] if len(parts) > 1 else []
