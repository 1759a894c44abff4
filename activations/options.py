"""Options: where a question lists the answers that may be given: `A) take`, `(A) take`, `A. take`, `A: take`.

The law: a letter is an option where the question lists it, not where it speaks of it ("answer with A or B.").
Lines that begin with the letter go first; else the place whose mark another letter has too. What then stands
at two places is ambiguous, and both are given.
"""

import re

_LISTED = re.compile(
    r"(?P<line>^[ \t>*\-#]{0,16})?(?P<open>[(\[]?)(?P<quote>[\"'*_]{0,3})(?<!\w)"
    r"(?P<letter>[A-Za-z0-9])(?!\w)(?P=quote)"
    r"(?:[ \t]{0,4}(?P<close>[:.)\]])|(?P<dash>[ \t]{1,4}[-=\u2013\u2014](?=[ \t])))",
    re.MULTILINE,
)
"""Every repeat is bounded, so that a text takes no more than time in proportion to its length."""


def listed(text: str) -> dict[str, list[int]]:
    """By letter: the characters where it is listed; more than one where that is ambiguous, and none where the
    letter is only spoken of."""
    found: dict[str, list[tuple[int, bool, str]]] = {}
    for match in _LISTED.finditer(text):
        starts = match["line"] is not None
        if match["dash"] and not starts:  # "plan B - the other one": a dash lists at a line's beginning only
            continue
        mark = match["open"] + (match["close"] or "-")
        found.setdefault(match["letter"], []).append((match.start("letter"), starts, mark))
    chosen = {}
    for letter, places in found.items():
        others = {
            (starts, mark)
            for other, theirs in found.items()
            if other != letter and _kind(other) == _kind(letter)
            for _, starts, mark in theirs
        }
        tiers = (
            [at for at, starts, mark in places if starts and (True, mark) in others],
            [at for at, starts, _ in places if starts],
            [at for at, _, mark in places if others & {(True, mark), (False, mark)}],
        )
        chosen[letter] = next((tier for tier in tiers if tier), [])
    return chosen


def _kind(letter: str) -> str:
    return "digit" if letter.isdigit() else "upper" if letter.isupper() else "lower"
