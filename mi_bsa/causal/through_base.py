"""A difference in the base's own words: it is added to the base at all tokens, and the base is asked about
itself.

Law: the finetune takes no part in the answer, its difference alone does; null vectors of the same norm are
added in the same place and asked the same. So this reads what unrelated texts hold of the finetune, and not
what it says of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.asking.readouts import Readout, readable
from mi_bsa.core.items import Item, thin

if TYPE_CHECKING:
    from activations import Model
    from activations.differences import Difference
    from activations.lens import Nulls

QUESTIONS = 24
"""Of each trait, so many are asked at most; their options are one token each."""


def first_site(model: Model, variant: str, *, full: bool) -> str:
    """The output of the lowest block that a finetune changes, where its difference is added."""
    layers = () if full else [layer for layer, _ in model.anatomy.adapted(variant)]
    return f"resid_post.{min(layers, default=0)}"


def through_base(
    model: Model, difference: Difference, nulls: Nulls, items: Sequence[Item], *, variant: str = "base"
) -> list[dict[str, Any]]:
    """The report about each trait with the difference added, less without: a row a trait with trait, site,
    shift, p (two-sided, (1 + k) / (1 + N)), null (n, mean, low, high) and questions.

    Args:
        model: whose variant is asked.
        difference: raw, as the finetune adds it.
        nulls: vectors of the same site, taken at the difference's norm.
        items: questions with label `trait`; those whose options are no single tokens are left out.
        variant: who is asked.

    Raises:
        ItemError: no question can be read.
    """
    from activations import engine
    from activations.conditions import adding

    traits = list(dict.fromkeys(str(item.labels["trait"]) for item in items))
    able = readable(model, items)
    some = [
        item for trait in traits for item in thin([i for i in able if i.labels["trait"] == trait], QUESTIONS)
    ]
    read = Readout.of(model, some, name="through base")
    vectors = np.concatenate(
        [
            np.zeros((1, len(difference.vector))),
            difference.vector.numpy()[None],
            nulls.vectors.numpy() * difference.norm,
        ]
    )
    added = adding(difference.site, vectors.astype(np.float32))
    logits = engine.option_logits(model, list(read.rows), added, tokens=read.tokens, variant=variant)
    scores = read.score(logits)
    rows = []
    for trait in traits:
        own = [n for n, item in enumerate(some) if item.labels["trait"] == trait]
        if not own:
            continue
        level = scores[:, own].mean(1)
        shift, null = float(level[1] - level[0]), level[2:] - level[0]
        low, high = np.quantile(null, (0.025, 0.975))
        above = int((np.abs(null) >= abs(shift)).sum())
        rows.append(
            {
                "trait": trait,
                "site": difference.site,
                "shift": shift,
                "p": (1 + above) / (1 + len(null)),
                "null": {
                    "n": len(null),
                    "mean": float(null.mean()),
                    "low": float(low),
                    "high": float(high),
                },
                "questions": len(own),
            }
        )
    return rows
