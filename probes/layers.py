"""Layer ensemble: one logistic probe a layer, their logits joined with weights that are found inside the
training groups.

Stacked (Wolpert 1992): every layer's probe is fitted on all folds of groups but one and scores that one; a
second logistic regression weighs those held-out logits, so that a layer whose probe only fits its own rows
gets no weight; then each layer's probe is fitted anew on all examples. "mean" gives all layers the same
weight, with nothing to learn. Either way the whole is one linear function of all layers.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from probes.blocks import BlockProbe, inner_folds


class LayerEnsemble(BlockProbe):
    """Logits of per-layer logistic probes, weighed; rows of an example are its layers, in one order.

    Args:
        C: inverse penalty of every layer's probe.
        combine: "stacked", or "mean".
        stack_C: inverse penalty of the weights, on logits over their standard deviation.
        n_splits: folds over groups, behind the weights.
        seed: of the folds.
    """

    LEARNT: ClassVar[tuple[str, ...]] = ("coef_", "intercept_", "weights_", "offset_")
    rows: ClassVar[Literal["tokens", "layers"]] = "layers"

    coef_: np.ndarray
    intercept_: np.ndarray
    weights_: np.ndarray
    offset_: np.ndarray

    def __init__(
        self,
        *,
        C: float | int = 0.1,
        combine: Literal["stacked", "mean"] = "stacked",
        stack_C: float | int = 1.0,
        n_splits: int = 4,
        seed: int = 0,
    ) -> None:
        self.C = C
        self.combine = combine
        self.stack_C = stack_C
        self.n_splits = n_splits
        self.seed = seed

    def _learn(self, x: np.ndarray, y: np.ndarray, real: np.ndarray, groups: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression

        layers = x.shape[1]
        everything = np.arange(len(x))
        folds = inner_folds(y, groups, self.n_splits, seed=self.seed) if self.combine == "stacked" else ()
        sides = [everything, *(fold.train for fold in folds)]
        coef, intercept = self._each(x, y, sides)
        self.coef_, self.intercept_ = coef[0], intercept[0]
        self.weights_, self.offset_ = np.full(layers, 1 / layers), np.zeros(1)
        if not folds:
            return
        held = np.empty((len(x), layers))
        for k, fold in enumerate(folds, start=1):
            held[fold.test] = np.einsum("nld,ld->nl", x[fold.test], coef[k]) + intercept[k]
        size = held.std() or 1.0
        joined = LogisticRegression(C=self.stack_C, max_iter=1000).fit(held / size, y)
        self.weights_, self.offset_ = joined.coef_[0] / size, joined.intercept_

    def _each(self, x: np.ndarray, y: np.ndarray, sides: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Probes [side, layer] in one batch: weights [side, layer, d_model] and intercepts."""
        from probes.logistic import LogisticProbe

        sets = [(x[rows, layer], y[rows, None]) for rows in sides for layer in range(x.shape[1])]
        found = LogisticProbe().fit_many([a for a, _ in sets], [b for _, b in sets], [self.C], device="cpu")
        shape = (len(sides), x.shape[1])
        coef = np.array([one.coef[0, 0] for one in found], np.float64).reshape(*shape, x.shape[2])
        return coef, np.array([one.intercept[0, 0] for one in found], np.float64).reshape(shape)

    def _decide(self, x: np.ndarray, real: np.ndarray) -> np.ndarray:
        logits = np.einsum("nld,ld->nl", x, self.coef_) + self.intercept_
        return np.asarray(logits @ self.weights_ + self.offset_[0], np.float64)
