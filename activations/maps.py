"""Patch maps: what a patching experiment found, cell by cell, with every example kept.

The law: recovery is 0 where nothing was moved and 1 where the run is as the other; it is a ratio of means,
(patched - before) / (full - before), since a ratio for each example explodes where an example has no effect
of its own. Its interval treats both means as random (linearized ratio estimator, t over examples; Cochran
1977, section 6.4). Groups of examples are the caller's: `effects` and `gap` hold one number an example.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from activations.alignment import Column
from activations.errors import PatchError
from activations.showing import Shows
from activations.sites import Site

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CI_METHOD = "linearized ratio of means, t over examples"


@dataclass(frozen=True, repr=False)
class PatchMap(Shows):
    """Layer x column (x head) patching effects of many examples.

    Attributes:
        metric: what was read at the answer slot.
        mode: `denoising` (source values into the target run) or `noising` (target values into the source
            run).
        source: where values come from in denoising: the source prompts' variant.
        target: the target prompts' variant.
        sites: one a layer.
        columns: positions, roles, or one column for all tokens.
        heads: head indices, or empty where whole sites were patched.
        ids: the target prompts' ids.
        patched: metric of each patched run, NaN where a pair has no such column, (example, layer, column,
            head); head is 1 where there are none.
        before: metric of the run that values are put into.
        full: metric of the run that values come from.
        filled: cells that were not run because source and target values there are equal bit for bit,
            (example, layer, column, head).
        counts: cells in all, filled (equal), unreachable (the read-out cannot see them), run; block
            tokens computed.
        unaligned: tokens without a partner, over all pairs.
    """

    metric: str
    mode: str
    source: str
    target: str
    sites: tuple[Site, ...]
    columns: tuple[Column, ...]
    heads: tuple[int, ...]
    ids: tuple[str, ...]
    patched: Float[np.ndarray, "example layer column head"] = field(repr=False)
    before: Float[np.ndarray, " example"] = field(repr=False)
    full: Float[np.ndarray, " example"] = field(repr=False)
    filled: np.ndarray = field(repr=False)
    counts: dict[str, int]
    unaligned: int = 0

    @property
    def effects(self) -> Float[np.ndarray, "example layer column head"]:
        """What each patch moved, in units of the metric."""
        return self.patched - self.before[:, None, None, None]

    @property
    def gap(self) -> Float[np.ndarray, " example"]:
        """What the whole difference moves, in units of the metric."""
        return self.full - self.before

    @property
    def readable(self) -> bool:
        """Whether the mean gap's 95 % interval leaves out zero: where it does not, a recovery is a ratio to
        nothing."""
        from scipy.stats import t

        n = len(self.gap)
        if n < 2:
            return bool(self.gap[0] != 0)
        reach = float(t.ppf(0.975, n - 1)) * float(self.gap.std(ddof=1)) / n**0.5
        return bool(abs(float(self.gap.mean())) > reach)

    @property
    def recovery(self) -> Float[np.ndarray, "layer column head"]:
        """Recovery of each cell, over the examples that have it."""
        return self.intervals()[0]

    def intervals(self, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(recovery, low, high, n) of each cell, shape (layer, column, head); bounds are NaN for a single
        example."""
        return ratio_of_means(self.effects, self.gap, level=level)

    def to_dataframe(self) -> "pd.DataFrame":
        """One row a cell: site, layer, position, label, role, token, head, recovery, low, high, n, effect,
        filled (share of examples)."""
        import pandas as pd

        found = self.intervals()
        effect = _mean(self.effects)
        rows: list[dict[str, Any]] = []
        for layer, column, head in np.ndindex(found[0].shape):
            cell, site = self.columns[column], self.sites[layer]
            rows.append(
                {
                    "site": site.name,
                    "layer": site.layer,
                    "position": cell.label,
                    "index": cell.index,
                    "role": cell.role,
                    "token": cell.token,
                    "token_share": cell.share,
                    "head": self.heads[head] if self.heads else None,
                    **ratio_fields("recovery", found, (layer, column, head)),
                    "ci_method": CI_METHOD if found[3][layer, column, head] > 1 else "none: one example",
                    "effect": float(effect[layer, column, head]),
                    "filled": float(self.filled[:, layer, column, head].mean()),
                }
            )
        return pd.DataFrame(rows)

    def top(self, k: int = 10) -> "pd.DataFrame":
        """The `k` cells of largest absolute recovery."""
        table = self.to_dataframe()
        order = table["recovery"].abs().sort_values(ascending=False, kind="stable").index
        return table.loc[order[:k]].reset_index(drop=True)

    def plot(self) -> "Figure":
        """Recovery over layer x column as a matplotlib figure, a panel a head; a notebook shows it."""
        from activations.map_figure import draw

        return draw(self)

    def _shown(self) -> dict[str, object]:
        layers = f"{self.sites[0].name} at {len(self.sites)} layers"
        heads = f" x {len(self.heads)} heads" if self.heads else ""
        return {
            "": f"{layers} x {len(self.columns)} columns{heads}",
            "runs": f"{self.source} -> {self.target}, {self.mode}",
            "metric": self.metric,
            "n =": len(self.before),
        }


def ratio_of_means(
    effects: Float[np.ndarray, " example *cell"], gap: Float[np.ndarray, " example"], *, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(mean effect / mean gap, low, high, n) of each cell over the examples whose effect is not NaN.

    Raises:
        PatchError: the mean gap is zero.
    """
    from scipy.stats import t

    have = ~np.isnan(effects)
    n = have.sum(0)
    spread = gap.reshape(-1, *(1,) * (effects.ndim - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(have, spread, 0.0).sum(0) / n
        value = np.where(have, effects, 0.0).sum(0) / n / scale
        residual = np.where(have, effects - value * spread, 0.0) / scale
        deviation = np.sqrt((residual**2).sum(0) / np.maximum(n - 1, 1) / n)
    if bool((scale[n > 0] == 0).any()):
        raise PatchError(
            "the metric's mean gap between the two runs is zero, so nothing can be recovered; choose "
            "another metric"
        )
    half = np.where(n > 1, t.ppf(0.5 + level / 2, np.maximum(n - 1, 1)) * deviation, np.nan)
    return value, value - half, value + half, n


def ratio_fields(name: str, found: Sequence[np.ndarray], at: Any) -> dict[str, Any]:
    """One cell of what `ratio_of_means` gives, as fields of a table."""
    value, low, high, n = (part[at] for part in found)
    ends = {name: float(value), "low": float(low), "high": float(high)}
    return {**ends, "n": int(n), "ci_method": CI_METHOD}


def _mean(effects: np.ndarray) -> np.ndarray:
    have = ~np.isnan(effects)
    return np.where(have, effects, 0.0).sum(0) / np.maximum(have.sum(0), 1)


@dataclass(frozen=True)
class Agreement:
    """How well an estimated map ranks the cells of an exact one.

    Attributes:
        spearman: rank correlation over the exact map's top cells.
        low: lower end of its interval.
        high: upper end.
        cells: how many cells were compared.
        overlap: share of the exact map's top cells that are top cells of the estimate.
        n: examples.
        ci_method: how the interval was made.
    """

    spearman: float
    low: float
    high: float
    cells: int
    overlap: float
    n: int
    ci_method: str = "percentile bootstrap over examples"


def agreement(
    estimate: PatchMap, exact: PatchMap, *, top: int = 20, seed: int = 0, draws: int = 500
) -> Agreement:
    """Rank agreement of two maps of the same cells, on the top cells of either (largest absolute effect).

    Raises:
        PatchError: maps of different cells or examples, or fewer than 3 cells.
    """
    from scipy.stats import spearmanr

    if (
        estimate.patched.shape != exact.patched.shape
        or estimate.sites != exact.sites
        or estimate.ids != exact.ids
    ):
        raise PatchError(
            f"{estimate} and {exact} have different cells or examples; make both with the same arguments"
        )
    a, b = (one.effects.reshape(len(one.before), -1) for one in (estimate, exact))
    have = ~(np.isnan(a) | np.isnan(b)).any(0)
    a, b = a[:, have], b[:, have]
    if min(top, a.shape[1]) < 3:
        raise PatchError(f"{min(top, a.shape[1])} cells have no rank to agree on; compare at least 3")
    mean = [np.abs(x.mean(0)) for x in (a, b)]
    best = [np.argsort(-x, kind="stable")[:top] for x in mean]
    cells = np.union1d(best[0], best[1])
    value = float(spearmanr(a[:, cells].mean(0), b[:, cells].mean(0)).statistic)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        pick = rng.integers(0, len(a), len(a))
        found.append(spearmanr(a[pick][:, cells].mean(0), b[pick][:, cells].mean(0)).statistic)
    low, high = np.nanquantile(found, [0.025, 0.975])
    overlap = len(np.intersect1d(best[0], best[1])) / min(top, a.shape[1])
    return Agreement(value, float(low), float(high), len(cells), overlap, len(a))
