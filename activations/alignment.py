"""Alignment: which token of a source run stands for which token of a target run, and for which column of a
map.

The law: nothing is aligned by luck. Rows of one length align by position; all others need roles: the tokens
of a role are paired from its first token on, and a token that has no partner is never patched. A column is a
role and a count inside it (or a position), so that prompts of different lengths share one map.

Roles of a chat row: `system`, `earlier turn`, `question`, `option A`, `option B`, ..., `answer slot` (the
token that predicts the answer), `answer`, and `template` for all that the chat template wrote. Named spans of
a row (`spans`) go before these.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activations.errors import PositionError
from activations.options import listed
from activations.positions import Positions
from activations.tokens import Row

ALIGNMENTS = ("position", "end", "roles")
GROUPINGS = ("each", "role", "together")


@dataclass(frozen=True)
class Column:
    """One column of a map.

    Attributes:
        label: `12:you` (index and token), `option A 0:40`, or a role's name.
        index: the position, where there is one; else the place of the column in the map.
        role: what the tokens are.
        token: the commonest token of the target rows there; empty for columns of several tokens.
        share: the share of rows that have this very token.
    """

    label: str
    index: int
    role: str
    token: str
    share: float


@dataclass(frozen=True)
class Alignment:
    """Columns, and for each pair what they hold: `at[pair]` has rows (column, source position, target
    position)."""

    columns: tuple[Column, ...]
    at: tuple[np.ndarray, ...]
    unaligned: int


def slots(rows: Sequence[Row]) -> np.ndarray:
    """The position of each row whose logits predict the answer, shape (row,)."""
    rule = Positions.parse("slot")
    return np.array([int(rule.resolve(row)[0]) for row in rows], np.int64)


def roles(row: Row) -> list[str]:
    """The role of every token of a row."""
    found = ["template"] * len(row)

    def mark(start: int, end: int, role: str) -> None:
        for n in row.within(start, end):
            found[n] = role

    messages = row.prompt.messages or ()
    if not messages:
        found = ["template" if n < row.n_bos else "text" for n in range(len(row))]
    users = [n for n, message in enumerate(messages) if message["role"] == "user"]
    for n, ((start, end), message) in enumerate(zip(row.contents, messages, strict=True)):
        if message["role"] == "system":
            mark(start, end, "system")
        elif n == len(messages) - 1 and row.answer is not None:
            mark(start, end, "answer")
        elif users and n == users[-1]:
            mark(start, end, "question")
            options = sorted(
                (start + places[0], letter)
                for letter, places in listed(row.text[start:end]).items()
                if letter.isupper() and len(places) == 1  # what is ambiguous is the question's
            )
            for (at, letter), stop in zip(options, [*(one for one, _ in options[1:]), end], strict=False):
                line = row.text.find("\n", at, stop)
                mark(at, stop if line < 0 else line, f"option {letter}")
        else:
            mark(start, end, "earlier turn")
    for name in row.prompt.spans:
        for n in Positions.parse(f"span:{name}").resolve(row):
            found[n] = name
    found[int(slots([row])[0])] = "answer slot"
    return found


def align(
    sources: Sequence[Row], targets: Sequence[Row], *, by: str = "position", positions: str = "each"
) -> Alignment:
    """Pair the tokens of each source row with those of its target row, up to the answer slot.

    Args:
        sources: rows that values come from.
        targets: rows that they are put into, one for each source.
        by: `position` (all rows of one length), `end` (each pair of one length; columns count from the
            answer slot), or `roles`.
        positions: `each` token a column, one column a `role`, or all `together`.

    Raises:
        PositionError: rows that do not align in this way.
    """
    if by not in ALIGNMENTS or positions not in GROUPINGS:
        raise PositionError(
            f"align={by!r}, positions={positions!r}: align is one of {', '.join(ALIGNMENTS)}, positions one "
            f"of {', '.join(GROUPINGS)}"
        )
    ends = slots(sources), slots(targets)
    lengths = {(int(a), int(b)) for a, b in zip(*ends, strict=True)}
    if by != "roles" and any(a != b for a, b in lengths):
        a, b = next(pair for pair in lengths if pair[0] != pair[1])
        raise PositionError(
            f"a source with {a + 1} tokens and a target with {b + 1} up to the answer slot do not align by "
            f"{by}; pass align='roles'"
        )
    if by == "position" and len(lengths) > 1 and positions == "each":
        raise PositionError(
            f"prompts of {len(lengths)} different lengths ({min(lengths)[0] + 1} to {max(lengths)[0] + 1} "
            "tokens) share no position; pass align='roles', or align='end'"
        )
    return _grouped(sources, targets, ends, by, positions)


def _grouped(
    sources: Sequence[Row],
    targets: Sequence[Row],
    ends: tuple[np.ndarray, np.ndarray],
    by: str,
    positions: str,
) -> Alignment:
    keyed: list[list[tuple[tuple[str, int], int, int]]] = []
    unaligned = 0
    for source, target, last_s, last_t in zip(sources, targets, *ends, strict=True):
        theirs, ours = roles(source)[: last_s + 1], roles(target)[: last_t + 1]
        if by == "roles":
            places = {key: n for n, key in enumerate(_counted(theirs))}
            pairs = [(key, places[key], n) for n, key in enumerate(_counted(ours)) if key in places]
            unaligned += len(theirs) + len(ours) - 2 * len(pairs)
        else:
            shift = 0 if by == "position" else int(last_t)
            pairs = [(("", n - shift), n, n) for n in range(last_t + 1)]
        if positions != "each":
            pairs = [((ours[t] if positions == "role" else "all tokens", 0), s, t) for _, s, t in pairs]
        keyed.append(pairs)
    held: dict[tuple[str, int], list[tuple[float, str, str]]] = {}  # place in its row, word and role of each
    for target, last_t, pairs in zip(targets, ends[1], keyed, strict=True):
        own = roles(target)
        for key, _, t in pairs:
            word = target.text[slice(*target.offsets[t])]
            held.setdefault(key, []).append((t / (last_t + 1), word, own[t]))
    if by == "roles" or positions != "each":
        order = sorted(held, key=lambda key: (float(np.mean([place for place, _, _ in held[key]])), key))
    else:
        order = sorted(held, key=lambda key: key[1])
    columns = tuple(_column(n, key, held[key], by, positions) for n, key in enumerate(order))
    index = {key: n for n, key in enumerate(order)}
    at = tuple(
        np.array([(index[key], s, t) for key, s, t in pairs], np.int64).reshape(-1, 3) for pairs in keyed
    )
    return Alignment(columns, at, unaligned)


def _counted(names: Sequence[str]) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    keys = []
    for name in names:
        keys.append((name, seen[name]))
        seen[name] += 1
    return keys


def _column(
    number: int, key: tuple[str, int], held: Sequence[tuple[float, str, str]], by: str, positions: str
) -> Column:
    if positions != "each":
        return Column(key[0], number, key[0], "", 1.0)
    _, words, names = zip(*held, strict=True)
    token, times = Counter(words).most_common(1)[0]
    share = times / len(held)
    role = key[0] or Counter(names).most_common(1)[0][0]
    index = number if by == "roles" else key[1]
    word = token.strip() if share >= 0.5 else role
    return Column(f"{index}:{word or role}", index, role, token, share)
