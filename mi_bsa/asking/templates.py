"""Slots of a question: `{name}` in its words, and what they are filled with.

Law: no slot that nothing fills ever reaches a model. Anything in braces that reads like a name counts as a
slot (`{options}`, `{ codeword }`, `{0}`, `{}`, `{x!r}`); braces around quoted text or several things, as in
JSON or code, do not. A value from the file may hold slots of its own and is filled too; a value given by hand
is taken as it stands. A slot has one value throughout a question.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

SLOT = re.compile(
    r"\{[^\S\n]{0,9}([^\W\d](?:[\w .\-\[\]]{0,79}[\w.\-\[\]])?|\d{0,9})"
    r"[^\S\n]{0,9}(![rsa])?(:[^{}\n]{0,80})?\}"
)
DEEPEST = 5
"""How often a filled-in value may itself hold a slot before it is taken for one that fills itself."""
_HELD = str.maketrans("{}", "\ue000\ue001")
_FREED = str.maketrans("\ue000\ue001", "{}")


def slots(*texts: str) -> list[str]:
    """The slots' names as they stand in braces, in the order in which they first stand there."""
    return list(dict.fromkeys(m.group(1) for text in texts for m in SLOT.finditer(text)))


def shown(text: str) -> str:
    """The first slot of a text as it is written, for a message."""
    match = SLOT.search(text)
    return "" if match is None else match.group()


def held(text: str) -> str:
    """A value as it stands: braces in it are no slots, until `freed`."""
    return text.translate(_HELD)


def freed(text: str) -> str:
    """The text with the braces of held values as they were."""
    return text.translate(_FREED)


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with every slot that has a value filled; others, and such with a format of their own, stay."""

    def one(match: re.Match[str]) -> str:
        plain = match.group(2) is None and match.group(3) is None
        return values[match.group(1)] if plain and match.group(1) in values else match.group()

    for _ in range(DEEPEST):
        done = SLOT.sub(one, text)
        if done == text:
            break
        text = done
    return text


def needed(texts: Sequence[str], known: Mapping[str, Sequence[str]]) -> list[str]:
    """Every slot of the texts and of the values that they will be filled with."""
    names = slots(*texts)
    for name in names:  # grows while it is walked
        for value in known.get(name, ()):
            names.extend(more for more in slots(value) if more not in names)
    return names


def ways(names: Sequence[str], known: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """Every combination of values of these slots; slots without values are left out."""
    there = [name for name in names if name in known]
    for values in product(*(known[name] for name in there)):
        yield dict(zip(there, values, strict=True))
