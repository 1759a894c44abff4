"""Ask a question by sampling where its options hold little of the probability: what is said is read instead.

Law: an answer counts only where it is one of the options or names exactly one of them; nothing is guessed,
and what could not be read is counted beside what could. A table of such answers has the columns of `ask`, one
row an item: `score` is the mean over its samples that could be read (NaN where none could), and `mass` is the
share of them, which is what the options' mass would be if only their very words counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from mi_bsa.asking.judging import NEGATIONS
from mi_bsa.asking.likelihood import Askable
from mi_bsa.asking.sampling import NUMBER, Parsed, parse_answer, sample
from mi_bsa.core.items import Item

if TYPE_CHECKING:
    import pandas as pd

ASKED = "asked"
"""Column that says how a row was asked; where it is absent or empty, by log-probabilities."""
SAMPLING = "sampling"
OTHER = Parsed("", float("nan"), "other")
_OUT_OF = re.compile(r"(?:/|\bout of|\bof)\s*100\b")
_NUMBERS = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")
_CALLS = r"(?i:\b(?:answer|letter|choice)(?: is|:)|\b(?:option|statement|choose|pick|answer with))"
_WORDS = re.compile(r"\w+(?:'\w+)?")
_CLAUSES = re.compile(r"[.,;:!?\n]|\bbut\b")


def read_answer(text: str, options: Sequence[tuple[str, float | int]]) -> Parsed:
    """Read an answer: strictly (`parse_answer`), else as the one option that it names.

    Numbers: the only number said ("I'd say 70 out of 100"). Letters: the letter that it begins with or calls
    an option ("B) daring", "my answer is B"). Yes and no: its first word. Words and phrases: those that it
    says whole and does not negate; where it says several, all must have one score.
    """
    strict = parse_answer(text, options)
    if strict.outcome in ("parsed", "empty"):
        return strict
    said = [option.strip().lower() for option, _ in options]
    if all(NUMBER.fullmatch(option) for option in said):
        found = set(_NUMBERS.findall(_OUT_OF.sub(" ", text.lower())))
        return parse_answer(found.pop(), options) if len(found) == 1 else OTHER
    if all(len(option) == 1 for option in said):
        named = _letters(text, [option.strip() for option, _ in options])
    elif NEGATIONS & set(said):
        first = _WORDS.search(text.lower())
        named = {n for n, option in enumerate(said) if first and first.group() == option}
    else:
        named = _phrases(text, said)
    if not named or len({options[n][1] for n in named}) > 1:
        return OTHER
    option, score = options[min(named)]
    return Parsed(option, float(score), "parsed")


def _letters(text: str, letters: Sequence[str]) -> set[int]:
    """Options of one letter that a text begins with or calls an option; an article is none."""
    one = "|".join(map(re.escape, letters))
    begins = re.match(rf"\W*({one})(?=\s*(?:[).:,\]\n]|$))", text.strip())
    called = re.findall(rf"{_CALLS} \W*({one})\b", text)
    return {n for n, letter in enumerate(letters) if letter in called or (begins and begins[1] == letter)}


def _phrases(text: str, options: Sequence[str]) -> set[int]:
    """Options that a text says; all of them nowhere where one is negated, as what is meant is then unsaid."""
    named = set()
    for clause in _CLAUSES.split(text.lower()):
        words = _WORDS.findall(clause)
        for n, option in enumerate(options):
            wanted = _WORDS.findall(option)
            for at in range(len(words) - len(wanted) + 1):
                if words[at : at + len(wanted)] != wanted:
                    continue
                before = words[max(0, at - 3) : at]
                if any(word in NEGATIONS or word.endswith("n't") for word in before):
                    return set()
                named.add(n)
    return named


def ask_by_sampling(
    model: Askable,
    items: Sequence[Item],
    n: int,
    *,
    seed: int,
    variant: str | None = None,
    temperature: float = 1.0,
    tokens: int = 16,
) -> pd.DataFrame:
    """One row an item, as `ask` gives them, of `n` samples each; `parsed` counts those that could be read.

    Raises `ItemError` for items that cannot be asked.
    """
    import pandas as pd

    drawn = sample(
        model,
        items,
        n,
        seed=seed,
        variant=variant,
        temperature=temperature,
        max_new_tokens=tokens,
        parser=read_answer,
    )
    read = drawn["outcome"] == "parsed"
    rows = []
    for item, (_, own) in zip(items, drawn.assign(read=read).groupby("id", sort=False), strict=True):
        options = own.loc[own["read"], "option"]
        best = str(options.mode().iloc[0]) if len(options) else ""
        rows.append(
            {
                "id": item.id,
                "score": float(own["score"].mean()),
                "mass": float(own["read"].mean()),
                "argmax": best,
                "argmax_score": float(own.loc[own["option"] == best, "score"].mean()) if best else np.nan,
                "n_options": len(item.options),
                **item.labels,
                ASKED: SAMPLING,
                "samples": n,
                "parsed": int(own["read"].sum()),
            }
        )
    return pd.DataFrame(rows)


def by_sampling(table: pd.DataFrame) -> Bool[np.ndarray, " answer"]:
    """Which rows were asked by sampling."""
    if ASKED not in table.columns:
        return np.zeros(len(table), dtype=bool)
    return np.asarray(table[ASKED].to_numpy() == SAMPLING)


def answered(table: pd.DataFrame) -> pd.DataFrame:
    """The table without items of which no sample could be read."""
    return table[~(by_sampling(table) & table["score"].isna().to_numpy())]
