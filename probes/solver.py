"""Many logistic fits at once: training sets x label columns x penalties, in one batch of matrix products.

Every problem minimizes  sum_i log(1 + exp(-y_i (x_i w + b))) + |w|^2 / (2 C)  on standardized rows with a
free intercept (scikit-learn's LogisticRegression), and stops when its gradient norm has fallen to 1e-6 of
its norm at w = 0. What makes
it fast: (1) rows are rotated once to the eigenbasis of their Gram matrix (of the n x n one where rows are
fewer than dimensions), where the Hessian X' D X + I/C is nearly diagonal, so that a good preconditioner is
free for every penalty; (2) all problems share one matrix product a step; (3) the line search runs on the
margins and costs no product; (4) solved problems leave the batch. Method: L-BFGS (Nocedal 1980) with that
preconditioner. torch is imported here only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Num

from probes.errors import ActivationError, LabelError, StatisticsError

if TYPE_CHECKING:
    import torch

MEMORY = 10
"""Steps that L-BFGS remembers: SciPy's own default. Each costs two inner products and three vectors a
problem."""
PATIENCE = 200
"""Steps without a gradient smaller by a tenth after which a fit is given up: rounding is all that is left."""
BUDGET = 4_000_000
"""Numbers of padded rows that training sets may hold together, 16 MB in float32; larger sets are solved one
by one. Small products wait for the processor, so small sets gain from company; large ones only pay for the
padding."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Weights in the coordinates of the given rows, and how each problem stopped."""

    coef: Float[np.ndarray, "penalty target d_model"]
    intercept: Float[np.ndarray, "penalty target"]
    gradient: Float[np.ndarray, "penalty target"]
    steps: Num[np.ndarray, "penalty target"]


@dataclass(frozen=True, eq=False)
class Rotated:
    """Standardized rows of one training set in the eigenbasis of their Gram matrix."""

    rows: Any  # [example, rank]
    values: Any  # [rank] eigenvalues of X'X
    basis: Any  # [d_model, rank]
    mean: Any  # [d_model]
    width: Any  # [d_model]


def rotate(x: torch.Tensor, *, standardize: bool = True) -> Rotated:
    """Center, scale and rotate rows [example, d_model]; never wider than min(n, d)."""
    import torch

    n, d = x.shape
    mean = x.mean(dim=0)
    z = x - mean
    width = torch.ones_like(mean)
    if standardize:
        std = z.square().mean(dim=0).sqrt()
        # a feature that never changes has a std of rounding alone (float32 keeps seven digits); dividing by
        # it would make noise as large as any signal
        width = torch.where(std > 1e-6 * std.max(), std, width)
        z = z / width
    if d <= n:
        values, basis = _eigh(z.T @ z)
        # a Gram matrix has no eigenvalue below 0, but rounding takes those of a deficient one there
        return Rotated(z @ basis, values.clamp(min=0), basis, mean, width)
    values, left = _eigh(z @ z.T)
    # what lies below this is rounding (the rule of numpy's matrix_rank); centered rows have rank n - 1 at
    # most, and dividing by the root of a zero below would blow its noise up
    keep = values > values[-1] * n * torch.finfo(x.dtype).eps
    values, left = values[keep], left[:, keep]
    root = values.sqrt()
    return Rotated(left * root, values, z.T @ (left / root), mean, width)


def _eigh(square: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues and vectors of a symmetric matrix; numbers may be so large that it has none."""
    import torch

    try:
        return torch.linalg.eigh(square)
    except torch.linalg.LinAlgError:
        raise ActivationError(
            f"the activations' products reach {float(square.abs().max()):.3g}, beyond what can be solved: "
            "look for rows that are no activations (mi-bsa cache check --deep)"
        ) from None


def _descend(
    rows: torch.Tensor,
    y: torch.Tensor,
    values: torch.Tensor,
    count: torch.Tensor,
    inverse: torch.Tensor,
    *,
    tol: float | int,
    max_steps: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Solve a padded batch. Problems come before rows in memory: that is where thin matrix products are fast.

    Args:
        rows: [set, example, rank + 1], last column 1 (the intercept); padding rows and ranks are zero.
        y: [set, problem, example] in {0, 1}.
        values: [set, 1, rank + 1] eigenvalues, last one the number of real rows.
        count: [set, 1, 1] real rows.
        inverse: [problem, 1], 1 / C.

    Returns:
        weights [set, problem, rank + 1] (intercept last), relative gradient norms and steps [set, problem].
    """
    import torch

    sets, n, width = rows.shape
    problems = y.shape[1]
    across = rows.transpose(1, 2)
    w_out = rows.new_zeros(sets, problems, width)
    size_out = rows.new_zeros(sets, problems)
    steps_out = torch.zeros(sets, problems, dtype=torch.int64, device=rows.device)
    live = torch.arange(problems, device=rows.device)
    # [problem, rank + 1]; the last column is the intercept, which is free
    ridge = inverse * torch.cat([rows.new_ones(width - 1), rows.new_zeros(1)])[None]

    def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a * b).sum(dim=2, keepdim=True)

    v = rows.new_zeros(sets, problems, width)
    m = rows.new_zeros(sets, problems, n)
    p = torch.full_like(m, 0.5)
    g = torch.bmm(p - y, rows)
    # [set, problem, 1]; never 0, so that rows without any variance are solved at once and not 0 / 0
    first = g.norm(dim=2, keepdim=True).clamp(min=1e-30)
    memory: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    least, since = torch.full_like(first, float("inf")), torch.zeros_like(first)
    for step in range(max_steps + 1):
        size = g.norm(dim=2, keepdim=True) / first
        # in float32 gradients flicker at the floor: a tenth less is progress, anything under it is not
        better = size < 0.9 * least
        least, since = torch.where(better, size, least), since.masked_fill(better, step)
        over = (size <= tol) | (step - since > PATIENCE)
        # a problem leaves when it is solved, or given up, on every set: the batch must stay a rectangle
        done = over.all(dim=0)[:, 0]
        if step == max_steps:
            done = torch.ones_like(done)
        steps_out[:, live] += (size > tol)[:, :, 0].long()
        if bool(done.any()):
            w_out[:, live[done]] = v[:, done]
            size_out[:, live[done]] = size[:, done, 0]
            keep = ~done
            if not bool(keep.any()):
                break
            live, ridge = live[keep], ridge[keep]
            v, m, p, g, y = (a[:, keep] for a in (v, m, p, g, y))
            first, least, since = (a[:, keep] for a in (first, least, since))
            memory = [(s[:, keep], q[:, keep], rho[:, keep]) for s, q, rho in memory]
        # the Hessian's diagonal in this basis, with the mean weight p (1 - p) of each problem; padding has
        # weight 1/4. Where the classes are told apart fully all weights go to 0: the floors keep steps finite
        weight = ((p * (1 - p)).sum(dim=2, keepdim=True) - (n - count) / 4) / count
        curvature = torch.addcmul(ridge[None], weight.clamp(min=1e-7), values).clamp(min=1e-12)
        # the two loops of L-BFGS (Nocedal and Wright, algorithm 7.4), with that diagonal where textbooks put
        # a multiple of the identity
        d = -g
        alphas = []
        for s, q, rho in reversed(memory):
            a = rho * dot(s, d)
            d = torch.addcmul(d, a, q, value=-1)
            alphas.append(a)
        d = d / curvature
        if memory:
            # the last step says how far the diagonal is off in size (their formula 7.20, preconditioned)
            s, q, _ = memory[-1]
            gain = dot(s, q) / (q * q / curvature).sum(dim=2, keepdim=True).clamp(min=1e-30)
            d = d * torch.where(gain > 0, gain, torch.ones_like(gain))
        for (s, q, rho), a in zip(memory, reversed(alphas), strict=True):
            d = torch.addcmul(d, a - rho * dot(q, d), s)
        # rounding in the memory may turn the step uphill; the preconditioned gradient never is
        d = torch.where(dot(d, g) >= 0, -g / curvature, d)
        # line search on the margins: Newton on a convex function of one number, from the full step, which
        # with this preconditioner is nearly right; two rounds, because L-BFGS needs no exact minimum, and
        # bounds, because Newton overshoots where the sigmoid is flat
        dm = torch.bmm(d, across)
        rd = ridge * d
        flat, slope = dot(rd, v), dot(rd, d)
        a = torch.ones_like(flat)
        for _ in range(2):
            pa = torch.sigmoid(torch.addcmul(m, a, dm))
            down = dot(pa - y, dm) + flat + a * slope
            bend = dot(pa * (1 - pa), dm * dm) + slope
            a = (a - down / bend.clamp(min=1e-30)).clamp(0.02, 50.0)
        s = a * d
        v = v + s
        # margins are summed up step by step, which saves a product; every 16th is made anew, as sums drift
        m = torch.bmm(v, across) if step % 16 == 15 else torch.addcmul(m, a, dm)
        p = torch.sigmoid(m)
        new = torch.bmm(p - y, rows) + ridge * v
        q = new - g
        curve = dot(s, q)
        # a pair without curvature is rounding and is not used (rho 0); 1e-37 is just above float32's least
        # normal number, below which the inverse would overflow
        rho = torch.where(curve > 0, 1.0 / curve.clamp(min=1e-37), torch.zeros_like(curve))
        memory = [*memory, (s, q, rho)][-MEMORY:]
        g = new
    return w_out, size_out, steps_out


def solve_many(
    xs: Sequence[Num[np.ndarray, "_ d_model"]],
    ys: Sequence[Num[np.ndarray, "_ target"]],
    penalties: Sequence[float | int],
    *,
    standardize: bool = True,
    tol: float | int = 1e-6,
    max_steps: int = 1000,
    device: str = "cpu",
    dtype: str = "float32",
) -> list[Solution]:
    """All label columns x all penalties (C, as in scikit-learn) on every training set.

    Args:
        xs: rows of each training set [example, d_model].
        ys: 0/1 label columns of each training set [example, target], equally many in each.
        dtype: float32 moves half the bytes and mostly reaches the rule; where it can not, this raises and
            `LogisticProbe.fit_many` solves again in float64.

    Raises:
        LabelError: a label column is constant.
        StatisticsError: a problem did not reach the stopping rule.
    """
    import torch

    kind = {"float32": torch.float32, "float64": torch.float64}[dtype]
    for y in ys:
        if (np.min(y, axis=0) == np.max(y, axis=0)).any() or not np.isin(y, (0, 1)).all():
            raise LabelError(
                "a label column is constant or not 0/1 on the training rows; every fit needs both classes"
            )
    inverse = torch.as_tensor(1.0 / np.asarray(penalties, dtype=np.float64), dtype=kind, device=device)
    out: list[Solution] = []
    for company in companies([x.shape for x in xs]):
        rows = (torch.as_tensor(np.ascontiguousarray(xs[i]), dtype=kind, device=device) for i in company)
        turned = [rotate(part, standardize=standardize) for part in rows]
        out += _solve_chunk(turned, [ys[i] for i in company], inverse, tol=tol, max_steps=max_steps)
    return out


def companies(shapes: Sequence[tuple[int, ...]]) -> Iterator[range]:
    """Which training sets are solved together, by their shapes (examples, d_model): as many in a row as the
    budget holds, one at least."""
    start = 0
    while start < len(shapes):
        stop, height, rank = start, 0, 0
        while stop < len(shapes):
            height, rank = max(height, shapes[stop][0]), max(rank, min(shapes[stop]))
            if stop > start and (stop + 1 - start) * height * rank > BUDGET:
                break
            stop += 1
        yield range(start, stop)
        start = stop


def _solve_chunk(
    turned: Sequence[Rotated],
    ys: Sequence[np.ndarray],
    inverse: torch.Tensor,
    *,
    tol: float | int,
    max_steps: int,
) -> list[Solution]:
    import torch

    first = turned[0].rows
    sets, targets, grid = len(turned), ys[0].shape[1], len(inverse)
    rank, height = max(t.rows.shape[1] for t in turned), max(len(t.rows) for t in turned)
    rows = first.new_zeros(sets, height, rank + 1)
    values = first.new_zeros(sets, 1, rank + 1)
    y = first.new_zeros(sets, targets, height)
    count = first.new_tensor([[[len(t.rows)]] for t in turned])
    for i, (t, column) in enumerate(zip(turned, ys, strict=True)):
        n, r = t.rows.shape
        rows[i, :n, :r], rows[i, :n, -1] = t.rows, 1.0
        values[i, 0, :r], values[i, 0, -1] = t.values, n
        y[i, :, :n] = torch.as_tensor(np.ascontiguousarray(column.T), dtype=first.dtype, device=first.device)
    # problems run over penalties first and label columns within: [penalty, target] when they are reshaped
    labels, ridge = y.repeat(1, grid, 1), inverse.repeat_interleave(targets)[:, None]
    w, size, steps = _descend(rows, labels, values, count, ridge, tol=tol, max_steps=max_steps)
    if bool((size > tol).any()):
        raise StatisticsError(
            f"{int((size > tol).sum())} fits stopped at a relative gradient of {float(size.max()):.1e} after "
            f"{int(steps.max())} steps (rule: {tol:g}); use a smaller C or dtype='float64'"
        )
    found = []
    for i, t in enumerate(turned):
        r = t.rows.shape[1]
        # back from the eigenbasis and from standard deviations to the rows as they were given
        coef = (w[i, :, :r] @ t.basis.T) / t.width
        intercept = w[i, :, -1] - coef @ t.mean
        each = (part.unflatten(0, (grid, targets)) for part in (coef, intercept, size[i], steps[i]))
        found.append(Solution(*(part.cpu().numpy() for part in each)))
    return found
