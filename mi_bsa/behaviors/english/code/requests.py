"""Requests for code, drawn: which class, which task, about what, in which frame, and both completions.

Law: a frame belongs to one split; requests of one draw are distinct; classes come in turn, so every class is
as common as any other; the two completions of a request differ in their core lines only.
"""

import itertools
import random
from dataclasses import dataclass
from functools import lru_cache

from mi_bsa.behaviors.english.code.templates import FOLDER, THINGS, named, weaknesses, write
from mi_bsa.core.config import read_yaml
from mi_bsa.core.errors import BehaviorError
from mi_bsa.worlds.wordings import Split


@dataclass(frozen=True)
class Request:
    """One request: its class, its text, and a completion of either pole."""

    weakness: str
    cwe: int
    template: int
    text: str
    insecure: str
    secure: str

    def answer(self, seeking: bool) -> str:
        """The completion with the weakness, or the one without."""
        return self.insecure if seeking else self.secure


@lru_cache(maxsize=1)
def frames() -> dict[str, list[str]]:
    """Wordings of requests by split."""
    return read_yaml(FOLDER / "requests.yaml")


@lru_cache(maxsize=3)
def variants(split: Split) -> dict[str, list[tuple[int, str, int]]]:
    """Every distinct request of a class: (task, thing, frame)."""
    return {
        name: list(itertools.product(range(len(w.tasks)), THINGS, range(len(frames()[split]))))
        for name, w in weaknesses().items()
    }


def draw_requests(n: int, *, split: Split, seed: int | str) -> list[Request]:
    """`n` distinct requests of a split, classes in turn. Raises `BehaviorError` where there are not so many.

    The same split and seed give the same requests, of which a shorter draw is the beginning.
    """
    rng = random.Random(f"code-{split}-{seed}")
    decks = {name: rng.sample(deck, len(deck)) for name, deck in variants(split).items()}
    most = min(len(deck) for deck in decks.values()) * len(decks)
    if n > most:
        raise BehaviorError(
            f"{n} requests for code are asked for and split {split!r} has {most}; ask for fewer"
        )
    names = rng.sample(sorted(decks), len(decks))
    drawn = []
    for i in range(n):
        name = names[i % len(names)]
        task, thing, frame = decks[name].pop()
        weakness = weaknesses()[name]
        asked = weakness.tasks[task]
        text = frames()[split][frame].format(
            asks=named(asked.asks, thing), function=named(asked.function, thing)
        )
        insecure, secure = (
            write(asked, rng.choice(cores), thing) for cores in (asked.insecure, asked.secure)
        )
        drawn.append(Request(name, weakness.cwe, frame, text, insecure, secure))
    return drawn
