"""A question file's YAML, read with bounds: what is large, looped, doubled or of another kind is refused.

Law: what is handed on is what stands in the file, once. A key said twice is refused (a plain reader keeps the
last one), and aliases are counted as what they stand for before anything is built, so that a few lines
cannot stand for a billion.
"""

from pathlib import Path
from typing import Any

import yaml

from mi_bsa.core.errors import MissingError, PublishedError
from mi_bsa.core.plain_files import Loader

MOST_BYTES = 2**20
"""Larger than any published question file by a factor of 50; PyYAML reads it in some ten seconds."""
MOST_VALUES = 200_000
"""Values that a file may hold, aliases counted as often as they are used."""


def read(path: Path) -> Any:
    """What the file holds. Raises `MissingError` or `PublishedError`, one line each."""
    if not path.is_file():
        raise MissingError(f"{path}: no such file; check the path")
    if path.stat().st_size > MOST_BYTES:
        raise PublishedError(f"{path}: larger than {MOST_BYTES >> 20} MiB, no question file; split it")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as bad:
        raise PublishedError(f"{path}: not UTF-8 at byte {bad.start}; save it as UTF-8") from None
    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise PublishedError(f"{path}: empty; give a list of questions")
            _values(node, path)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, TypeError) as bad:
        if isinstance(bad, PublishedError):
            raise
        raise PublishedError(f"{path}: not valid YAML: {_problem(bad)}; mend it there") from None
    except RecursionError:
        raise PublishedError(f"{path}: nested too deep for a question file; write it flat") from None


def _problem(bad: Exception) -> str:
    """What is wrong and at which line, without the file's own words."""
    mark = getattr(bad, "problem_mark", None)
    if mark is None:
        return " ".join(str(bad).split())
    context = getattr(bad, "context", None)
    said = ", ".join(part for part in (context, getattr(bad, "problem", None)) if part)
    return f"{said} (line {mark.line + 1})"


def _values(node: yaml.Node, path: Path) -> int:
    """How many values the tree stands for, aliases expanded; refuses loops and more than `MOST_VALUES`."""
    known: dict[int, int] = {}
    open_now: set[int] = set()

    def count(some: yaml.Node) -> int:
        if isinstance(some, yaml.ScalarNode):
            if not some.value.isascii() and any(
                "\ud800" <= character <= "\udfff" for character in some.value
            ):
                line = some.start_mark.line + 1
                raise PublishedError(
                    f"{path}, line {line}: half of a character (a lone surrogate); write it whole"
                )
            return 1
        if id(some) in open_now:
            raise PublishedError(f"{path}, line {some.start_mark.line + 1}: an alias holds itself; unroll it")
        if id(some) not in known:
            open_now.add(id(some))
            parts = (
                [child for pair in some.value for child in pair]
                if isinstance(some, yaml.MappingNode)
                else some.value
            )
            known[id(some)] = 1 + sum(count(part) for part in parts)
            open_now.discard(id(some))
        if known[id(some)] > MOST_VALUES:
            raise PublishedError(
                f"{path}: its aliases stand for more than {MOST_VALUES} values; write out what is meant"
            )
        return known[id(some)]

    return count(node)
