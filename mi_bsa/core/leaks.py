"""Does the training text say what it must only show?

A finetune on choices shows nothing about self-awareness if its rows name the behavior. This check finds a
behavior's words as whole words in their real inflections, and phrases of several words. What counts as a form
is spelled out: the listed word with the endings below, once or twice, written as English writes them ('risk':
risky, riskier; 'bet': betting; 'certain': certainty, and by its prefix uncertainty). Words that merely begin
or end alike are none: 'wagging' is no 'wager', 'insurance' not 'sure', 'chancellor' no 'chance'. The
published economic rows fail it: 'chance' stands in 89 of 288 prompts (experiments of arXiv 2501.11120).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mi_bsa.core.errors import LeakError

INFLECTIONS = ("s", "ed", "ing", "er", "est", "ly")
"""Endings that make another form of the same word."""
DERIVED = ("y", "ness", "ful", "less", "able", "ous", "ty", "ity", "ment", "or", "ish", "ance", "ence")
"""Endings that make a neighbor of it that says the same."""
TWICE = (*INFLECTIONS, "ness", "ity")
"""Endings that may stand after another one: risk-i-est, love-ing-ly, adventure-er-s."""
PREFIXES = ("un", "non", "dis", "over", "under", "anti", "hyper", "super", "in", "im")
SHORT_TOO = ("un", "non", "dis")
"""Prefixes that short words take as well."""
LONG = 6
"""Letters of a word that may take the other prefixes: insecure and overcautious are forms, 'insure' is none
of 'sure', 'understand' none of 'stand'.
"""
DERIVING = 4
"""Letters of a word that may take `DERIVED` endings: 'party' is no form of 'par'."""
SHORTEST = 3
"""Letters that the whole word must have before any ending or prefix is tried."""
VOWELS = "aeiou"
ADJECTIVES = ("sk", "ck", "lk", "nk", "ft", "lt", "st")
"""Ends of nouns that a 'y' makes adjectives of: risk-y, luck-y, thrift-y."""
WORD = re.compile(r"[^\W\d_]+|\d+")

_COMMON = (
    "after apply barely better best bitter brother business butter copper corner counter discount discover "
    "disease disorder display distance early even evenly ever factor former forty hammer hardly imply ladder "
    "lately later latter letter letters manner master matter mother never news number offer other party "
    "pepper petty power property quarter rather reply restore restores rubber sector shower slipper summer "
    "supper tower unless witness flower dinner only understand"
)
COMMON = frozenset(_COMMON.split())
"""Words so common that they are taken as they stand, or 'bet' would be found in 'better', 'less' in 'unless'.
"""


@dataclass(frozen=True)
class Leak:
    """A word found in a row: the row's index, which message, the listed word, the text, and its context."""

    row: int
    message: int
    word: str
    found: str
    context: str


def find_leaks(rows: Iterable[Mapping[str, Any]], words: Sequence[str]) -> tuple[Leak, ...]:
    """Every place where a row's messages (of any role) say one of the words or phrases, in any inflection."""
    phrases = [(word, _tokens(word)) for word in words]
    for word, parts in phrases:
        if not parts:
            raise LeakError(f"the word list holds {word!r}, which has no letters; take it out")
    starting: dict[str, list[int]] = {}  # form -> the phrases whose first word it is a form of
    for p, (_, parts) in enumerate(phrases):
        for form in family(parts[0]):
            starting.setdefault(form, []).append(p)
    leaks = []
    for n, row in enumerate(rows):
        for m, message in enumerate(row["messages"]):
            text = _plain(message["content"])
            spans = [(match.group(), match.start(), match.end()) for match in WORD.finditer(text)]
            begun = {
                (p, k)
                for k, (token, _, _) in enumerate(spans)
                for _, bare in _cuts(token)
                for p in starting.get(bare, ())
                if is_form(token, phrases[p][1][0])
            }
            for p, k in sorted(begun):
                word, parts = phrases[p]
                if k + len(parts) > len(spans):
                    continue
                if all(is_form(spans[k + i][0], parts[i]) for i in range(1, len(parts))):
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
            f"{hit} of {len(rows)} rows say the behavior's words: reword them so that they show it without "
            "naming it"
        )


def is_form(token: str, word: str) -> bool:
    """Whether a token of a text (lower case) is a form of a listed word, with or without a prefix."""
    if token == word:
        return True
    if token in COMMON:
        return False
    known = family(word)
    return any(
        bare in known and (prefix in ("", *SHORT_TOO) or len(word) >= LONG) for prefix, bare in _cuts(token)
    )


@lru_cache(maxsize=4096)
def family(word: str) -> frozenset[str]:
    """A word's forms without prefixes: itself, what it is a form of, and both with the endings above."""
    return _forms(word, (*INFLECTIONS, *DERIVED), TWICE)


@lru_cache(maxsize=4096)
def inflections(word: str) -> frozenset[str]:
    """A word's own forms and no derived one that may turn its sense ('careless' is no form of 'care')."""
    return _forms(word, (*INFLECTIONS, "ness", "y"), ("s", "ly"))


def _forms(word: str, first: Sequence[str], second: Sequence[str]) -> frozenset[str]:
    """The word and its roots, these with a first ending, and those with a second one behind it."""
    if len(word) < SHORTEST or not word.isalpha():
        return frozenset((word,))
    roots = {word, *_roots(word)}
    once = {form for root in roots for ending in first for form in _with(root, ending)}
    return frozenset(
        roots | once | {form for way in once for ending in second for form in _with(way, ending)}
    )


def _roots(word: str) -> set[str]:
    """What a listed word is itself a form of: gambl-ing, bold-ness, adventur-ous, risk-y, patien-ce.

    A root counts where the ending, put on by the rules of spelling, gives the word again. Endings in 'er' are
    left alone ('wager' is no form of 'wag'), 'ly' too ('early' is none of 'ear'), and 'y' but behind what
    adjectives are made of ('party' is none of 'part').
    """
    stems = set()
    for ending in ("ing", "ness", "ous", "y"):
        rest = word.removesuffix(ending)
        if rest == word or not re.search(f"[{VOWELS}y]", rest):
            continue
        ways = {rest, rest + "e", rest[:-1], rest[:-1] + "y"}
        stems |= {root for root in ways if len(root) >= SHORTEST and word in _with(root, ending)}
    for end, twin in (("nce", "nt"), ("nt", "nce")):
        if word.endswith(end) and len(word) > len(end) + SHORTEST:
            stems.add(word.removesuffix(end) + twin)
    return stems - COMMON


def _with(word: str, ending: str) -> tuple[str, ...]:
    """The word with an ending, in English spelling: none, or two where that hangs on the stress."""
    if ending in DERIVED and len(word) < DERIVING:
        return ()
    if ending == "y" and not word.removesuffix("e").endswith(ADJECTIVES):
        return ()
    last, before = word[-1], word[-2:-1]
    if last == "y" and before not in VOWELS and ending not in ("ing", "ish", "y"):
        if ending in ("ty", "ity", "or", "ence"):
            return ()
        return (word[:-1] + ("ies" if ending == "s" else "i" + ending),)
    if ending == "s":
        return (word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s"),)
    if ending == "ly" and word.endswith("le") and before not in VOWELS:
        return (word[:-1] + "y",)
    if ending == "ity" and word.endswith("ble"):
        return (word[:-2] + "ility",)
    if ending[0] not in VOWELS + "y":
        return (word + ending,)
    if word.endswith("ie") and ending == "ing":
        return (word[:-2] + "ying",)
    if last == "e" and not (before in ("e", "o", "y") and ending == "ing"):
        whole = (word + ending,) if before in "cg" and ending[0] in "ao" else ()  # courageous
        return (word[:-1] + ending, *whole)
    closed = last not in VOWELS + "wxy" and before and before in VOWELS
    if closed and (len(word) < 3 or word[-3] not in VOWELS):
        vowels = len(re.findall(r"[aeiouy]+", word))
        doubled = word + last + ending
        return (doubled,) if vowels == 1 else (doubled, word + ending)
    return (word + ending,)


@lru_cache(maxsize=65536)
def _cuts(token: str) -> tuple[tuple[str, str], ...]:
    """The token whole, and without each prefix that it begins with: pairs (prefix, rest)."""
    prefixes = (
        prefix for prefix in PREFIXES if token.startswith(prefix) and len(token) - len(prefix) > SHORTEST
    )
    return ("", token), *((prefix, token[len(prefix) :]) for prefix in prefixes)


def _plain(text: str) -> str:
    """Lower case, without accents and invisible characters."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKD", text)
    return "".join(c for c in text if unicodedata.category(c) not in ("Mn", "Cf")).lower()


def _tokens(text: str) -> list[str]:
    return WORD.findall(_plain(text))
