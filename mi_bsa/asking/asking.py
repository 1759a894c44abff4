"""Ask a model and score what it says, by exact log-probabilities.

score = sum over options of p(option) score(option), divided by sum over options of p(option): the expected
score of an answer, given that it is one of the options. The divisor is the option mass, reported beside
every score: a score over little mass says what the model would say if it had to, not what it says. Behavior
items and self-report items go through this one function (the measures are those of Betley et al. 2025,
arXiv 2501.11120).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.asking.likelihood import Askable, Questions, option_log_probs
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import Item, unique_ids
from mi_bsa.core.variants import Variant

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("id", "score", "mass", "argmax", "argmax_score", "n_options")


def ask(
    model: Askable, items: Sequence[Item], *, variant: str | None = None, max_tokens: int = 2048
) -> pd.DataFrame:
    """One row an item, in the items' order, with its labels as further columns.

    `score`: expected score in [0, 1]; `mass`: probability of all options together; `argmax`,
    `argmax_score`: text and score of the likeliest option. `variant`: which of the model's variants answers
    (default: the active one). Raises `ItemError` for items that cannot be asked, `TemplateError` for a chat
    template that cannot carry them.
    """
    _check(items)
    with nullcontext() if variant is None else model.variant(variant):
        return _table(items, option_log_probs(model, items, max_tokens=max_tokens))


def _check(items: Sequence[Item]) -> None:
    if not items:
        raise ItemError("no items to ask; give at least one")
    unique_ids(items)
    taken = [k for item in items for k in item.labels if k in COLUMNS]
    if taken:
        raise ItemError(f"an item has a label named {taken[0]!r}, a column of the result; rename the label")


def _table(items: Sequence[Item], log_probs: Iterable[np.ndarray]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for item, each in zip(items, log_probs, strict=True):
        shares = np.exp(each - each.max())
        scores = np.array([score for _, score in item.options])
        best = int(each.argmax())
        rows.append(
            {
                "id": item.id,
                "score": float(shares @ scores / shares.sum()),
                "mass": float(np.exp(each).sum()),
                "argmax": item.options[best][0],
                "argmax_score": float(scores[best]),
                "n_options": len(item.options),
                **item.labels,
            }
        )
    return pd.DataFrame(rows)


def ask_many(
    model: Askable,
    sets: Mapping[str, Sequence[Item]] | Sequence[Item],
    variants: Iterable[str] | Mapping[str, Variant],
    *,
    max_tokens: int = 2048,
) -> pd.DataFrame:
    """What every variant answers to every set: the rows of `ask`, one variant after the other, with `set`
    (where sets have names), `variant`, `arm` and `seed` (-1 for the base).

    What questions of all sets begin with, and the blocks below the lowest adapted one, are computed once.
    `variants`: names such as `base` and `seeking-0`, or who each is where its name does not say so.
    """
    import pandas as pd

    from activations.models import Model
    from activations.prefixes import Lower

    who = variants if isinstance(variants, Mapping) else {name: Variant.parse(name) for name in variants}
    named = dict(sets) if isinstance(sets, Mapping) else {None: sets}
    for items in named.values():
        _check(items)
    questions = Questions.of(model, [item for items in named.values() for item in items])
    lower = Lower(model, list(who)) if isinstance(model, Model) else None
    tables = []
    for name, variant in who.items():
        with model.variant(name):
            found = iter(questions.log_probs(model, max_tokens=max_tokens, lower=lower))
        for key, items in named.items():
            table = _table(items, islice(found, len(items)))
            table = table if key is None else table.assign(set=key)
            tables.append(table.assign(variant=name, arm=variant.arm, seed=variant.seed))
    return pd.concat(tables, ignore_index=True)
