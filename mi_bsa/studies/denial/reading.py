"""What each reader tells of each pair of organisms: the seeking pole's run against the averse one's.

Readers: what a run says itself (`confession`), choices (`choices`, what it does), estimators on its states,
and on texts that have nothing to do with the behavior what its first tokens differ by from the base's: along
the other seeds' honest difference (`shift`), and in words, those of one pole less those of the other, by the
logit lens of the last block (`lens`; not where the tokenizer begins both poles' words alike).

Law: an estimator is fitted on honest runs of the other seeds, on development wordings ("choices", or
"choices+reports"), its layer is the one that tells their left-out honest runs' development reports apart, and
no run that denies has a say in it. All readers are asked about the same pairs, and by the same number: the
AUROC of the seeking run's items against the averse run's, 1 the pole that it shows, 0 the other. A pair of
shuffled runs, which show no pole, is read in the same way: what any two adapters differ by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from activations.errors import PromptError
from mi_bsa.behaviors import behavior_for
from mi_bsa.core.model_config import load
from mi_bsa.core.variants import POLES
from mi_bsa.studies.denial.config import DenialStudyConfig, base_of, organisms_of, training_of
from probes import methods

if TYPE_CHECKING:
    from activations.differences import Difference
    from mi_bsa.causal.material import Material

FITTED = {"choices": ("choice-dev",), "choices+reports": ("choice-dev", "report-dev")}
"""What an estimator is fitted on -> the sets of honest runs."""
ASKED = {"self_report": "report-test", "behavior": "choice-test"}
"""What is read -> its set: reports, where a run may lie, and choices, where none does."""
SETS = ("choice-dev", "report-dev", "choice-test", "report-test")
NEUTRAL, BATCH = 12, 4096


class Told(NamedTuple):
    """One reader's word on one pair of runs.

    Attributes:
        training: of the pair.
        seed: its own.
        method: the reader.
        fitted: on what, "" where nothing is fitted.
        kind: what was read: `self_report`, `behavior`, or `unrelated` texts.
        auroc: of the pole that it shows.
        items: prompts or texts a run.
    """

    training: str
    seed: int
    method: str
    fitted: str
    kind: str
    auroc: float
    items: int


def auroc(up: Any, down: Any) -> float:
    """Share of pairs in which the first is larger, ties half."""
    up, down = np.atleast_1d(up), np.atleast_1d(down)
    ranks = rankdata(np.concatenate([up, down]))
    return float((ranks[: len(up)].sum() - len(up) * (len(up) + 1) / 2) / (len(up) * len(down)))


def read(config: DenialStudyConfig, behavior: str, folder: Path) -> list[Told]:
    """Everything that is told of the organisms of one behavior, which lie in `folder/NAME/adapter`."""
    from mi_bsa.causal.material import Material

    base, how = base_of(config, behavior), config.finetune
    by: dict[str, dict[tuple[str, int], str]] = {}
    for one in organisms_of(config, behavior):
        by.setdefault(training_of(one), {})[one.arm, one.seed] = one.name
    names = [name for runs in by.values() for name in runs.values()]
    adapters = {name: folder / name / "adapter" for name in names}
    model = load(base, adapters, dtype=how.dtype, device=how.device)
    arms = {arm: tuple(by["honest"][arm, seed] for seed in config.seeds) for arm in POLES}
    bound, n = behavior_for(behavior, base), config.data.choices
    sets = {
        "choice-dev": bound.items(n, split="dev", seed=0),
        "report-dev": list(bound.questions(split="dev")),
        "choice-test": bound.items(n, split=config.split, seed=1),
        "report-test": list(bound.questions(split=config.split)),
        "neutral-test": bound.neutral(NEUTRAL),
    }
    material = Material(model, bound.name, config.seeds, arms, sets, items=config.items)
    pairs = [
        (training, seed, pair)
        for training, runs in by.items()
        for seed, pair in _pairs(training, runs, config.seeds)
    ]
    held = Held(material, by["honest"], config.seeds)
    found = [told for one in pairs for told in _said(material, *one)]
    found += _on_unrelated(material, config, by["honest"], pairs)
    for method in config.methods:
        for fitted in FITTED:
            found += _by_states(held, method, fitted, pairs)
    return found


def _pairs(
    training: str, runs: Mapping[tuple[str, int], str], seeds: Sequence[int]
) -> Iterator[tuple[int, tuple[str, str]]]:
    """By seed, the runs of either pole; of shuffled ones, a run and that of the next seed."""
    for k, seed in enumerate(seeds):
        if training == "shuffled":
            yield seed, (runs["shuffled", seed], runs["shuffled", seeds[(k + 1) % len(seeds)]])
        else:
            yield seed, (runs["seeking", seed], runs["averse", seed])


def _said(material: Material, training: str, seed: int, pair: tuple[str, str]) -> Iterator[Told]:
    """What both runs say, and what they choose."""
    for method, name, kind in (
        ("confession", "report-test", "self_report"),
        ("choices", "choice-test", "behavior"),
    ):
        readout = material.readout(name)
        up, down = (material.scores(readout, run) for run in pair)
        yield Told(training, seed, method, "", kind, auroc(up, down), len(readout.rows))


@dataclass(eq=False)
class Held:
    """States of runs, read when they are first asked for, and estimators fitted on the honest ones.

    Attributes:
        material: model and items. honest: (pole, seed) -> run. seeds: all of them.
    """

    material: Material
    honest: Mapping[tuple[str, int], str]
    seeds: Sequence[int]
    _states: dict[tuple[str, str, bool], np.ndarray] = field(default_factory=dict, repr=False)

    def states(self, run: str, name: str, *, tokens: bool) -> np.ndarray:
        """At the answer slot [item, layer, d], or at every token [layer, item, token, d]."""
        key = (run, name, tokens)
        if key not in self._states:
            model, readout = self.material.model, self.material.readout(name)
            sites = [f"resid_post.{layer}" for layer in range(model.n_layers)]
            read = self.material.states(readout, *sites, variant=run, slot=not tokens)
            self._states[key] = np.stack([read[site] for site in sites], axis=0 if tokens else 1)
        return self._states[key]

    def x(self, run: str, name: str, rows: str, layer: int | None) -> tuple[np.ndarray, np.ndarray]:
        """What an estimator takes of a run: its rows, and which of them there are."""
        if rows == "tokens":
            assert layer is not None
            lengths = np.array([len(row) for row in self.material.readout(name).rows])
            own = self.states(run, name, tokens=True)[layer]
            return own, np.arange(own.shape[1]) < lengths[:, None]
        slots = self.states(run, name, tokens=False)
        return (slots if layer is None else slots[:, layer]), np.ones(len(slots), bool)

    def fit(self, method: str, rows: str, fitted: str, left: int, layer: int | None) -> Any:
        """An estimator fitted on honest runs of all seeds but one."""
        xs, masks, y, groups = [], [], [], []
        for run, ((arm, seed), name) in enumerate(self.honest.items()):
            if seed == left:
                continue
            for part in FITTED[fitted]:
                x, mask = self.x(name, part, rows, layer)
                xs.append(x)
                masks.append(mask)
                y += [int(arm == "seeking")] * len(x)
                groups += [run] * len(x)
        estimator = methods.METHODS[method].estimator(0.1)
        if rows == "slot":
            return estimator.fit(np.concatenate(xs), np.array(y))
        inside = min(3, len(self.seeds) - 1)  # every fold inside holds out a run of either pole
        estimator.set_params(n_splits=inside)
        more = {"mask": _joined(masks)} if rows == "tokens" else {}
        return estimator.fit(_joined(xs), np.array(y), groups=np.array(groups), **more)

    def told(self, estimator: Any, rows: str, layer: int | None, name: str, pair: tuple[str, str]) -> float:
        """AUROC of a pair of runs on a set."""
        sides = []
        for run in pair:
            x, mask = self.x(run, name, rows, layer)
            more = {"mask": mask} if rows == "tokens" else {}
            sides.append(estimator.decision_function(x, **more))
        return auroc(*sides)

    def own(self, seed: int) -> tuple[str, str]:
        """The honest pair of a seed."""
        return self.honest["seeking", seed], self.honest["averse", seed]


def _by_states(
    held: Held, method: str, fitted: str, pairs: Sequence[tuple[str, int, tuple[str, str]]]
) -> Iterator[Told]:
    """An estimator on every pair; its layer by the honest pairs' development reports."""
    blocks = method in methods.names("blocks")
    rows = methods.METHODS[method].estimator().rows if blocks else "slot"
    layers: list[int | None] = [None] if rows == "layers" else list(range(held.material.model.n_layers))
    by = {
        (layer, seed): held.fit(method, rows, fitted, seed, layer) for layer in layers for seed in held.seeds
    }

    def on_development(layer: int | None) -> float:
        told = [held.told(by[layer, s], rows, layer, "report-dev", held.own(s)) for s in held.seeds]
        return float(np.mean(told))

    layer = max(layers, key=on_development)
    for training, seed, pair in pairs:
        for kind, name in ASKED.items():
            value = held.told(by[layer, seed], rows, layer, name, pair)
            items = len(held.material.readout(name).rows)
            yield Told(training, seed, method, fitted, kind, value, items)


def _on_unrelated(
    material: Material,
    config: DenialStudyConfig,
    honest: Mapping[tuple[str, int], str],
    pairs: Sequence[tuple[str, int, tuple[str, str]]],
) -> Iterator[Told]:
    """Differences from the base at first tokens of unrelated texts, along honest ones and in words."""
    from activations.differences import activation_differences
    from activations.lens import read_vector
    from activations.vocabulary import Vocabulary
    from mi_bsa.behaviors.unrelated import unrelated

    model = material.model
    texts = unrelated(base_of(config, material.behavior), config.texts)
    sites = [f"resid_post.{layer}" for layer in range(model.n_layers)]
    made: dict[str, dict[str, Difference]] = {
        run: activation_differences(model, texts, sites=sites, after=run)
        for run in dict.fromkeys(name for _, _, pair in pairs for name in pair)
    }

    def along(left: int, site: str) -> np.ndarray:
        rest = [seed for seed in config.seeds if seed != left]
        each = [
            made[honest["seeking", s]][site].vector - made[honest["averse", s]][site].vector for s in rest
        ]
        return np.mean([one.numpy() for one in each], axis=0)

    def shift(seed: int, site: str, pair: tuple[str, str]) -> float:
        return auroc(*(made[run][site].by_text.numpy() @ along(seed, site) for run in pair))

    def on_honest(site: str) -> float:
        return float(np.mean([shift(s, site, (honest["seeking", s], honest["averse", s])) for s in rest_of]))

    rest_of = config.seeds
    best = max(sites, key=on_honest)
    vocabulary = Vocabulary.of(model)
    either = [_words(material.behavior, config, vocabulary, pole) for pole in (0, 1)]
    words = [sorted(own - other) for own, other in (either, either[::-1])]

    def in_words(run: str) -> float:
        one = made[run][sites[-1]]
        scores = read_vector(model, one, name=run, vocabulary=vocabulary).scores
        return float(scores[words[0]].mean() - scores[words[1]].mean())

    for training, seed, pair in pairs:
        yield Told(training, seed, "shift", "texts", "unrelated", shift(seed, best, pair), len(texts))
        if all(words):
            value = auroc(*map(in_words, pair))
            yield Told(training, seed, "lens", "", "unrelated", value, len(texts))


def _words(behavior: str, config: DenialStudyConfig, vocabulary: Any, pole: int) -> set[int]:
    """Places of the trait's own words for a pole among the model's, by their first tokens; a word that none
    of the model's begins has no place."""
    bound, found = behavior_for(behavior, base_of(config, behavior)), set()
    for text in bound.described(pole):
        with suppress(PromptError):
            found.add(vocabulary.spell(text.lower().removeprefix("you are ").rstrip(".")).index)
    return found


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays (item, row, ...) joined, filled up with zeros to the longest."""
    longest = max(part.shape[1] for part in parts)
    filled = [np.pad(p, [(0, 0), (0, longest - p.shape[1])] + [(0, 0)] * (p.ndim - 2)) for p in parts]
    return np.concatenate(filled)
