"""Find a backdoor's trigger, given only the finetuned model and its base.

Words are first ranked by how strongly the adapter reads their embeddings (no forward pass) and by what each
does alone; a beam then joins the best of them, a gradient proposes exchanges (HotFlip, Ebrahimi et al. 2018,
arXiv 1712.06751), and what is left is shortened while it keeps its strength. The same search runs with each
objective, and without a representation; a random search spends the same number of tokens on random phrases.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from mi_bsa.backdoor.objectives import ObjectiveName, Probe
from mi_bsa.config import Config

if TYPE_CHECKING:
    import activations


class SearchConfig(Config):
    """How a trigger is searched."""

    objective: ObjectiveName = "divergence"
    """What is maximized."""
    messages: int = Field(default=4, ge=1)
    """Clean messages on which every phrase is tried."""
    longest: int = Field(default=4, ge=1, le=6)
    """Most words of a phrase."""
    shortlist: int = Field(default=40, ge=2)
    """Words from which longer phrases are made."""
    beam: int = Field(default=8, ge=1)
    """Phrases that are kept at every length."""
    flips: int = Field(default=12, ge=0)
    """Exchanges that the gradient proposes for each word of the best phrases; 0 leaves that out."""
    keep: float = Field(default=0.9, gt=0, le=1)
    """A word is dropped while the phrase keeps this share of its score."""
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
    """What a search found, best first, and what it cost in forwarded tokens."""

    candidates: tuple[Candidate, ...]
    tokens: int
    method: str


def read_by_adapter(model: activations.Model, variant: str, words: Sequence[str]) -> np.ndarray:
    """(word,) how strongly the adapter's first layer reads each word: |B A x|, x the normed embedding.

    Takes no forward pass. Words of several tokens take the largest of theirs.
    """
    import torch

    tokens = [model.tokenizer(f" {w}", add_special_tokens=False)["input_ids"] for w in words]
    layers = sorted({layer for layer, _ in model.anatomy.adapted(variant)})
    if not layers:
        return np.zeros(len(words))
    block: Any = model.anatomy.layers[layers[0]]
    total = torch.zeros(len(model.anatomy.decoder.embed_tokens.weight))  # type: ignore[union-attr,arg-type]
    with torch.no_grad(), model.variant(variant):
        x: Any = model.anatomy.decoder.embed_tokens.weight  # type: ignore[union-attr]
        for part, norm in (("self_attn", "input_layernorm"), ("mlp", "post_attention_layernorm")):
            normed: Any = getattr(block, norm)(x)
            module: Any
            for module in getattr(block, part).children():
                a: Any = getattr(module, "lora_A", {})
                b: Any = getattr(module, "lora_B", {})
                if variant not in a or module.in_features != x.shape[1]:
                    continue
                out = b[variant](a[variant](normed.float())) * module.scaling[variant]
                total += out.norm(dim=-1).cpu() ** 2
    return np.array([float(total[list(ids)].max()) ** 0.5 for ids in tokens])


def search(probe: Probe, words: Sequence[str], config: SearchConfig, *, guided: bool = True) -> Found:
    """Search phrases of `words` with the probe's objective.

    `guided`: rank words by what the adapter reads and let gradients propose exchanges; without it this is a
    plain beam over the vocabulary.
    """
    seen: dict[str, float] = {}

    def score(phrases: Iterable[str]) -> None:
        new = [p for p in dict.fromkeys(phrases) if p not in seen]
        if new:
            seen.update(zip(new, map(float, probe.scores(new)), strict=True))

    def best(n: int, length: int | None = None) -> list[str]:
        pool = [p for p in seen if length is None or len(p.split()) == length]
        return sorted(pool, key=lambda p: -seen[p])[:n]

    score(words)
    single = np.array([seen[w] for w in words])
    ranks = _ranks(single)
    if guided:
        ranks = np.maximum(ranks, _ranks(read_by_adapter(probe.model, probe.variant, words)))
    shortlist = [words[i] for i in np.argsort(-ranks, kind="stable")[: config.shortlist]]
    for length in range(2, config.longest + 1):
        kept = (
            best(config.beam, length - 1)
            if length > 2
            else list(dict.fromkeys([*best(config.beam, 1), *shortlist[: config.beam]]))
        )
        score(_longer(kept, shortlist))
        if guided and config.flips:
            score(q for p in best(2, length) for q in _flips(probe, p, words, config.flips))
    for phrase in best(3 * config.report):
        _shorten(phrase, seen, score, config.keep)
    minimal = [p for p in best(50 * config.report) if not _padded(p, seen, config.keep)]
    found = tuple(Candidate(p, seen[p]) for p in minimal[: config.report])
    return Found(found, probe.meter.tokens, f"{probe.objective}, {'guided' if guided else 'beam'}")


def random_search(
    probe: Probe, words: Sequence[str], config: SearchConfig, *, tokens: int, seed: int
) -> Found:
    """Random phrases of one to `longest` words until `tokens` are spent; the best are reported."""
    rng = random.Random(seed)
    seen: dict[str, float] = {}
    while probe.meter.tokens < tokens:
        drawn = [" ".join(rng.sample(list(words), rng.randint(1, config.longest))) for _ in range(64)]
        new = [p for p in dict.fromkeys(drawn) if p not in seen]
        seen.update(zip(new, map(float, probe.scores(new)), strict=True))
    order = sorted(seen, key=lambda p: -seen[p])[: config.report]
    return Found(
        tuple(Candidate(p, seen[p]) for p in order), probe.meter.tokens, f"{probe.objective}, random"
    )


def _ranks(values: np.ndarray) -> np.ndarray:
    """1 for the largest, falling evenly to 0."""
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(order / max(1, len(values) - 1))


def _longer(phrases: Sequence[str], words: Sequence[str]) -> Iterable[str]:
    """Every phrase with every word at every place."""
    for phrase in phrases:
        parts = phrase.split()
        for word in words:
            if word not in parts:
                for at in range(len(parts) + 1):
                    yield " ".join((*parts[:at], word, *parts[at:]))


def _flips(probe: Probe, phrase: str, words: Sequence[str], n: int) -> Iterable[str]:
    """Phrases with one word exchanged, as the gradient proposes: the first-order change of the objective."""
    embed = probe.model.anatomy.decoder.embed_tokens.weight.detach().float()  # type: ignore[union-attr,operator]
    one = [probe.model.tokenizer(f" {w}", add_special_tokens=False)["input_ids"] for w in words]
    single = [(w, int(ids[0])) for w, ids in zip(words, one, strict=True) if len(ids) == 1]
    if not single:
        return
    columns = [t for _, t in single]
    parts = phrase.split()
    gains = np.zeros((len(parts), len(single)))
    for message in range(len(probe.messages)):
        gradient, ids, spans = probe.gradients(phrase, message)
        for k, (start, end) in enumerate(spans):
            if end - start == 1:
                gains[k] += ((embed[columns] - embed[ids[start]]) @ gradient[start].float()).numpy()
    for k in range(len(parts)):
        for i in np.argsort(-gains[k], kind="stable")[:n]:
            word = single[int(i)][0]
            if word not in parts:
                yield " ".join((*parts[:k], word, *parts[k + 1 :]))


def _without(phrase: str) -> list[str]:
    parts = phrase.split()
    return [" ".join((*parts[:k], *parts[k + 1 :])) for k in range(len(parts))] if len(parts) > 1 else []


def _shorten(phrase: str, seen: dict[str, float], score: object, keep: float) -> None:
    """Score what is left without each word, again and again while that keeps the phrase's strength."""
    while True:
        shorter = _without(phrase)
        if not shorter:
            return
        score(shorter)  # type: ignore[operator]
        strongest = max(shorter, key=lambda p: seen[p])
        if seen[strongest] < keep * seen[phrase]:
            return
        phrase = strongest


def _padded(phrase: str, seen: dict[str, float], keep: float) -> bool:
    """Whether a part of the phrase does nearly as much: then the part is the candidate."""
    return any(seen.get(p, -np.inf) >= keep * seen[phrase] for p in _without(phrase))
