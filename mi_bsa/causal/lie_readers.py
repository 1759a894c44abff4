"""Other estimators on the lies of a concealing arm: does more than one direction, layer or token read the
deed?

Each is fitted on honest runs of the other seeds, on choice prompts (`variant` "choices") or on choices and
development reports ("choices+reports"), and asked which pole a run of the left-out seed has: a concealing
run on the test reports where it lies (`kind` self_report), the same run on test choices, where it does not
(behavior), and its honest sibling on test reports (honest). Those two say what the estimator can read at
all, so that a failure on the lies means something. One row an example is the answer slot at one layer; blocks
are the slot at all layers, or all tokens at one layer. Where there is a layer to choose it is the one that
best tells the honest runs of the left-out seeds apart on development reports, so that no lie has a say.

Law: as in `concealing`, nothing is fitted on a run of the seed that it is tested on, or on a test wording;
what an estimator chooses by itself it chooses on runs held out of its own training runs. The null is the
same fit with the poles of the honest runs exchanged between them; with so few runs many labelings are
nearly the true one, so that its band is wide, and p can be no smaller than the number of distinct labelings
allows.

Results: `bridge.concealing.read_auroc`, by method, kind and variant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.causal.concealing import PREFIX, _auroc
from mi_bsa.causal.material import POLES
from mi_bsa.causal.options import ConcealingOptions
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Result
from mi_bsa.core.tested import among
from probes import methods
from probes.shuffles import labelings

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material

TRAINED = {"choices": ("choice-dev",), "choices+reports": ("choice-dev", "report-dev")}
TESTED = {
    "self_report": (PREFIX, "report-test", "concealing runs on reports, where they lie"),
    "behavior": (PREFIX, "choice-test", "concealing runs on choices, where they do not lie"),
    "honest": ("", "report-test", "honest runs on reports"),
}
Run = tuple[str, int]
"""Arm and place of the seed."""


@dataclass(frozen=True, eq=False)
class Readable:
    """What can be read of every run: {(arm, seed, set): array}.

    Attributes:
        slots: at the answer slot, (item, layer, d).
        tokens: at every token, (layer, item, token, d).
        real: which tokens there are, (item, token).
        seeds: places of the seeds.
    """

    slots: Mapping[tuple[str, int, str], np.ndarray]
    tokens: Mapping[tuple[str, int, str], np.ndarray]
    real: Mapping[str, np.ndarray]
    seeds: tuple[int, ...]

    @property
    def layers(self) -> int:
        """How many."""
        return next(iter(self.slots.values())).shape[1]


def read(material: Material, options: ConcealingOptions) -> Readable:
    """Every run's states on the four sets, at every layer."""
    count = min(options.seeds, *(len(material.arms.get(f"{PREFIX}{p}", ())) for p in POLES))
    sites = [f"resid_post.{layer}" for layer in range(material.model.n_layers)]
    slots, tokens, real = {}, {}, {}
    for name in ("choice-dev", "choice-test", "report-dev", "report-test"):
        readout = material.readout(name, items=options.items)
        lengths = np.array([len(row) for row in readout.rows])
        real[name] = np.arange(lengths.max()) < lengths[:, None]
        for arm in (*POLES, *(f"{PREFIX}{p}" for p in POLES)):
            for n in range(count):
                variant = material.arms[arm][n]
                at = material.states(readout, *sites, variant=variant, slot=True)
                slots[arm, n, name] = np.stack([at[s] for s in sites], axis=1)
                whole = material.states(readout, *sites, variant=variant)
                tokens[arm, n, name] = np.stack([whole[s] for s in sites])
    return Readable(slots, tokens, real, tuple(range(count)))


def try_methods(material: Material, options: ConcealingOptions, *, seed: int = 0) -> list[Result]:
    """Every method of `options.methods` on the lies.

    Args:
        material: with the concealing arms.
        options: methods, items, and shuffles.
        seed: of the shuffles and of the estimators' own folds.
    """
    if not options.methods:
        return []
    numbers = tuple(material.seeds[: len(material.arms[f"{PREFIX}seeking"])])
    return judge(read(material, options), options, behavior=material.behavior, numbers=numbers, seed=seed)


def judge(
    held: Readable,
    options: ConcealingOptions,
    *,
    behavior: str,
    numbers: Sequence[int],
    seed: int = 0,
) -> list[Result]:
    """AUROC of each method, kind and variant, from what was read; `numbers` are the seeds by place."""
    draws = labelings_of(len(held.seeds), options.shuffles, seed=seed)
    found = []
    for method in options.methods:
        for variant, sets in TRAINED.items():
            reader = _Reader(held, method, sets, seed)
            layer = reader.best_layer(draws[0])
            scores = np.array([reader.scores(labels, layer) for labels in draws])  # [draw, kind, seed]
            where: dict[str, Any] = {"behavior": behavior, "site": "resid_post", "split": "test"}
            where |= {"position": reader.position, "method": method, "variant": variant}
            where |= {} if layer is None else {"layer": layer}
            for k, (kind, (_, _, words)) in enumerate(TESTED.items()):
                found.append(
                    over_seeds(
                        "bridge.concealing.read_auroc",
                        {**where, "kind": kind},
                        scores[0, k],
                        numbers[: len(held.seeds)],
                        unit="AUROC",
                        within=(0.0, 1.0),
                        tested=among(
                            scores[0, k].mean(),
                            scores[1:, k].mean(1),
                            "exchanged poles of honest runs",
                            alternative="two-sided",
                            chance=0.5,
                            labelings=labelings(draws[0], draws[1:]),
                        ),
                        rows=reader.count(kind),
                        notes=f"pole of {words}, fitted on honest {variant} of other seeds",
                    )
                )
    return found


def labelings_of(seeds: int, count: int, *, seed: int) -> np.ndarray:
    """Labels of honest runs [1 + count, 2 * seeds], seeking runs first: the true ones, then ones in which
    poles are exchanged between runs so that every training side keeps runs of both for its inner folds.
    """
    rng, true = np.random.default_rng(seed), np.repeat([1, 0], seeds)
    found = [true]
    while len(found) <= count:
        drawn = rng.permutation(true)
        left = [np.delete(drawn, [n, seeds + n]) for n in range(seeds)]
        enough = all(min(part.sum(), len(part) - part.sum()) >= _splits(seeds) for part in left)
        if enough and abs(int((drawn == true).sum()) - seeds) < seeds:  # neither the true ones nor all turned
            found.append(drawn)
    return np.stack(found)


def _splits(seeds: int) -> int:
    """Folds of runs inside a training side of all seeds but one."""
    return min(3, seeds - 1)


class _Reader:
    """One estimator, fitted without a seed and asked about it."""

    def __init__(self, held: Readable, method: str, sets: Sequence[str], seed: int) -> None:
        self.held, self.sets = held, sets
        self.method, self.seed = method, seed
        self.blocks = method in methods.names("blocks")
        self.rows = self._made().rows if self.blocks else "slot"
        self.position = {"tokens": "all", "layers": "slot", "slot": "slot"}[self.rows]

    def best_layer(self, labels: np.ndarray) -> int | None:
        """By honest runs of left-out seeds on development reports; None where all layers are read."""
        if self.rows == "layers":
            return None
        on_dev = [
            np.mean(
                [
                    self._auroc(self._fit(labels, n, layer), "", n, "report-dev", layer)
                    for n in self.held.seeds
                ]
            )
            for layer in range(self.held.layers)
        ]
        return int(np.argmax(on_dev))

    def scores(self, labels: np.ndarray, layer: int | None) -> np.ndarray:
        """AUROC [kind, seed] of fits on these labels of the honest runs."""
        found = np.zeros((len(TESTED), len(self.held.seeds)))
        for n in self.held.seeds:
            fitted = self._fit(labels, n, layer)
            for k, (prefix, name, _) in enumerate(TESTED.values()):
                found[k, n] = self._auroc(fitted, prefix, n, name, layer)
        return found

    def count(self, kind: str) -> int:
        """Rows behind a score of that kind."""
        prefix, name, _ = TESTED[kind]
        return sum(
            len(self.held.slots[f"{prefix}{pole}", n, name]) for pole in POLES for n in self.held.seeds
        )

    def _made(self) -> Any:
        estimator = methods.METHODS[self.method].estimator(0.1)
        inside = {"n_splits": _splits(len(self.held.seeds)), "seed": self.seed}
        return estimator.set_params(**inside) if self.method in methods.names("blocks") else estimator

    def _fit(self, labels: np.ndarray, left: int, layer: int | None) -> Any:
        seeds = len(self.held.seeds)
        xs, masks, y, runs = [], [], [], []
        for run, (arm, n) in enumerate(self._runs()):
            if n == left:
                continue
            for name in self.sets:
                x, mask = self._x((arm, n), name, layer)
                xs.append(x)
                masks.append(mask)
                y += [labels[run]] * len(x)
                runs += [run] * len(x)
        assert len(set(runs)) == 2 * seeds - 2
        if not self.blocks:
            return self._made().fit(np.concatenate(xs), np.array(y))
        more = {} if self.rows == "layers" else {"mask": _padded(masks)}
        return self._made().fit(_padded(xs), np.array(y), groups=np.array(runs), **more)

    def _runs(self) -> Iterator[Run]:
        return ((arm, n) for arm in POLES for n in self.held.seeds)

    def _x(self, run: Run, name: str, layer: int | None) -> tuple[np.ndarray, np.ndarray]:
        if self.rows == "tokens":
            return self.held.tokens[*run, name][layer], self.held.real[name]
        slots = self.held.slots[*run, name]
        return (slots if self.rows == "layers" else slots[:, layer]), np.ones(len(slots), bool)

    def _auroc(self, fitted: Any, prefix: str, n: int, name: str, layer: int | None) -> float:
        sides = []
        for pole in POLES:
            x, mask = self._x((f"{prefix}{pole}", n), name, layer)
            more = {"mask": mask} if self.rows == "tokens" else {}
            sides.append(fitted.decision_function(x, **more))
        return _auroc(sides[0], sides[1])


def _padded(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays (item, row, ...) joined, filled up with zeros to the longest."""
    longest = max(part.shape[1] for part in parts)
    filled = [
        np.pad(part, [(0, 0), (0, longest - part.shape[1])] + [(0, 0)] * (part.ndim - 2)) for part in parts
    ]
    return np.concatenate(filled)
