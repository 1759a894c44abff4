"""Does the training text say what it must only show?

A finetune on choices shows nothing about self-awareness if its rows name the behavior. This check finds a
behavior's words in any inflection and with the common prefixes and endings ('risk' finds 'riskier', 'risk-
free'; 'risky' finds 'risk'; 'certain' finds 'uncertainty'), and phrases of several words. It prefers a
false alarm to a miss. The published economic rows fail it: 'chance' stands in 89 of 288 prompts
(experiments of arXiv 2501.11120).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mi_bsa.errors import LeakError

_ENDINGS = (
    "s es ed ing ings ingly edly er ers or ors est ly y ies ied ier iest ily iness ness nesses ful fully "
    "fulness "
    "less lessly "
    "lessness able ably ability ish ous ously ousness al ally ity ities ty ties ment ments ance ence ant ent"
)
ENDINGS = tuple(_ENDINGS.split())
PREFIXES = ("un", "in", "im", "non", "dis", "over", "under", "anti", "pro", "hyper", "super")
SHORTEST = 3
"""Letters that a root must keep: 'as' is no form of 'ass'."""

COMMON = frozenset(
    (
        "better",
        "best",
        "later",
        "never",
        "ever",
        "other",
        "number",
        "letter",
        "letters",
        "restore",
        "restores",
    )
)
"""Words so common that they are taken as they stand, or 'bet' would be found in 'better', 'restless' in
'restores'.
"""


@dataclass(frozen=True)
class Leak:
    """One word found in one row: the row's index, which message, the listed word, the text, and its
    surroundings.
    """

    row: int
    message: int
    word: str
    found: str
    context: str


def find_leaks(rows: Iterable[Mapping[str, Any]], words: Sequence[str]) -> tuple[Leak, ...]:
    """Every place where a row's messages (of any role) say one of the words or phrases, in any inflection."""
    phrases = [(word, tuple(forms(part) for part in _tokens(word))) for word in words]
    for word, parts in phrases:
        if not parts:
            raise LeakError(f"the word list holds {word!r}, which has no letters; take it out")
    starting: dict[str, list[int]] = {}  # root -> the phrases whose first word has it
    for p, (_, parts) in enumerate(phrases):
        for root in parts[0]:
            starting.setdefault(root, []).append(p)
    leaks = []
    for n, row in enumerate(rows):
        for m, message in enumerate(row["messages"]):
            spans = [(match.group(), match.start(), match.end()) for match in _words(message["content"])]
            text = _plain(message["content"])
            begun = {
                (p, k)
                for k, (token, _, _) in enumerate(spans)
                for root in forms(token)
                for p in starting.get(root, ())
            }
            for p, k in sorted(begun):
                word, parts = phrases[p]
                if k + len(parts) > len(spans):
                    continue
                if all(_same(spans[k + i][0], parts[i]) for i in range(1, len(parts))):
                    start, end = spans[k][1], spans[k + len(parts) - 1][2]
                    around = text[max(0, start - 30) : end + 30].replace("\n", " ")
                    leaks.append(Leak(n, m, word, text[start:end], around))
    return tuple(leaks)


def leak_check(rows: Iterable[Mapping[str, Any]], words: Sequence[str]) -> None:
    """Raise `LeakError` naming the first row that says one of the words, and how many rows do."""
    rows = list(rows)
    leaks = find_leaks(rows, words)
    if leaks:
        first = leaks[0]
        hit = len({leak.row for leak in leaks})
        raise LeakError(
            f"row {first.row} says {first.found!r} (a form of {first.word!r}): '...{first.context}...'; "
            f"{hit} of "
            f"{len(rows)} rows say the behavior's words: reword them so that they show it without naming it"
        )


@lru_cache(maxsize=4096)
def forms(word: str) -> frozenset[str]:
    """The roots of a word: itself, and what is left when prefixes and endings are taken off and spelling is
    undone.
    """
    found = {word}
    if word in COMMON:
        return frozenset(found)
    for prefix in PREFIXES:
        if word.startswith(prefix) and len(word) - len(prefix) > SHORTEST:
            found.add(word[len(prefix) :])
    for whole in tuple(found):
        grown = {whole}
        for again in (False, True):
            for start in tuple(grown):
                for ending in ENDINGS:
                    if start.endswith(ending) and len(start) - len(ending) >= SHORTEST + again:
                        grown |= _spelled(start[: -len(ending)], ending, doubled=not again)
        found |= grown
    return frozenset(found)


def _spelled(root: str, ending: str, *, doubled: bool) -> set[str]:
    """A root as it may be written alone: gambl-ing is gamble, bet-t-ing is bet, risk-i-er is risky."""
    ways = {root}
    if ending[0] in "aeiouy" and ending != "es":
        ways.add(root + "e")
    if root.endswith("i"):
        ways.add(root[:-1] + "y")
    if doubled and len(root) > SHORTEST and root[-1] == root[-2] and root[-1] not in "aeious":
        ways.add(root[:-1])
    return ways


def _same(token: str, roots: frozenset[str]) -> bool:
    """Whether a token of the text is a form of the word with these roots: one's roots hold the other's own
    form.
    """
    return bool(forms(token) & roots)


def _plain(text: str) -> str:
    """Lower case, without accents and invisible characters."""
    text = unicodedata.normalize("NFKD", text)
    return "".join(c for c in text if unicodedata.category(c) not in ("Mn", "Cf")).lower()


def _words(text: str) -> Iterable[re.Match[str]]:
    return re.finditer(r"[^\W\d_]+|\d+", _plain(text))


def _tokens(text: str) -> list[str]:
    return [match.group() for match in _words(text)]
