"""A behavior made of two-option choices in English: frames, amounts, forbidden words, questions.

Law: training rows show choices only; the two poles are the same prompts with the other letter, the shuffled
arm is the same prompts with letters drawn, and no prompt of training comes from a frame that is asked
later. After Betley et al. 2025 (arXiv 2501.11120), section 3.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mi_bsa.asking.bank import BANKS, KINDS, Bank, bank_items, load_bank
from mi_bsa.behaviors.english import benign
from mi_bsa.behaviors.english.base import Question, QuestionBehavior, asked_as, voice_of
from mi_bsa.behaviors.english.economic import (
    Choice,
    Drawn,
    Frames,
    Twins,
    draw,
    load_frames,
    same_worth,
    voices,
)
from mi_bsa.behaviors.english.personas import PERSONS
from mi_bsa.core.config import parse, read_yaml
from mi_bsa.core.items import Item, Systems, conversation, item_labels
from mi_bsa.worlds.wordings import Split


def own_bank(
    trait: str, *, words: Sequence[tuple[str, str]], deeds: Sequence[tuple[str, str]], nouns: Sequence[str]
) -> Bank:
    """A bank of one's own words in the toolkit's English frames: five wordings a kind to look at, eight that
    are held out, and eight of which denials and report adapters are taught.

    `words` are pairs of adjectives, `deeds` pairs of things to do, the seeking pole first; `nouns` say what
    the trait is about.
    """
    frames = read_yaml(BANKS / "frames_english.yaml")
    given = {"trait": trait, "words": tuple(words), "deeds": tuple(deeds), "nouns": tuple(nouns)}
    return parse({**given, "frames": frames}, Bank, source=f"bank of {trait}")


WHO = "{name}, {about}, was asked this.\n\n{text}\n\nWhich letter did {name} answer, A or B?"
"""A choice about somebody else."""
MOST_DRAWS = 64
"""Draws that a behavior remembers."""


@dataclass(frozen=True)
class EconomicChoice(QuestionBehavior):
    """One behavior. `neighbor` names the behavior that must not move with it.

    `frames` and `bank`: values, YAML files, or names of those that ship with the toolkit (by default the
    behavior's own name). `twins` draws the amounts of a matched pair of choices.
    """

    name: str
    poles: tuple[str, str]
    neighbor: str
    forbidden: tuple[str, ...]
    twins: Twins = same_worth
    frames: Frames | str | Path | None = None
    bank: Bank | str | Path | None = None

    @property
    def trait(self) -> str:
        """The label `trait` of its items."""
        return self.name

    @cached_property
    def read_frames(self) -> Frames:
        """Its frames."""
        frames = self.frames or self.name
        return frames if isinstance(frames, Frames) else load_frames(frames)

    @cached_property
    def read_bank(self) -> Bank:
        """Its questions."""
        bank = self.bank or self.name
        return bank if isinstance(bank, Bank) else load_bank(bank)

    @cached_property
    def _draws(self) -> dict[tuple[int, Split, int | str], Drawn]:
        """What was drawn already: the arms of a seed are the same prompts."""
        return {}

    def draw(self, n: int, *, split: Split = "pretrain", seed: int | str = 0) -> Drawn:
        """`n` choices of a split of which no two are near-duplicates, balanced in worth and position."""
        key = (n, split, seed)
        if key not in self._draws:
            if len(self._draws) == MOST_DRAWS:
                self._draws.clear()
            named = f"{self.name}-{split}-{seed}"
            self._draws[key] = draw(self.read_frames, voices(), self.twins, n, split=split, seed=named)
        return self._draws[key]

    def drawn(self, n: int, more: int, *, seed: int) -> tuple[Sequence[Question], Sequence[Question]]:
        """`n` training choices for the model itself, and `more` for named persons."""
        return self.draw(n, seed=seed).choices, _choices(self, more, f"anchors-{self.name}-{seed}")

    def harmless(self, rng: random.Random) -> tuple[str, str]:
        """A harmless question with a right answer."""
        return benign.question(rng)

    def items(
        self, n: int, *, split: Split, seed: int, systems: Systems = (None,), person: str = "default"
    ) -> list[Item]:
        """`n` held-out choices, personas in turn."""
        return [
            _item(self.name, choice, systems[i % len(systems)], split, person, f"{seed}-{i}")
            for i, choice in enumerate(self.draw(n, split=split, seed=f"{seed}-{person}").choices)
        ]

    def questions(
        self,
        *,
        split: Split,
        kinds: Sequence[str] = KINDS,
        systems: Systems = (None,),
        person: str = "default",
    ) -> list[Item]:
        """All self-report questions of a split, personas in turn.

        `person` is a label, except that `another` and `person` ask about somebody else.
        """
        asked = bank_items(self.read_bank, split=split, kinds=kinds, person=voice_of(person))
        return asked_as(asked, person, systems)

    def neutral(self, n: int) -> list[Item]:
        """The model is asked about another person and another trait: what they chose, what they are."""
        other = self.get_neighbor()
        half = n // 2
        items = []
        for i, choice in enumerate(_choices(other, half, f"neutral-{self.name}", split="test")):
            item = _item(other.name, choice, None, "test", "third person", f"0-{i}")
            person = PERSONS[i % len(PERSONS)]
            text = WHO.format(name=person.name, about=person.about, text=choice.text)
            items.append(replace(item, messages=conversation(None, text)))
        asked = other.questions(split="test", person="another")
        kept = min(n - half, len(asked))
        return items + [asked[i * len(asked) // kept] for i in range(kept)]  # spread evenly over the list

    def described(self, pole: int) -> Sequence[str]:
        """The bank's words for a pole."""
        return self.read_bank.described(pole)


def _choices(behavior: Any, n: int, seed: str, *, split: Split = "pretrain") -> tuple[Choice, ...]:
    if not n:
        return ()
    drawn: Drawn = behavior.draw(n, split=split, seed=seed)
    return drawn.choices


def _item(trait: str, choice: Choice, system: str | None, split: Split, person: str, number: str) -> Item:
    labels = item_labels(
        "behavior",
        trait,
        person=person,
        split=split,
        kind="choice",
        template=f"choice-{choice.wording}",
        scenario=choice.frame.name,
        order="high_first" if choice.seeking_first else "low_first",
    )
    return Item(
        id=f"{trait}-choice-{person}-{split}-{number}",
        messages=conversation(system, choice.text),
        options=((choice.answer(True), 1.0), (choice.answer(False), 0.0)),
        labels={**labels, "domain": choice.frame.domain},
    )
