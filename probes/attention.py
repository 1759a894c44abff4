"""Attention probe: a query chooses among an example's tokens, a linear read-out reads what it chose.

logit = b + sum_t a_t (w . x_t), a = softmax over real tokens of q . x_t / sqrt(d), on features that are
standardized over the real tokens of the fit. With q = 0 it is a linear probe of the mean over tokens, and
there it starts. So one token need not be named beforehand, and where the answer stands at another token in
every prompt it can still be read. The number of steps is chosen on groups that are held out of a first fit;
the second is on all examples. Nothing is random but which groups are held out. After McKenzie et al. 2025
(arXiv 2506.10805), one head.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from probes.blocks import BlockProbe, inner_folds


class AttentionProbe(BlockProbe):
    """One query over the tokens of an example, and a linear read-out of what it attends to.

    Args:
        weight_decay: penalty on query and read-out, |w|^2 / 2 and |q|^2 / 2 beside the mean loss.
        learning_rate: of Adam, on all examples at once.
        max_steps: steps at most.
        patience: steps without a smaller loss on the held-out groups after which the first fit ends. The
            loss may rise before the query has found its token: a short one ends at the mean over tokens.
        n_splits: one in so many groups is held out of the first fit.
        seed: of which.
    """

    LEARNT: ClassVar[tuple[str, ...]] = ("query_", "coef_", "intercept_", "mean_", "width_")

    query_: np.ndarray
    coef_: np.ndarray
    intercept_: np.ndarray
    mean_: np.ndarray
    width_: np.ndarray

    def __init__(
        self,
        *,
        weight_decay: float | int = 0.01,
        learning_rate: float | int = 0.1,
        max_steps: int = 400,
        patience: int = 100,
        n_splits: int = 4,
        seed: int = 0,
    ) -> None:
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.max_steps = max_steps
        self.patience = patience
        self.n_splits = n_splits
        self.seed = seed

    def attention(self, X: Any, *, mask: Any = None) -> Float[np.ndarray, "example row"]:
        """How much of each row is read; sums to 1 an example."""
        from scipy.special import softmax

        x, real = self._checked(X, mask)
        looked = (x - self.mean_) / self.width_ @ self.query_ / np.sqrt(x.shape[2])
        weights: np.ndarray = softmax(np.where(real, looked, -np.inf), axis=1)
        return weights

    def _learn(self, x: np.ndarray, y: np.ndarray, real: np.ndarray, groups: np.ndarray) -> None:
        held = inner_folds(y, groups, self.n_splits, seed=self.seed)[0]
        self.n_steps_ = self._train(x, y, real, held.train, held.test, steps=self.max_steps)
        self._train(x, y, real, np.arange(len(x)), None, steps=self.n_steps_)

    def _decide(self, x: np.ndarray, real: np.ndarray) -> np.ndarray:
        weights = self.attention(x, mask=real)
        along = (x - self.mean_) / self.width_ @ self.coef_
        return np.asarray((weights * along).sum(1) + self.intercept_[0], np.float64)

    def _train(
        self,
        x: np.ndarray,
        y: np.ndarray,
        real: np.ndarray,
        rows: np.ndarray,
        held: np.ndarray | None,
        *,
        steps: int,
    ) -> int:
        """Fit on `rows`; the number of steps after which the loss on `held` was smallest."""
        import torch

        flat = x[rows][real[rows]]
        self.mean_, std = flat.mean(0), flat.std(0)
        self.width_ = np.where(std > 0, std, std.dtype.type(1))  # a constant feature gets no weight
        scaled = np.where(real[..., None], (x - self.mean_) / self.width_, x.dtype.type(0))
        weights = torch.zeros(2, x.shape[2], dtype=torch.from_numpy(x[:1]).dtype, requires_grad=True)
        bias = torch.zeros(1, dtype=weights.dtype, requires_grad=True)
        optimizer = torch.optim.Adam([weights, bias], lr=self.learning_rate)

        def part(index: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            label = torch.from_numpy(y[index]).to(weights.dtype)
            return torch.from_numpy(scaled[index]), torch.from_numpy(real[index]), label

        def loss(given: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
            tokens, there, label = given
            looked, along = (tokens @ weights.T).unbind(-1)
            looked = (looked / tokens.shape[2] ** 0.5).masked_fill(~there, -torch.inf)
            logit = (looked.softmax(1) * along).sum(1) + bias
            return torch.nn.functional.binary_cross_entropy_with_logits(logit, label)

        train, test = part(rows), None if held is None else part(held)
        best, at = np.inf, 0
        for step in range(1, steps + 1):
            optimizer.zero_grad()
            (loss(train) + self.weight_decay / 2 * weights.square().sum()).backward()
            optimizer.step()
            if test is None:
                continue
            with torch.no_grad():
                now = float(loss(test))
            if now < best:
                best, at = now, step
            elif step - at >= self.patience:
                break
        query, coef = weights.detach().numpy()
        self.query_, self.coef_, self.intercept_ = query.copy(), coef.copy(), bias.detach().numpy().copy()
        return max(at, 1)
