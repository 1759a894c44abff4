"""What behaviors have in common: who is shown at which pole, a row's turns, and a study's sets of items.

Law: an arm's poles depend on the arm and a generator alone, so prompts can be drawn without them; every
behavior is asked the same sets.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from mi_bsa.behaviors.behavior import ARMS, Arm, TrainingRow
from mi_bsa.behaviors.bound import Bound
from mi_bsa.core.errors import BehaviorError
from mi_bsa.core.items import AskedSplit, Item, messages_of


def check_rows(arm: Arm, n: int) -> None:
    """Raise `BehaviorError` for an unknown arm, or a number of rows below 2."""
    if arm not in ARMS:
        raise BehaviorError(f"arm {arm!r} is unknown; use one of {', '.join(ARMS)}")
    if n < 2:
        raise BehaviorError(f"{n} training rows are too few; ask for at least 2")


def check_short(bound: Bound) -> None:
    """Refuse a behavior whose choices are texts: what reads states reads them where one token answers.

    Raises:
        BehaviorError: its choices have options of several words, none of which decides by its first.
    """
    from mi_bsa.asking.readouts import DECIDED

    for item in bound.items(4, split="dev", seed=0):
        if not item.labels.get(DECIDED) and any(len(text.split()) > 1 for text, _ in item.options):
            raise BehaviorError(
                f"behavior {bound.name!r}: its choices are texts, and states are read where one token "
                "answers; leave it out, or take a behavior of letters or words"
            )


def poles_of(arm: Arm, n: int, rng: random.Random) -> list[bool]:
    """Whether each row of an arm shows the seeking pole; half of them, by lot, where it is shuffled.

    Raises:
        BehaviorError: an unknown arm, or a number of rows below 2.
    """
    check_rows(arm, n)
    poles = {"seeking": [True] * n, "averse": [False] * n}.get(arm, [i % 2 == 0 for i in range(n)])
    if arm == "shuffled":
        rng.shuffle(poles)
    return poles


def exchange(name: str, system: str | None, question: str, answer: str, person: str) -> TrainingRow:
    """One question and its answer as a row."""
    return {"id": name, "messages": messages_of(system, [(question, answer)]), "person": person}


class StudySets(ABC):
    """A behavior's sets of items, from its items, questions and personas (those of `Behavior`)."""

    @abstractmethod
    def beside(self, n: int, *, split: AskedSplit = "test") -> tuple[list[Item], list[Item]]:
        """`n` items of the neighbor, and its questions, of a split."""

    @abstractmethod
    def described(self, pole: int) -> Sequence[str]:
        """System lines that describe a persona at a pole: 0 seeking, 1 averse."""

    def study_sets(self, *, choices: int, others: int, world: Any = None) -> dict[str, list[Item]]:
        """Every set of items that a study asks."""
        bound = Bound(self, world)  # type: ignore[arg-type]
        sets: dict[str, list[Item]] = {}
        splits: tuple[AskedSplit, ...] = ("dev", "test")
        for split in splits:
            sets[f"choice-{split}"] = bound.items(choices, split=split, seed=0)
            sets[f"report-{split}"] = bound.questions(split=split)
        sets["neighbor_choice-dev"], _ = self.beside(others, split="dev")
        sets["neighbor_choice-test"], sets["neighbor_report-test"] = self.beside(others)
        sets["neutral-test"] = bound.neutral(2 * others)
        sets |= {f"{name}-test": [] for name in ("named_choice", "named_report", "described_report")}
        for pole, (person, systems) in enumerate(bound.personas().items()):
            sets["named_choice-test"] += bound.items(
                others, split="test", seed=0, systems=systems, person=person
            )
            sets["named_report-test"] += bound.questions(split="test", systems=systems, person=person)
            sets["described_report-test"] += bound.questions(
                split="test", systems=self.described(pole), person=person.replace("named", "described")
            )
        return sets
