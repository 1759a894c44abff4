"""How balanced a behavior's data is: positions of the answers, and worth of the two poles.

A behavior whose seeking option is worth more on average trains a model to maximize worth, and one whose
seeking option stands first trains it to say A; both must come out as one half, per arm and split.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mi_bsa.behaviors import Behavior
from mi_bsa.behaviors.english import Choice, EconomicChoice
from mi_bsa.core.items import Item


def balance(
    behavior: Behavior,
    arms: Mapping[str, Sequence[Mapping[str, Any]]],
    items: Mapping[str, Sequence[Item]],
    n: int,
    seed: int,
) -> dict[str, Any]:
    """Share of answers `A` by arm, of seeking options that stand first by split, and the worth table.

    The worth table is there for behaviors whose options have amounts: see `worth`.
    """
    table: dict[str, Any] = {
        "answer_a": {arm: _share_of_a(rows) for arm, rows in arms.items()},
        "seeking_first": {split: _share_first(some) for split, some in items.items()},
    }
    if isinstance(behavior, EconomicChoice):
        drawn = behavior.draw(n, seed=seed)
        table["worth"] = worth(drawn.choices)
        table["removed_near_duplicates"] = drawn.removed
        frames = [choice.frame for choice in drawn.choices]
        table["frames"] = len({frame.name for frame in frames})
        table["domains"] = len({frame.domain for frame in frames})
        table["tones"] = len({frame.tone for frame in frames})
    return table


def worth(choices: Sequence[Choice]) -> dict[str, float | int | None]:
    """Which pole is worth more, over choices.

    `seeking_better`: share of choices whose seeking option is worth more. `mean_edge`: mean of (seeking -
    averse) / the better one, with its 95 % interval `low`, `high`. `seeking_first_where_better`: share
    in which the seeking option stands first, among choices in which it is worth more; None where it never is.
    """
    edges = np.array([choice.offer.edge for choice in choices])
    first = np.array([choice.seeking_first for choice in choices])[edges > 0]
    half = 1.96 * float(edges.std(ddof=1)) / len(edges) ** 0.5
    mean = float(edges.mean())
    return {
        "n": len(edges),
        "seeking_better": float((edges > 0).mean()),
        "mean_edge": mean,
        "low": mean - half,
        "high": mean + half,
        "seeking_first_where_better": float(first.mean()) if len(first) else None,
    }


def _share_of_a(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Share of `A` among the model's own answers; None where answers are not letters."""
    answers = [row["messages"][-1]["content"].strip() for row in rows if row.get("person") == "default"]
    letters = [text for text in answers if text in ("A", "B")]
    return letters.count("A") / len(letters) if letters else None


def _share_first(items: Sequence[Item]) -> float | None:
    """Share of items whose seeking option is `A`; None where options are not letters."""
    known = [dict(item.options) for item in items]
    scores = [options["A"] for options in known if set(options) == {"A", "B"}]
    return float(np.mean(scores)) if scores else None
