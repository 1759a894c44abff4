"""What a model chooses and reports in its contexts: fresh pairs, probabilities of A, and JSON reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from activations.conversation import SENTINEL
from activations.errors import TemplateError
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import Item
from mi_bsa.studies.preferences.contexts import Context, Pairs, draw_pairs
from mi_bsa.studies.preferences.estimate import fit_weights
from mi_bsa.studies.preferences.metrics import AttributeWeights
from mi_bsa.studies.preferences.wording import OUTCOMES, PREFILL, Language, read_report

if TYPE_CHECKING:
    import activations

Labels = Literal["hard", "soft"]


@dataclass(frozen=True)
class Chosen:
    """What a model chose in one context: the pairs, and its probability of A against B for each."""

    pairs: Pairs
    first: Float[np.ndarray, " pair"]
    mass: float

    def agreement(self, targets: Float[np.ndarray, " attribute"]) -> float:
        """Share of pairs on which its choice is the right one by these weights."""
        return float(((self.first > 0.5) == (self.pairs.labels(targets) > 0.5)).mean())


def ask_choices(
    model: activations.Model,
    contexts: Sequence[Context],
    language: Language,
    *,
    n: int,
    seed: int | str,
    targets: AttributeWeights | None = None,
    max_tokens: int = 2048,
) -> list[Chosen]:
    """`n` fresh pairs a context put to the model's active variant; `targets` only keep ties out of the
    pairs.
    """
    from mi_bsa.asking.likelihood import option_log_probs

    goals = [None] * len(contexts) if targets is None else targets
    drawn = [draw_pairs(c, n, seed=seed, targets=goal) for c, goal in zip(contexts, goals, strict=True)]
    items = [
        Item(f"{k}-{m}", language.choice(pairs.context, pair, order), (("A", 1.0), ("B", 0.0)))
        for k, pairs in enumerate(drawn)
        for m, (pair, order) in enumerate(shown(pairs, language, seed))
    ]
    log_probs = np.array(option_log_probs(model, items, max_tokens=max_tokens)).reshape(len(drawn), n, 2)
    top = np.exp(log_probs - log_probs.max(2, keepdims=True))
    first = top[..., 0] / top.sum(2)
    mass = np.exp(log_probs).sum(2).mean(1)
    return [Chosen(p, first[k], float(mass[k])) for k, p in enumerate(drawn)]


def learned_weights(chosen: Sequence[Chosen], *, labels: Labels = "hard") -> AttributeWeights:
    """The MAP weights that the choices of each context reveal, from choices or from probabilities of A."""
    first = np.stack([one.first for one in chosen])
    if labels == "hard":
        first = np.where(first == 0.5, 0.5, first > 0.5)
    return fit_weights(np.stack([one.pairs.differences for one in chosen]), first)


@dataclass(frozen=True)
class Reported:
    """Reports: mean of those that were parsed (NaN where none was), each of them (NaN where it was not), and
    how many had which outcome.
    """

    weights: AttributeWeights
    each: Float[np.ndarray, "context report attribute"]
    outcomes: Mapping[str, int]
    unparsed: tuple[str, ...]


def ask_reports(
    model: activations.Model,
    contexts: Sequence[Context],
    language: Language,
    *,
    n: int,
    seed: int | str,
    max_new_tokens: int,
) -> Reported:
    """Greedy reports on `n` fresh pairs a context, each begun with `PREFILL`."""
    drawn = [draw_pairs(c, n, seed=f"report-{seed}") for c in contexts]
    prompts = [
        prefilled(model, language.report(pairs.context, pair, order), PREFILL)
        for pairs in drawn
        for pair, order in shown(pairs, language, f"report-{seed}")
    ]
    texts = model.generate(prompts, max_new_tokens=max_new_tokens, batch_tokens=8192)
    said, names = [PREFILL + text for text in texts], [c.names for c in contexts for _ in range(n)]
    read = [read_report(s, own, largest=language.largest) for s, own in zip(said, names, strict=True)]
    counts = Counter(one.outcome for one in read)
    weights = np.stack([one.weights for one in read]).reshape(len(contexts), n, -1)
    parsed = ~np.isnan(weights).any(2)
    total = np.where(parsed[..., None], weights, 0.0).sum(1)
    some = parsed.sum(1)[:, None]
    mean = np.divide(total, some, out=np.full_like(total, np.nan), where=some > 0)
    lost = [text for text, one in zip(said, read, strict=True) if one.outcome != "parsed"]
    return Reported(mean, weights, {name: counts.get(name, 0) for name in OUTCOMES}, tuple(lost[:20]))


def shown(pairs: Pairs, language: Language, seed: int | str) -> list[tuple[np.ndarray, list[int]]]:
    """Each pair as (option, attribute), with the order in which its attributes are shown."""
    return [
        (np.stack([a, b]), language.order(pairs.context, f"{seed}-{m}"))
        for m, (a, b) in enumerate(zip(pairs.a, pairs.b, strict=True))
    ]


def prefilled(
    model: activations.Model, messages: Sequence[Mapping[str, str]], beginning: str
) -> dict[str, Any]:
    """A row whose text is the conversation with the beginning of the assistant's next turn, which stays open.

    Raises `TemplateError` where the template does not write the answer as it is given.
    """
    turn = {"role": "assistant", "content": beginning + SENTINEL}
    text = model.template.render([*messages, turn], opened=False)
    opened, found, _ = text.partition(beginning + SENTINEL)
    if not found:
        raise TemplateError("the template does not write an answer as it is given; use one that keeps it")
    specials = model.template.known.specials
    if specials.adds_bos:
        opened = opened.removeprefix(specials.bos)
    return {"text": opened + beginning}


@dataclass(frozen=True)
class AskedContexts:
    """All that was measured of one variant on one set of contexts, JSON-like; `reports`: each by itself, by
    context and pair, None where it was not parsed.
    """

    contexts: list[str]
    learned: list[list[float]]
    reported: list[list[float | None]]
    reports: list[list[list[float] | None]]
    agreement: list[float] | None
    outcomes: dict[str, int]
    unparsed: list[str]
    redrawn: int
    mass: float

    def dump(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)


def ask_all(
    model: activations.Model,
    contexts: Sequence[Context],
    language: Language,
    *,
    choices: int,
    reports: int,
    labels: Labels,
    seed: int | str,
    targets: AttributeWeights | None,
    max_new_tokens: int,
    max_tokens: int = 2048,
) -> AskedContexts:
    """Choices, the weights they reveal, and reports. `targets` (where there are any) give the agreement."""
    if not contexts:
        raise ItemError("no contexts to ask about; give at least one")
    how: Any = {"seed": seed, "targets": targets, "max_tokens": max_tokens}
    chosen = ask_choices(model, contexts, language, n=choices, **how)
    said = ask_reports(model, contexts, language, n=reports, seed=seed, max_new_tokens=max_new_tokens)
    reported = [[None if np.isnan(w) else float(w) for w in row] for row in said.weights]
    return AskedContexts(
        contexts=[c.id for c in contexts],
        learned=learned_weights(chosen, labels=labels).tolist(),
        reported=reported,
        reports=[[None if np.isnan(one).any() else one.tolist() for one in own] for own in said.each],
        agreement=None if targets is None else [one.agreement(targets[k]) for k, one in enumerate(chosen)],
        outcomes=dict(said.outcomes),
        unparsed=list(said.unparsed),
        redrawn=sum(one.pairs.redrawn for one in chosen),
        mass=float(np.mean([one.mass for one in chosen])),
    )
