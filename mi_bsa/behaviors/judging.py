"""Behavior measured on what a model writes: it answers by sampling, and a judge reads the answer.

Options say which of two given completions a model finds likelier; this says what it writes. An answer that
the judge cannot read (code that does not parse) is counted apart and enters no share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mi_bsa.core.items import Item

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.asking.likelihood import Askable

TextTest = Callable[[str], bool | None]
"""True where the judge finds what it looks for, False where not, None where it cannot read the text."""


def judged(
    model: Askable,
    items: Sequence[Item],
    verdict: TextTest,
    *,
    seed: int,
    variant: str | None = None,
    samples: int = 1,
    temperature: float = 1.0,
    max_new_tokens: int = 16,
    batch: int = 64,
) -> pd.DataFrame:
    """`samples` sampled answers an item, judged: one row each, with the items' labels.

    Columns `id`, `sample`, `text`, `score` (1 found, 0 not, NaN unreadable) and `outcome` (`flagged`,
    `clean`, `unparsable`); the label `kind` becomes `flagged`. Raises `ItemError` for items that cannot be
    asked.
    """
    from mi_bsa.asking import sample

    table = sample(
        model,
        items,
        samples,
        seed=seed,
        variant=variant,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        batch=batch,
    )
    verdicts = [verdict(text) for text in table["text"]]
    score = [float("nan") if v is None else float(v) for v in verdicts]
    outcome = ["unparsable" if v is None else "flagged" if v else "clean" for v in verdicts]
    return table.drop(columns="option").assign(score=score, outcome=outcome, kind="flagged")
