"""Names as people read them, where a name is a place: a behavior of one's own is `FOLDER/FILE.py:NAME`."""

from __future__ import annotations

import re

_OWN = re.compile(r"[^\s,:]+\.py:(\w+)")


def short(text: object) -> str:
    """The text with every behavior of a file by its name alone: its place is in the config and the tables."""
    return _OWN.sub(r"\1", str(text))
