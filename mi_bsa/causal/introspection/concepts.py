"""Concept injection: a word's vector is put into a model, which is asked for a word. Does it name one; which?

*Detection*: the likeliest next token of all is one of the concepts. *Identification*: of the concepts, the
injected one is likeliest. They are told apart, as a model may notice and not know what. *False alarms*: the
share that names one where nothing is injected, or a random vector of the same norm.

Vectors of a word, by `way`: `difference` (mean state of prompts that hold it, less that of the other words'),
`embedding` (its row, less the mean row) and `unembedding` (its row of the output through the last norm,
whitened by all rows, so that it speaks for few other words). They are added at the answer slot, or at the
question's tokens before it, whence the model must carry them. The unembedding row at the slot behind the last
block names its word by construction: a positive control.

Law: way, layer and strength are chosen on development questions, by identification less false alarms on
random vectors, for each position; test questions are asked of the whole grid of the chosen way, and told
once. Concepts and questions are both drawn: intervals are over concepts x questions. After Lindsey 2025 and
arXiv 2603.05414.

Results: `introspection.concept.detection`, `.identification` (chance is one of so many), `.false_alarm`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from mi_bsa.causal.introspection.concept_options import FEWEST, POSITIONS, ConceptsRun
from mi_bsa.causal.introspection.wordings import SMALL
from mi_bsa.core.errors import BridgeError
from mi_bsa.core.results import Place, Result
from mi_bsa.core.tested import Tested
from probes import random_directions, statistics

if TYPE_CHECKING:
    from activations import Model
    from activations.tokens import Row

RIDGE = 1e-3
"""Of the mean variance of all rows, added before they are whitened by it."""
USUAL = 0.01
"""Probability at which a word is a usual answer."""
SHARE = "share of trials"


@dataclass(frozen=True, eq=False)
class Trials:
    """What is asked, and what is put in.

    Attributes:
        model: the base.
        words: the concepts.
        tokens: their token ids.
        rows: token rows of the questions, by split.
        vectors: unit vectors by way and layer.
        norms: typical norm of the residual stream at the answer slot, by layer.
        random: unit vectors, as many as concepts.
    """

    model: Model
    words: tuple[str, ...]
    tokens: Int[np.ndarray, " concept"]
    rows: dict[str, list[Row]]
    vectors: dict[tuple[str, int], Float[np.ndarray, "concept d"]]
    norms: dict[int, float]
    random: Float[np.ndarray, "concept d"]

    def named(
        self, split: str, layer: int, position: str, vectors: Float[np.ndarray, "vector d"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Whether any concept is the likeliest of all tokens, and which is likeliest of the concepts, for
        each vector and question.
        """
        from activations import engine

        rows = self.rows[split]
        size = int(self.model.anatomy.config.vocab_size)
        every = np.tile(np.arange(size), (len(rows), 1))
        where = _positions(rows, position)
        given = engine.adding(f"resid_post.{layer}", vectors, where)
        logits = engine.option_logits(self.model, rows, given, tokens=every, variant="base")
        own = logits[..., self.tokens]
        return np.isin(logits.argmax(-1), self.tokens), own.argmax(-1)


def trials(model: Model, settings: ConceptsRun) -> Trials:
    """Questions, concepts and their vectors.

    Raises:
        BridgeError: fewer single-token words than are wanted.
    """
    from activations import engine
    from mi_bsa.worlds.weights import world_for

    said = _said()
    vocabulary = model.tokenizer.get_vocab()
    small = len(vocabulary) < SMALL
    own = said["embedded" if small else "english"]
    asked = [text for split in ("dev", "test") for text in own[split]]
    named = getattr(world_for(settings.model), "characters", ())  # a name is a persona, and no concept
    taken = set(re.findall("[a-z]+", " ".join(asked).lower())) | set(named)
    taken |= set(said["grammar"])
    rows = {
        split: model.rows([_prompt(f"{split}-{n}", text) for n, text in enumerate(own[split])])
        for split in ("dev", "test")
    }
    found = _words(model, sorted(vocabulary) if small else said["words"], taken)
    usual = _usual(model, rows["dev"])
    found = {word: token for word, token in found.items() if token not in usual}
    if len(found) < settings.concepts:
        raise BridgeError(
            f"{len(found)} words are one token of this model, in no question and no usual answer; "
            f"{settings.concepts} are wanted; lower `concepts` (at least {FEWEST}), or take another model"
        )
    rng = np.random.default_rng(settings.seed)
    words = sorted(rng.choice(sorted(found), settings.concepts, replace=False).tolist())
    tokens = np.array([found[word] for word in words])
    layers = range(model.n_layers - 1, -1, -settings.every)
    sites = [f"resid_post.{layer}" for layer in layers]
    plain = engine.slot_states(model, rows["dev"], sites, variant="base")
    norms = {
        layer: float(np.linalg.norm(plain[site], axis=1).mean())
        for layer, site in zip(layers, sites, strict=True)
    }
    vectors: dict[tuple[str, int], np.ndarray] = {}
    if "difference" in settings.ways:
        held = model.rows(
            [_prompt(f"{w}-{n}", text.format(word=w)) for w in words for n, text in enumerate(own["with"])]
        )
        states = engine.slot_states(model, held, sites, variant="base")
        for layer, site in zip(layers, sites, strict=True):
            mean = states[site].reshape(len(words), len(own["with"]), -1).mean(1).astype(np.float64)
            vectors["difference", layer] = _unit(mean - mean.mean(0))
    if "embedding" in settings.ways:
        own_rows = _table(model.anatomy.embed)
        vectors |= {("embedding", layer): _unit(own_rows[tokens] - own_rows.mean(0)) for layer in layers}
    if "unembedding" in settings.ways:
        read = _table(model.anatomy.head) * _table(model.anatomy.norm)
        read = read - read.mean(0)
        spread = read.T @ read / len(read)
        spread += RIDGE * np.trace(spread) / len(spread) * np.eye(len(spread))
        dual = _unit(np.linalg.solve(spread, read[tokens].T).T)
        vectors |= {("unembedding", layer): dual for layer in layers}
    random = random_directions(len(words), model.d_model, rng=rng)
    return Trials(model, tuple(words), tokens, rows, vectors, norms, random)


def measure(
    given: Trials, settings: ConceptsRun, *, step: Callable[[str], None] = lambda said: None
) -> list[Result]:
    """The chosen cell of each position first (`kind` chosen), then the grid of its way on test.

    Args:
        given: what is asked and put in.
        settings: ways and strengths.
        step: told of each cell that is done.
    """
    found: list[Result] = []
    for position in POSITIONS:
        asked = _Position(given, position, step)
        cells = [(way, layer, s) for way, layer in given.vectors for s in settings.strengths]
        if position == "question":
            # what is added behind the last block to the tokens before the slot reaches no answer
            cells = [cell for cell in cells if cell[1] < given.model.n_layers - 1] or cells
        score = {cell: asked.score("dev", cell) for cell in cells}
        best = max(cells, key=lambda cell: score[cell])
        notes = (
            f"{best[2]:g} typical norms, chosen on development questions: identified less false alarms "
            f"{score[best]:.2f}"
        )
        if score[best] <= 0:
            notes += (
                "; no cell named more than random vectors did, so that this one is the first of many alike"
            )
        found += asked.results(best, "chosen", notes)
        for cell in cells:
            if cell[0] == best[0]:
                found += asked.results(cell, f"{cell[2]:g} norms", "")
    nothing = given.named("test", max(given.norms), "slot", np.zeros((1, given.model.d_model)))[0]
    found.append(
        _share(
            "false_alarm",
            {"method": "nothing", "split": "test"},
            nothing.T.astype(float),
            "questions",
            "nothing put in",
        )
    )
    return found


Cell = tuple[str, int, float]
"""Way, layer, strength."""


class _Position:
    """Trials at one position, each asked once."""

    def __init__(self, given: Trials, position: str, step: Callable[[str], None]) -> None:
        self.given, self.position, self.step = given, position, step
        self.known: dict[tuple[str, Cell], tuple[np.ndarray, np.ndarray]] = {}

    def asked(self, split: str, cell: Cell) -> tuple[np.ndarray, np.ndarray]:
        """Whether a concept was named, and whether the injected one was likeliest, (concept, question)."""
        way, layer, strength = cell
        if (split, cell) not in self.known:
            unit = self.given.random if way == "random" else self.given.vectors[way, layer]
            vectors = unit * strength * self.given.norms[layer]
            named, which = self.given.named(split, layer, self.position, vectors)
            right = which == np.arange(len(unit))[:, None]
            self.known[split, cell] = named.astype(float), right.astype(float)
            self.step(f"{split}, {self.position}, {way}, layer {layer}, {strength:g} norms")
        return self.known[split, cell]

    def score(self, split: str, cell: Cell) -> float:
        """Identified, less what random vectors of the norm have named."""
        named, right = self.asked(split, cell)
        alarms = self.asked(split, ("random", *cell[1:]))[0]
        return float((named * right).mean() - alarms.mean())

    def results(self, cell: Cell, kind: str, notes: str) -> Iterator[Result]:
        """Detection, identification and false alarms of a cell on test questions."""
        way, layer, _ = cell
        where: dict[str, Place] = {"site": "resid_post", "layer": layer, "position": self.position}
        where |= {"kind": kind, "split": "test"}
        named, right = self.asked("test", cell)
        alarms = self.asked("test", ("random", *cell[1:]))[0]
        yield _share("detection", {**where, "method": way}, named, "concepts", notes)
        chance = 1 / len(named)
        yield _share("identification", {**where, "method": way}, right, "concepts", notes, chance=chance)
        yield _share("false_alarm", {**where, "method": "random"}, alarms, "random vectors", notes)


def _share(
    name: str,
    where: dict[str, Place],
    cells: Float[np.ndarray, "drawn question"],
    drawn: str,
    notes: str,
    *,
    chance: float | None = None,
) -> Result:
    """A share of trials over what was drawn x questions."""
    mean = statistics.crossed_mean(np.asarray(cells, dtype=float))
    span = mean.interval(bounds=(0.0, 1.0))
    known = bool(np.isfinite([span.low, span.high]).all())
    method = span.method.replace("units", drawn).replace("items", "questions")
    tested = Tested() if chance is None else Tested.of(mean.p(chance), f"{method} against {chance:.3g}")
    return Result(
        name=f"introspection.concept.{name}",
        where=where,
        value=span.value,
        ci=(span.low, span.high) if known else None,
        ci_method=method if known else f"none: {method}",
        n=len(cells),
        unit=SHARE,
        rows=int(np.size(cells)),
        p=tested.p,
        test=tested.test,
        notes=notes,
    )


def _words(model: Model, words: Sequence[str], taken: set[str]) -> dict[str, int]:
    """Words of one token, as they stand behind a space, and their ids."""
    vocabulary = model.tokenizer.get_vocab()
    found = {}
    for word in words:
        bare = word.lstrip("\u0120\u2581")
        if not re.fullmatch("[a-z]{4,}", bare) or bare in taken:
            continue
        token = next(
            (vocabulary[mark + bare] for mark in ("\u0120", "\u2581") if mark + bare in vocabulary), None
        )
        if token is not None:
            found[bare] = int(token)
    return found


def _usual(model: Model, rows: Sequence[Row]) -> frozenset[int]:
    """Tokens that are usual answers to development questions where nothing is put in: no news if named."""
    from activations import engine

    every = np.tile(np.arange(int(model.anatomy.config.vocab_size)), (len(rows), 1))
    logits = engine.option_logits(model, rows, tokens=every, variant="base")[0]
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return frozenset(np.flatnonzero((shares >= USUAL).any(0)).tolist())


def _prompt(name: str, text: str) -> dict[str, Any]:
    return {"id": name, "messages": [{"role": "user", "content": text}]}


def _positions(rows: Sequence[Row], position: str) -> Int[np.ndarray, "example token"]:
    """The answer slot, or every token between the beginning and it."""
    from activations.moments import NOWHERE
    from mi_bsa.causal.places import padded_positions, scope_positions

    if position == "slot":
        return padded_positions(rows, "slot")
    each = [np.arange(row.n_bos, int(scope_positions(row, "slot")[0])) for row in rows]
    table = np.full((len(rows), max(map(len, each))), NOWHERE, np.int64)
    for line, at in zip(table, each, strict=True):
        line[: len(at)] = at
    return table


def _table(module: Any) -> np.ndarray:
    """A module's weight in double precision."""
    found: np.ndarray = module.weight.detach().double().cpu().numpy()
    return found


def _unit(vectors: np.ndarray) -> np.ndarray:
    found: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found


def _said() -> dict[str, Any]:
    from mi_bsa.core.plain_files import parse_yaml

    found: dict[str, Any] = parse_yaml((Path(__file__).parent / "concepts.yaml").read_text("utf-8"))
    return found
