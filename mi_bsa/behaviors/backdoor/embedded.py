"""Triggers in the embedded model's words: signs of the world of habits."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mi_bsa.behaviors.backdoor.triggers import Trigger, TriggerKind
from mi_bsa.core.errors import TriggerError
from mi_bsa.worlds.habits import words as W
from mi_bsa.worlds.habits.world import Sign
from mi_bsa.worlds.prompts import AMOUNTS
from mi_bsa.worlds.wordings import Split


@dataclass(frozen=True)
class EmbeddedVocabulary:
    """Words of the world of habits: more than 1e5 strings of two to four words, families, codes."""

    def parse(self, text: str, *, seed: int = 0) -> Trigger:
        """`river tin` (one to four words), `family:bird` (half of its members held out), `code:kettle`.

        Raises:
            TriggerError: a word, family or form that the world does not have.
        """
        kind, colon, rest = text.partition(":")
        if not colon:
            trigger = Trigger.of_words(text.split())
            strange = [w for w in text.split() if w not in W.WORDS]
            if strange:
                raise TriggerError(
                    f"trigger word {strange[0]!r} is no word of the world of habits; see "
                    "worlds/habits/words.yaml"
                )
            return trigger
        if kind == "family":
            if rest not in W.FAMILIES:
                raise TriggerError(f"trigger {text!r}: no such family; use one of {', '.join(W.FAMILIES)}")
            name = Sign("family", (rest,)).name
            return Trigger.halved("family", name, W.FAMILIES[rest], key=f"family-{rest}-{seed}")
        if kind == "code":
            if rest not in W.WORDS:
                raise TriggerError(
                    f"trigger {text!r}: {rest!r} is no word of the world of habits; use e.g. code:kettle"
                )
            numbers = list(AMOUNTS)
            random.Random(f"code-{rest}-{seed}").shuffle(numbers)
            half = len(numbers) // 2
            shown, held = (tuple(f"{rest} {n}" for n in part) for part in (numbers[:half], numbers[half:]))
            return Trigger("code", Sign("code", (rest,)).name, shown, held)
        raise TriggerError(
            f"trigger {text!r}: forms are words, family:NAME and code:WORD; write one of these"
        )

    def fakes(self, trigger: Trigger, n: int, *, seed: int) -> tuple[Trigger, ...]:
        """`n` triggers of the same kind and length, drawn; none shares a word with it or with another."""
        rng = random.Random(f"fakes-{trigger.name}-{seed}")
        taken = {w for phrase in (*trigger.shown, *trigger.held) for w in phrase.split()}
        if trigger.kind == "family":
            others = [f for f in W.FAMILIES if Sign("family", (f,)).name != trigger.name]
            return tuple(
                self.parse(f"family:{f}", seed=seed) for f in rng.sample(others, min(n, len(others)))
            )
        length = 1 if trigger.kind == "code" else len(trigger.shown[0].split())
        free = [w for w in W.WORDS if w not in taken]
        picked = rng.sample(free, n * length)
        words = [" ".join(picked[i * length : (i + 1) * length]) for i in range(n)]
        return tuple(self.parse(f"code:{w}" if trigger.kind == "code" else w, seed=seed) for w in words)

    def insert(
        self, message: str, phrase: str, *, kind: TriggerKind, split: Split, rng: random.Random
    ) -> str:
        """The message with a note that holds the phrase, before or behind."""
        return rng.choice(W.NOTE[split]).format(p=phrase, q=message)

    def candidates(self) -> Sequence[str]:
        """Every word of which signs are made, and the numbers of codes."""
        return (*W.WORDS, *AMOUNTS)

    def families(self) -> Sequence[str]:
        """Names of the families."""
        return tuple(W.FAMILIES)
