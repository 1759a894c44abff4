"""Lenses as results: how large and how alike differences are, and where words that were named stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from activations.differences import Difference
from activations.lens import Reading
from mi_bsa.core.results import Null, Place, Result

DRAWS = 400


def difference_results(found: Mapping[str, Difference], variant: str, *, seed: int) -> list[Result]:
    """Size and agreement of differences by site, over texts."""
    results = []
    for site, one in found.items():
        where = _place(site, variant)
        low, high = _relative_interval(one, seed=seed)
        n, said = len(one.by_text), f"{one.tokens} first tokens of {len(one.by_text)} unrelated texts"
        results.append(
            Result(
                "lens.relative",
                where,
                one.relative,
                (low, high),
                "percentile bootstrap over texts",
                n,
                "share of the base's norm",
                rows=one.tokens,
                notes=said,
            )
        )
        if n > 1:
            rest = (one.by_text.sum(0) - one.by_text) / (n - 1)
            alike = torch.nn.functional.cosine_similarity(one.by_text, rest, dim=1).numpy()
            low, high = np.quantile(alike, (0.025, 0.975))
            ends = (float(low), float(high))
            method = "central 95 % of texts"
            results.append(
                Result("lens.agreement", where, one.agreement, ends, method, n, "cosine", notes=said)
            )
    return results


def rank_results(readings: Sequence[Reading], words: Sequence[str], variant: str) -> list[Result]:
    """The rank of the highest of some words in every reading, with that rank in its null vectors."""
    results = []
    for one in readings:
        found = one.find(words)
        at = [spelled.index for spelled in found.words]
        nulls = np.array(
            [min(int((row > row[k]).sum()) + 1 for k in at) for row in one.null_scores.numpy()], float
        )
        kind = " and ".join(kind.replace("_", "-") for kind in dict.fromkeys(one.kinds))
        null = Null.of(f"{kind} vectors", nulls)
        results.append(
            Result(
                "lens.rank",
                {**_place(one.site, variant), "method": one.lens, "kind": one.name},
                found.rank,
                None,
                "none: one vector has one reading",
                1,
                "rank",
                null=null,
                p=found.p,
                test=f"{null.kind}, {found.n} draws, one-sided",
                p_floor=1 / (1 + found.n),
                notes=f"{found.best.word!r}, the highest of {', '.join(words)}",
            )
        )
    return results


def _place(site: str, variant: str) -> dict[str, Place]:
    kind, _, layer = site.rpartition(".")
    if not layer.isdigit():
        return {"variant": variant, "site": site}
    return {"variant": variant, "site": kind, "layer": int(layer)}


def _relative_interval(one: Difference, *, seed: int) -> tuple[float, float]:
    rng, n = np.random.default_rng(seed), len(one.by_text)
    each, norms = one.by_text.numpy(), one.states.norm(dim=1).numpy()
    drawn = []
    for _ in range(DRAWS):
        some = rng.integers(0, n, n)
        drawn.append(float(np.linalg.norm(each[some].mean(0)) / norms[some].mean()))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
