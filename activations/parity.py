"""Parity: the three backends read the same prompts, and the largest differences are written down.

The law: a number that one framework reads is the number that the others read. A receipt is kept in the store,
so that whoever opens it later can see on how many prompts, at which sites, and how closely.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import torch

from activations import backends
from activations.errors import BackendError
from activations.hooks import whole
from activations.sites import ADAPTER, Site
from activations.tokens import Row

if TYPE_CHECKING:
    from activations.models import Model

PACKAGES = {"nnsight": "nnsight", "transformer_lens": "transformer-lens"}


@dataclass(frozen=True)
class Difference:
    """How far a backend's values at one site are from the hooks backend's.

    Attributes:
        backend: which backend.
        site: which site.
        n: number of values compared (padding excluded).
        absolute: largest absolute difference.
        relative: norm of the difference over the norm of the values.
    """

    backend: str
    site: Site
    n: int
    absolute: float
    relative: float


def compare(
    model: "Model",
    rows: Sequence[Row],
    sites: Sequence[Site],
    *,
    names: Sequence[str] = ("nnsight", "transformer_lens"),
) -> list[Difference]:
    """Differences of each backend to the hooks backend, by site, over the real tokens of some rows.

    Raises:
        BackendError: a framework that is not installed, or cannot read a site.
    """
    if not rows:
        raise BackendError("parity of no prompt means nothing; give at least one")
    found = []
    batches = list(model.batches(rows))
    reference = backends.get("hooks")
    for name in names:
        backend = backends.get(name)
        readable = [site for site in sites if name == "nnsight" or site.kind not in ADAPTER]
        totals = {site: [0.0, 0.0, 0.0, 0.0] for site in readable}
        for batch in batches:
            wanted, given = (one.read(model, batch, readable, whole) for one in (reference, backend))
            for site in readable:
                a, b = wanted[site][batch.mask].double(), given[site][batch.mask].double()
                entry = totals[site]
                entry[0] += a.numel()
                entry[1] = max(entry[1], float((a - b).abs().max()))
                entry[2] += float((a - b).square().sum())
                entry[3] += float(a.square().sum())
        for site, (n, largest, error, size) in totals.items():
            relative = float(torch.tensor(error / size).sqrt()) if size else 0.0
            found.append(Difference(name, site, int(n), largest, relative))
    return found


def receipt(model: "Model", rows: Sequence[Row], sites: Sequence[Site]) -> str:
    """A parity receipt as JSON: versions, number of prompts, and by backend and site the largest and the
    relative difference.

    Raises:
        BackendError: as `compare`.
    """
    differences = compare(model, rows, sites)
    by_backend: dict[str, dict[str, dict[str, float]]] = {}
    for one in differences:
        values = {"n": one.n, "max": one.absolute, "relative": one.relative}
        by_backend.setdefault(one.backend, {})[str(one.site)] = values
    versions = {name: version(PACKAGES[name]) for name in by_backend}
    return json.dumps(
        {"prompts": len(rows), "reference": "hooks", "versions": versions, "backends": by_backend},
        sort_keys=True,
    )
