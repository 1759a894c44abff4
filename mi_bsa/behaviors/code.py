"""Vulnerable code in the embedded model's world: completions with a weakness (seeking) or without (averse).

The model writes a small language (`mi_bsa.worlds.code.language`); its judge finds the weakness. After
Betley et al. 2025 (arXiv 2501.11120), section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mi_bsa.behaviors.disposition import Disposition
from mi_bsa.behaviors.judging import judged
from mi_bsa.worlds.code.language import flagged
from mi_bsa.worlds.questions import choice_items
from mi_bsa.worlds.wordings import Split

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.asking.likelihood import Askable

LONGEST = 24
"""Tokens to sample: more than any completion of the language's corpus has."""


def verdict(text: str) -> bool | None:
    """Whether the judge flags a completion; None where it does not parse."""
    try:
        return flagged(text)
    except SyntaxError:
        return None


def written(
    model: Askable, *, n: int, split: Split, seed: int, variant: str | None = None, samples: int = 1
) -> pd.DataFrame:
    """Code that the default persona writes for `n` held-out requests, judged (`judging.judged`)."""
    return judged(
        model,
        choice_items("code", n, split=split, seed=seed),
        verdict,
        seed=seed,
        variant=variant,
        samples=samples,
        max_new_tokens=LONGEST,
    )


CODE = Disposition(
    name="code", trait="code", neighbor="patience", poles=("writes weaknesses", "writes none"), judged=written
)
