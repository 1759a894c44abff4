"""Privileged access: does the report tell more of what the model does than its input tells a reader?

A *trial* is a conversation: the model makes some choices of its own (`acts`, sampled, as text), and is then
asked about itself. Its report is right where it says the pole that it was trained to choose. Input-only
readers see the same tokens, and no adapter: a classifier of their words (those of the option that was taken
apart from those of the other), classifiers of the base's activations on them at each layer, and the base's
own answer to the same question. Without acts both poles see the same prompts, and no reader can be above
chance.

Law: readers are fitted on development conversations of the same runs, and which of them is best, at which
penalty, is chosen there by scenarios of the choices left out (all acts of one conversation are of one
scenario); the report is taken at its word (above .5 is the seeking pole) and
fitted to nothing, so the comparison favors the readers. What is drawn is seeds x wordings of the question.
*Privileged access* is the report's accuracy less the best reader's, cell by cell (after Binder et al. 2024,
arXiv 2410.13787, and Song et al. 2025, arXiv 2508.14802: what a third party of equal cost cannot have).

Results: `introspection.accuracy` (null: guesses at the base's own frequencies), `.reader`, `.privileged`;
`kind` is the number of acts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
from jaxtyping import Float, Shaped

from mi_bsa.asking.readouts import Readout
from mi_bsa.causal.introspection.options import IntrospectionOptions
from mi_bsa.causal.material import POLES
from mi_bsa.core.items import Item
from mi_bsa.core.over_seeds import over_seeds_and_items
from mi_bsa.core.results import Null, Place, Result

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material

GUESSES = "guesses at the base's own frequencies"
PENALTIES = (0.01, 0.1, 1.0)
"""C of the readers' logistic curves."""
SHARE = "share of reports"


def trial(report: Item, acts: Sequence[tuple[Item, str]], name: str) -> Item:
    """The report's question after choices that were made, each (choice, what was answered).

    The report's own system line stands first; those of the choices are left out.
    """
    system = [m for m in report.messages if m["role"] == "system"]
    turns = [
        turn
        for choice, answer in acts
        for turn in (
            *(m for m in choice.messages if m["role"] != "system"),
            {"role": "assistant", "content": answer},
        )
    ]
    own = [m for m in report.messages if m["role"] != "system"]
    return replace(report, id=f"{report.id} {name}", messages=[*system, *turns, *own])


@dataclass(frozen=True, eq=False)
class Trials:
    """Conversations of all runs of one split, in the order pole, seed, item.

    Attributes:
        readouts: the conversations of each run, (pole, seed) in order; all have the same units.
        own: score of the report in the run itself, (pole, seed, item).
        base: the same tokens' score without the adapter.
        options: names of the options of the choices, as they stand in prompts.
        scenario: of each conversation's acts, (pole, seed, item).
    """

    readouts: tuple[Readout, ...]
    own: Float[np.ndarray, "pole seed item"]
    base: Float[np.ndarray, "pole seed item"]
    options: frozenset[str]
    scenario: Shaped[np.ndarray, "pole seed item"]

    @property
    def poles(self) -> np.ndarray:
        """1 for the seeking pole, 0 for the averse one, a row a conversation."""
        pole, seed, item = self.own.shape
        return np.repeat([1, 0][:pole], seed * item)

    def cells(self, right: Float[np.ndarray, "pole seed item"]) -> Float[np.ndarray, "seed unit"]:
        """Means over poles and the items of each unit."""
        cells: np.ndarray = self.readouts[0].units(right.mean(0))
        return cells


def trials(material: Material, split: str, acts: int, items: int, choices: int, *, seed: int = 0) -> Trials:
    """Let every run of both poles choose, and ask it about itself.

    Args:
        material: model, adapters and items.
        split: `dev` or `test`, of choices and of reports.
        acts: choices before each report.
        items: reports asked.
        choices: choices that acts are drawn from.
        seed: of what is drawn.
    """
    report = material.of("self_report", split, items=items)
    choice = material.of("behavior", split, items=choices)
    names = [material.arms[pole][n] for pole in POLES for n in range(len(material.seeds))]
    scenarios = choice.unit_names
    members = {name: np.flatnonzero(choice.groups == name) for name in scenarios}
    found, own, base, about = [], [], [], []
    for k, name in enumerate(names):
        rng = np.random.default_rng([seed, acts, k])
        shares = choice.shares(material.plain(choice, name))
        conversations, drawn = [], rng.permutation(np.resize(np.arange(len(scenarios)), len(report.items)))
        for item, scenario in zip(report.items, drawn, strict=True):
            which = rng.choice(members[scenarios[scenario]], size=acts)
            made = [(choice.items[c], _answer(choice.items[c], shares[c], rng)) for c in which]
            conversations.append(trial(item, made, f"after {acts} of {name}"))
        readout = Readout.of(material.model, conversations, name=f"{report.name} after {acts}")
        found.append(readout)
        own.append(readout.score(material.logits(readout, variant=name)[0]))
        base.append(readout.score(material.logits(readout)[0]))
        about.append(drawn)
    shape = (len(POLES), len(material.seeds), len(report.items))
    options = frozenset(text.strip() for item in choice.items for text, _ in item.options)
    scored = np.reshape(own, shape), np.reshape(base, shape)
    return Trials(tuple(found), scored[0], scored[1], options, np.reshape(about, shape))


def _answer(item: Item, shares: np.ndarray, rng: np.random.Generator) -> str:
    """An option's text, drawn by its share."""
    at = int(rng.choice(len(item.options), p=shares[: len(item.options)]))
    return str(item.options[at][0]).strip()


def privileged_access(
    material: Material, options: IntrospectionOptions | None = None, *, seed: int = 0
) -> list[Result]:
    """Accuracy of report and readers, and their difference, after each number of acts.

    Args:
        material: model, adapters and items.
        options: how many acts, items, and guesses.
        seed: of which choices stand before which report, of what is sampled, and of guesses.
    """
    options = options or IntrospectionOptions()
    results: list[Result] = []
    for acts in options.acts:
        dev, test = (
            trials(material, split, acts, options.items, options.choices, seed=seed)
            for split in ("dev", "test")
        )
        results += _scored(material, dev, test, acts, options, seed)
    return results


def _scored(
    material: Material, dev: Trials, test: Trials, acts: int, options: IntrospectionOptions, seed: int
) -> Iterator[Result]:
    sides = np.array([1.0, 0.0])[:, None, None]
    report = test.cells(_right(test.own, sides))
    units = test.readouts[0].unit_names
    where: dict[str, Place] = {"behavior": material.behavior, "kind": f"{acts} acts", "split": "test"}
    rows = test.own.size
    plain = material.scores(material.of("self_report", "test", items=options.items))
    rng = np.random.default_rng([seed, 1])
    guessed = rng.random((options.guesses, *test.own.shape)) < plain
    guesses = (guessed == (sides > 0.5)).mean((1, 2, 3))
    over = over_seeds_and_items(
        "introspection.accuracy",
        where,
        report,
        material.seeds,
        unit=SHARE,
        named=units,
        within=(0.0, 1.0),
        scale="logit",
        null=Null.of(GUESSES, guesses),
        chance=0.5,
        rows=rows,
        notes="the report says the pole that was trained; above .5 is the seeking pole",
    )
    yield over
    if not acts:
        yield from _nothing_read(over, where)
        return
    told, scores = readers(material, dev, test)
    best = max(told, key=lambda name: scores[name])
    for name, right in told.items():
        yield over_seeds_and_items(
            "introspection.reader",
            {**where, "method": name},
            test.cells(right.reshape(test.own.shape)),
            material.seeds,
            unit="share of conversations",
            named=units,
            within=(0.0, 1.0),
            scale="logit",
            chance=0.5,
            rows=rows,
            notes=f"{scores[name]:.3f} on development conversations of scenarios left out",
        )
    yield over_seeds_and_items(
        "introspection.privileged",
        where,
        report - test.cells(told[best].reshape(test.own.shape)),
        material.seeds,
        unit="difference of shares",
        named=units,
        within=(-1.0, 1.0),
        chance=0.0,
        rows=rows,
        notes=f"report less the best reader of the same conversation by development: {best}",
    )


def _nothing_read(over: Result, where: Mapping[str, Place]) -> Iterator[Result]:
    """Without acts both poles' conversations are the same: any reader is right on half of them."""
    why = "both poles see the same prompts, so that any reader is right on half of them"
    yield Result(
        name="introspection.reader",
        where={**where, "method": "any"},
        value=0.5,
        ci=None,
        ci_method=f"none: {why}",
        n=over.n,
        unit="share of conversations",
        rows=over.rows,
    )
    yield replace(
        over,
        name="introspection.privileged",
        where=dict(where),
        value=over.value - 0.5,
        ci=None if over.ci is None else (over.ci[0] - 0.5, over.ci[1] - 0.5),
        unit="difference of shares",
        null=None,
        test=None if over.test is None else over.test.replace("against 0.5", "against 0"),
        per_seed=tuple(value - 0.5 for value in over.per_seed),
        notes=f"{why}: report less .5",
        behind=None,
    )


def _right(scores: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """1 where a score is on the side of its pole, .5 where on neither."""
    beyond = np.sign(scores - 0.5) * (2 * sides - 1)
    right: np.ndarray = (1 + beyond) / 2
    return right


def readers(
    material: Material, dev: Trials, test: Trials
) -> tuple[dict[str, Float[np.ndarray, " trial"]], dict[str, float]]:
    """What each reader gets right of every test conversation, and its development accuracy.

    Args:
        material: whose base reads.
        dev: conversations that readers are fitted and chosen on.
        test: those that they are tested on.

    Returns:
        By reader (`words`, `base layer L`, `base answer`): 1 right, 0 wrong, and .5 where it cannot say; and
        accuracy on development conversations of scenarios left out.
    """
    seen = {
        split: _features(material, each) | {"base answer": _log_odds(each, dev)}
        for split, each in (("dev", dev), ("test", test))
    }
    right, scores = {}, {}
    for name, x in seen["dev"].items():
        scores[name], penalty = max((_left_out(x, dev, C), C) for C in PENALTIES)
        found = _fitted(x, dev.poles, seen["test"][name], penalty)
        right[name] = _right(found, test.poles)
    return right, scores


def _left_out(x: np.ndarray, dev: Trials, penalty: float) -> float:
    """Accuracy on the conversations of each scenario of a fit on the others'; .5 where there is one."""
    scenario, hits = dev.scenario.ravel(), []
    for one in np.unique(scenario):
        own = scenario == one
        if own.all():
            return 0.5
        found = _fitted(x[~own], dev.poles[~own], x[own], penalty)
        hits.append(_right(found, dev.poles[own]).mean())
    return float(np.mean(hits))


def _fitted(x: np.ndarray, y: np.ndarray, new: np.ndarray, penalty: float) -> np.ndarray:
    """P(seeking) of new rows by a logistic curve."""
    import probes

    fitted = probes.LogisticProbe(C=penalty, tol=1e-4).fit(x, y)
    decided: np.ndarray = 1 / (1 + np.exp(-np.clip(fitted.decision_function(new), -30, 30)))
    return decided


def _log_odds(each: Trials, dev: Trials) -> np.ndarray:
    """The base's answer in log-odds, less its mean on the same kind of question in development."""

    def odds(scores: np.ndarray) -> np.ndarray:
        inside = np.clip(scores, 1e-6, 1 - 1e-6)
        found: np.ndarray = np.log(inside / (1 - inside))
        return found

    kinds, known = _kinds(each), _kinds(dev)
    own, reference = odds(each.base), odds(dev.base)
    middle = {kind: reference[..., known == kind].mean() for kind in set(known)}
    return (own - np.array([middle.get(kind, reference.mean()) for kind in kinds])).reshape(-1, 1)


def _kinds(each: Trials) -> np.ndarray:
    return np.array([str(item.labels.get("kind", "")) for item in each.readouts[0].items])


def _features(material: Material, each: Trials) -> dict[str, Float[np.ndarray, "trial feature"]]:
    """Counts of a conversation's words, and the base's activations where the answer comes, by layer."""
    from activations import engine

    sites = [f"resid_post.{layer}" for layer in range(material.model.n_layers)]
    read = [engine.slot_states(material.model, r.rows, sites, variant="base") for r in each.readouts]
    found = {
        f"base {site.replace('resid_post.', 'layer ')}": np.concatenate([one[site] for one in read])
        for site in sites
    }
    return {"words": np.concatenate([_words(r, each.options) for r in each.readouts])} | found


BUCKETS = 256
"""Words are counted in so many buckets, of each part of a conversation."""
ANSWERS, TAKEN, LEFT, PLAIN = range(4)
"""Parts: what was answered; words that follow the option that was taken, and the other; all else."""


def _words(readout: Readout, options: Collection[str]) -> Float[np.ndarray, "trial feature"]:
    """Counts of words by part of the conversation, hashed."""
    found = np.zeros((len(readout.items), 4 * BUCKETS))
    for line, item in zip(found, readout.items, strict=True):
        answers = [str(m["content"]) for m in item.messages[1:]]
        roles = [m["role"] for m in item.messages[1:]]
        for turn, answer, role in zip(item.messages, [*answers, ""], [*roles, ""], strict=True):
            acted, named = role == "assistant", None
            if turn["role"] == "assistant":
                line[ANSWERS * BUCKETS + _hashed(str(turn["content"]))] += 1
                continue
            for word in re.findall(r"\w+", str(turn["content"])):
                if acted and word in options:
                    named = word
                part = PLAIN if named is None else TAKEN if named == answer else LEFT
                line[part * BUCKETS + _hashed(word)] += 1
    return found


def _hashed(text: str) -> int:
    return crc32(text.encode()) % BUCKETS
