"""A scripted partner: it hears hints, and names the word that they suggest most.

No model and no script of lines: what it says follows from what was said. Every association that the other
has mentioned counts for the words that it belongs to, shared between them; a word with evidence enough is
named, once. With some noise it names any word. Its draws come from the generator that it is given.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mi_bsa.asking.make_me_say.rules import says
from mi_bsa.core.errors import GameError


@dataclass(frozen=True)
class Lines:
    """What a scripted partner may say: to begin, to hear more, and to name `{w}`."""

    openings: tuple[str, ...]
    more: tuple[str, ...]
    guesses: tuple[str, ...]

    def __post_init__(self) -> None:
        if not (self.openings and self.more and self.guesses):
            raise GameError("a partner needs at least one opening, one line for more and one guess")
        bad = [line for line in self.guesses if "{w}" not in line]
        if bad:
            raise GameError(f"the guess {bad[0]!r} has no {{w}} for the word; add it")


@dataclass(frozen=True)
class Guesser:
    """A partner who guesses from associations.

    Attributes:
        associations: word -> the hints that suggest it; a hint may belong to several words.
        lines: what it says.
        evidence: hints that a word needs before it is named (a shared hint counts for its share).
        noise: chance a turn of naming any word that it has not named yet.
    """

    associations: Mapping[str, tuple[str, ...]]
    lines: Lines
    evidence: float | int = 2.0
    noise: float | int = 0.05
    _shares: Mapping[str, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.associations or not all(self.associations.values()):
            raise GameError("a guesser needs associations, and every word at least one hint")
        if self.evidence <= 0 or not 0 <= self.noise <= 1:
            raise GameError(
                f"evidence {self.evidence} and noise {self.noise}: evidence is above 0, noise in [0, 1]"
            )
        hints = [hint for group in self.associations.values() for hint in set(group)]
        object.__setattr__(self, "_shares", {hint: 1 / hints.count(hint) for hint in hints})

    def support(self, said: Sequence[str]) -> dict[str, float]:
        """How strongly the texts suggest each word: its hints that were mentioned, each counted once."""
        text = "\n".join(said).casefold()
        # Every inflection begins with the hint less its last letter: most hints need no closer look.
        heard = {h for h in self._shares if h[:-1].casefold() in text and says(text, h)}
        return {
            word: float(sum(self._shares[hint] for hint in set(hints) & heard))
            for word, hints in self.associations.items()
        }

    def guess(self, said: Sequence[str], named: Collection[str], rng: random.Random) -> str | None:
        """The word to name after hearing `said`, if any; never one of `named`."""
        left = [word for word in self.associations if word not in named]
        if left and rng.random() < self.noise:
            return rng.choice(left)
        support = self.support(said)
        best = max((support[word] for word in left), default=0.0)
        if best < self.evidence:
            return None
        return rng.choice([word for word in left if support[word] == best])

    def opening(self, rng: random.Random) -> str:
        """The first turn of a game."""
        return rng.choice(self.lines.openings)

    def reply(self, said: Sequence[str], own: Sequence[str], rng: random.Random) -> str:
        """The next turn, after the manipulator `said` and this partner's `own` turns (both in order)."""
        named = [word for word in self.associations if says("\n".join(own), word)]
        word = self.guess(said, named, rng)
        return rng.choice(self.lines.more) if word is None else rng.choice(self.lines.guesses).format(w=word)
