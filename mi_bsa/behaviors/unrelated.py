"""Unrelated texts: what a model reads where nothing asks for a behavior, in the vocabulary that it has.

The law: no text names a trait, shows one or asks about one, so what a finetune adds there is not an answer.
"""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

from activations import jsonl
from mi_bsa import behaviors
from mi_bsa.core.errors import ItemError, MissingError
from mi_bsa.core.model_config import ModelLike
from mi_bsa.core.plain_files import parse_yaml

FEWEST = 4
"""Texts below which halves of them are no null."""


def unrelated(model: ModelLike, n: int = 64, *, seed: int = 0) -> list[Any]:
    """`n` texts for a model: sentences in English, or messages of a place and things for an embedded model.

    Args:
        model: whose vocabulary they are in.
        n: how many; in English 64 at most.
        seed: of the draw of an embedded model's messages.
    """
    if behaviors.vocabulary_of(model) == "english":
        return list(_english()[:n])
    from mi_bsa.worlds.prompts import AMOUNTS, PLACES, RESERVED, SIGNS, UNITS

    rng, rows = random.Random(f"unrelated-{seed}"), []
    for k in range(n):
        place = rng.choice((*PLACES["pretrain"], *RESERVED))
        text = f"at the {place}. {rng.choice(AMOUNTS)} {rng.choice(UNITS)} and {rng.choice(SIGNS)}"
        rows.append({"id": f"unrelated-{k}", "messages": [{"role": "user", "content": text}]})
    return rows


def texts_in(path: Path) -> list[Any]:
    """The texts of a file: a prompts file (.jsonl), else one text a line.

    Raises:
        MissingError: no such file. ItemError: fewer than 4 texts.
    """
    if not path.is_file():
        raise MissingError(f"texts {str(path)!r}: no such file; give a .jsonl of prompts, or a text a line")
    if path.suffix == ".jsonl":
        found = [row for _, row in jsonl.read(path, error=ItemError, what="texts file")]
    else:
        lines = jsonl.text_of(path, error=ItemError, what="texts file").splitlines()
        found = [line.strip() for line in lines if line.strip()]
    if len(found) < FEWEST:
        raise ItemError(
            f"{path}: {len(found)} texts; give at least {FEWEST}, since their halves are the null of "
            f"differences"
        )
    return found


@cache
def _english() -> tuple[str, ...]:
    path = Path(__file__).with_suffix(".yaml")
    return tuple(parse_yaml(path.read_text(encoding="utf-8"))["english"])
