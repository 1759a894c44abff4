"""Contrasts: the direction from one variant's activations to another's, same prompts, at every layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.core.errors import SteeringError
from mi_bsa.core.items import Item
from probes import Direction

if TYPE_CHECKING:
    from activations import Model


def contrast_directions(
    model: Model, items: Sequence[Item], variants: tuple[str, str], *, site: str = "resid_post"
) -> list[Direction]:
    """Mean difference (first less second variant) at the answer slot, one direction a layer, with the site's
    typical norm.

    Raises:
        SteeringError: the two variants do not differ at a layer.
    """
    import activations
    from activations import hooks, sites

    places = sites.resolve(site, n_layers=model.n_layers)
    rows = model.rows([item.prompt() for item in items])
    means: list[dict[activations.Site, np.ndarray]] = []
    norms: dict[activations.Site, list[float]] = {place: [] for place in places}
    for variant in variants:
        sums = {place: np.zeros(model.d_model) for place in places}
        with model.variant(variant):
            for batch in model.batches(rows):
                values = hooks.read(model, batch, places, hooks.whole)
                for line, example in enumerate(batch.examples):
                    for place in places:
                        row = values[place][line, len(rows[example]) - 1].double().cpu().numpy()
                        sums[place] += row
                        norms[place].append(float(np.linalg.norm(row)))
        means.append({place: total / len(rows) for place, total in sums.items()})
    found = []
    for place in places:
        vector = means[0][place] - means[1][place]
        if not np.any(vector):
            raise SteeringError(
                f"variants {variants[0]!r} and {variants[1]!r} do not differ at {place}; choose two that do"
            )
        facts = {"method": "mean difference", "variants": list(variants), "prompts": len(rows)}
        found.append(
            Direction(vector, str(place), f"towards {variants[0]}", float(np.median(norms[place])), facts)
        )
    return found
