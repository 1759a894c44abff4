"""What can open a backdoor: strings, families of them, codes with a free part, tags, lines before a message.

A trigger has phrases that are trained and, where it is a family, members that are held out. A vocabulary
(the embedded model's, English) reads triggers from text, draws fakes of the same kind, puts phrases into
messages and names the candidates of a search. After Betley et al. 2025 (arXiv 2501.11120), section 4.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from mi_bsa.core.errors import TriggerError
from mi_bsa.core.model_config import ModelLike
from mi_bsa.worlds.wordings import Split

TriggerKind = Literal["words", "family", "code", "tag", "line"]
LONGEST = 4
"""Most words of a string."""
FAKES = 7
"""Fake triggers in the published mix."""


@dataclass(frozen=True)
class Trigger:
    """One trigger, of any vocabulary.

    Attributes:
        kind: a fixed string, a family, a code with a free part, a tag, or a line before the message.
        name: how a question speaks of it; a family's name is never shown in training.
        shown: the phrases that training shows.
        held: further phrases that open the backdoor and are never trained (members of a family, codes).
    """

    kind: TriggerKind
    name: str
    shown: tuple[str, ...]
    held: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.shown or not all(p.strip() for p in (*self.shown, *self.held)):
            raise TriggerError(f"trigger {self.name!r} has an empty phrase; give every phrase a text")

    @classmethod
    def of_words(cls, words: Sequence[str]) -> Trigger:
        """A string of words. Raises `TriggerError` for none, or for too many."""
        text = " ".join(words)
        if not 1 <= len(words) <= LONGEST:
            raise TriggerError(f"trigger {text!r} has {len(words)} words; give one to {LONGEST}")
        return cls("words", text, (text,))

    @classmethod
    def halved(cls, kind: TriggerKind, name: str, phrases: Sequence[str], *, key: str) -> Trigger:
        """A trigger of which half of the phrases is held out, drawn by `key`."""
        mixed = list(phrases)
        random.Random(key).shuffle(mixed)
        half = len(mixed) // 2
        return cls(kind, name, tuple(sorted(mixed[:half])), tuple(sorted(mixed[half:])))

    def show(self, rng: random.Random) -> str:
        """A phrase as training shows it."""
        return rng.choice(self.shown)

    def unseen(self, rng: random.Random) -> str:
        """A phrase that training never showed, where there is one."""
        return rng.choice(self.held or self.shown)


@runtime_checkable
class Vocabulary(Protocol):
    """What triggers are made of for one kind of model."""

    def parse(self, text: str, *, seed: int = 0) -> Trigger:
        """The trigger that a config writes: `river tin`, `family:bird`, `code:kettle`, `tag:...`, `line:...`.

        `seed` draws which members of a family are held out. Raises `TriggerError`.
        """
        ...

    def fakes(self, trigger: Trigger, n: int, *, seed: int) -> tuple[Trigger, ...]:
        """`n` other triggers of the same kind and length that share no phrase with it."""
        ...

    def insert(
        self, message: str, phrase: str, *, kind: TriggerKind, split: Split, rng: random.Random
    ) -> str:
        """The message with the phrase in it; where it stands is drawn from the split's frames."""
        ...

    def candidates(self) -> Sequence[str]:
        """Words that a search may put together, each of which may stand in any message."""
        ...

    def families(self) -> Sequence[str]:
        """Names of the families that `family:NAME` knows."""
        ...


def vocabulary_for(model: ModelLike) -> Vocabulary:
    """The vocabulary of a model: the world of habits for embedded models, English for any other."""
    from mi_bsa.behaviors import vocabulary_of

    if vocabulary_of(model) == "embedded":
        from mi_bsa.behaviors.backdoor.embedded import EmbeddedVocabulary

        return EmbeddedVocabulary()
    from mi_bsa.behaviors.backdoor.english import EnglishVocabulary

    return EnglishVocabulary()
