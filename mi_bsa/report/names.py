"""Names as people read them: a behavior of one's own is `FOLDER/FILE.py:NAME`, a result a dotted path."""

from __future__ import annotations

import re
from functools import cache

from markupsafe import Markup

from mi_bsa.core.errors import ResultError
from mi_bsa.core.quantities import lookup

_DOTTED = re.compile(r"\b[a-z]\w*(?:\.[a-z]\w*)+\b")
_OWN = re.compile(r"[^\s,:]+\.py:(\w+)")


def short(text: object) -> str:
    """The text with every behavior of a file by its name alone: its place is in the config and the tables."""
    return _OWN.sub(r"\1", str(text))


def words(name: str) -> str:
    """A result's name in words: `bridge.recovery.self_report` is "recovery: self-report"."""
    parts = [part.replace("self_report", "self-report").replace("_", " ") for part in name.split(".")]
    return ": ".join(parts[1:] if parts[0] == "bridge" and len(parts) > 1 else parts)


@cache
def explained(name: str) -> Markup:
    """The name in words, with the internal one and what it means where a pointer rests on it."""
    try:
        meaning = f"{name}: {lookup(name).meaning}"
    except ResultError:  # of a run by another version
        meaning = name
    return Markup('<abbr title="{}">{}</abbr>').format(meaning, words(name))


def in_words(text: str) -> Markup:
    """A sentence in which every registered name is `explained`; other words, also dotted ones, stay."""
    shown, at = Markup(""), 0
    for found in _DOTTED.finditer(text):
        try:
            lookup(found[0])
        except ResultError:
            continue
        shown += Markup("{}{}").format(text[at : found.start()], explained(found[0]))
        at = found.end()
    return shown + text[at:]
