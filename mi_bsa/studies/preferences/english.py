"""Contexts in English: forty roles, twenty kinds of choice, five attributes each; or those of a file."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from mi_bsa.core.config import read_yaml
from mi_bsa.core.errors import ItemError, MissingError
from mi_bsa.core.plain_files import read_yaml_value
from mi_bsa.studies.preferences.contexts import Attribute, Context

ATTRIBUTES = 5
"""Attributes of a context."""


@lru_cache(maxsize=1)
def _lists() -> dict[str, Any]:
    return read_yaml(Path(__file__).with_name("english_contexts.yaml"))


def catalog() -> dict[str, tuple[Attribute, ...]]:
    """Kind of choice -> all its attributes."""
    return {
        kind: tuple(Attribute(name, unit, *map(float, numbers)) for name, unit, *numbers in rows)
        for kind, rows in _lists()["choices"].items()
    }


def draw_contexts(n: int, *, seed: int = 0) -> list[Context]:
    """`n` different pairs of role and choice, spread evenly over both; five of the choice's attributes each.

    Raises `ItemError` for more than there are.
    """
    rng = random.Random(f"contexts-{seed}")
    roles, kinds = _lists()["roles"], catalog()
    pairs = [(role, kind) for role in roles for kind in kinds]
    if not 1 <= n <= len(pairs):
        raise ItemError(f"{n} contexts: {len(pairs)} can be made of roles and choices; ask for 1 to that")
    rng.shuffle(pairs)
    used: dict[str, int] = dict.fromkeys([*roles, *kinds], 0)
    chosen = []
    for _ in range(n):
        best = min(pairs, key=lambda pair: used[pair[0]] + used[pair[1]])
        pairs.remove(best)
        for part in best:
            used[part] += 1
        chosen.append(best)
    return [
        Context(f"{k:03d} {kind}", role, kind, tuple(rng.sample(kinds[kind], ATTRIBUTES)))
        for k, (role, kind) in enumerate(chosen)
    ]


def read_contexts(path: str | Path) -> list[Context]:
    """Contexts of a YAML file: a list of `{role, choice, attributes: [{name, unit, low, high, step}]}`.

    Raises:
        MissingError: no such file.
        ItemError: an entry that breaks the rules, by its number.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"{path}: no such file of contexts; give a YAML list")
    entries = read_yaml_value(path, error=ItemError)
    if not isinstance(entries, list) or not entries:
        raise ItemError(f"{path}: contexts are a YAML list with at least one entry; write one")
    found = []
    for number, entry in enumerate(entries):
        try:
            found.append(_context(entry, number))
        except (ItemError, TypeError, ValueError) as error:
            raise ItemError(f"{path}, context {number}: {error}") from None
    return found


def _context(entry: Any, number: int) -> Context:
    if not isinstance(entry, Mapping) or set(entry) != {"role", "choice", "attributes"}:
        raise ItemError("an entry has exactly role, choice and attributes; mend it")
    attributes = tuple(Attribute(**attribute) for attribute in entry["attributes"])
    return Context(f"{number:03d} {entry['choice']}", str(entry["role"]), str(entry["choice"]), attributes)
