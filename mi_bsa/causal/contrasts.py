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
    from activations import engine, sites

    places = [str(place) for place in sites.resolve(site, n_layers=model.n_layers)]
    rows = model.rows([item.prompt() for item in items])
    read = [engine.slot_states(model, rows, places, variant=variant) for variant in variants]
    found = []
    for place in places:
        first, second = (values[place].astype(np.float64) for values in read)
        vector = first.mean(0) - second.mean(0)
        if not np.any(vector):
            raise SteeringError(
                f"variants {variants[0]!r} and {variants[1]!r} do not differ at {place}; choose two that do"
            )
        norm = float(np.median(np.linalg.norm(np.concatenate([first, second]), axis=1)))
        facts = {"method": "mean difference", "variants": list(variants), "prompts": len(rows)}
        found.append(Direction(vector, place, f"towards {variants[0]}", norm, facts))
    return found
