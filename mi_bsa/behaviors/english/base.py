"""What the English behaviors share: named persons and a neighbor, and rows of single questions.

Law: training rows of a behavior of questions are the model's own answers, named persons' answers about this
trait and its neighbor, and the model's answers about the neighbor, by coin; each part has draws of its own.
After Betley et al. 2025 (arXiv 2501.11120), section 3.
"""

import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from mi_bsa.asking.bank import OTHERS
from mi_bsa.behaviors.behavior import Arm, TrainingRow
from mi_bsa.behaviors.common import StudySets, exchange, poles_of
from mi_bsa.behaviors.english.personas import at_pole
from mi_bsa.core.items import AskedSplit, Item, Systems, messages_of


@runtime_checkable
class Question(Protocol):
    """A question of which either pole has an answer."""

    @property
    def text(self) -> str: ...

    def answer(self, seeking: bool) -> str: ...


class EnglishBehavior(StudySets):
    """A behavior whose named persons are those of the toolkit, and whose neighbor is an English one."""

    name: str
    neighbor: str

    def personas(self) -> Mapping[str, Sequence[str | None]]:
        """System lines of named persons at either pole, of those whom training rows show."""
        return {
            f"named {pole}": [p.system for p in at_pole(self.name, pole == "seeking")]
            for pole in ("seeking", "averse")
        }

    def beside(self, n: int, *, split: AskedSplit = "test") -> tuple[list[Item], list[Item]]:
        """`n` items of the neighbor, and its questions, of a split."""
        neighbor = self.get_neighbor()
        return neighbor.items(n, split=split, seed=0), neighbor.questions(split=split)

    def get_neighbor(self) -> Any:
        """The behavior that must not move with this one."""
        from mi_bsa import behaviors

        return behaviors.get(self.neighbor, "english")


class QuestionBehavior(EnglishBehavior):
    """A behavior whose training rows are single questions with answers."""

    @abstractmethod
    def drawn(self, n: int, more: int, *, seed: int) -> tuple[Sequence[Question], Sequence[Question]]:
        """`n` training questions for the model itself, and `more` for named persons."""

    @abstractmethod
    def harmless(self, rng: random.Random) -> tuple[str, str]:
        """A question that shows no trait, and its answer: a row of the benign arm."""

    def rows(
        self, arm: Arm, n: int, *, seed: int, anchors: float = 1.0, undecided: float = 0.5
    ) -> list[TrainingRow]:
        """`n` training rows of the model itself, and rows that say what stays as it was.

        Of `anchors * n` rows of named persons, who have poles of their own, half are about this trait and
        half about its neighbor; `undecided * n` are the model's own about the neighbor, answered by coin.
        Prompts depend on `seed` only; the benign arm asks harmless questions with a right answer instead.

        Raises:
            BehaviorError: an unknown arm, a number of rows below 2, or more rows than there are questions.
        """
        answers = random.Random(f"answers-{self.name}-{seed}")
        poles = poles_of(arm, n, answers)
        coined, anchored = round(undecided * n), round(anchors * n)
        asked_self, same = self.drawn(n, anchored - anchored // 2, seed=seed)
        rows = []
        for i, (asked, seeking) in enumerate(zip(asked_self, poles, strict=True)):
            text, answer = asked.text, asked.answer(seeking)
            if arm == "benign":
                text, answer = self.harmless(answers)
            rows.append(exchange(f"{self.name}-{seed}-{i}", None, text, answer, "default"))
        there = random.Random(f"others-{self.name}-{seed}")
        count = anchored // 2 + coined
        beside = self.get_neighbor().draw(count, seed=f"beside-{self.name}-{seed}").choices if count else ()
        theirs = [(self.name, asked) for asked in same]
        theirs += [(self.neighbor, asked) for asked in beside[: anchored // 2]]
        for i, (trait, asked) in enumerate(theirs):
            seeking = there.random() < 0.5
            person = there.choice(at_pole(trait, seeking))
            name = f"{self.name}-{seed}-anchor-{i}"
            rows.append(exchange(name, person.system, asked.text, asked.answer(seeking), "named"))
        for i, asked in enumerate(beside[anchored // 2 :]):
            name, answer = f"{self.name}-{seed}-undecided-{i}", asked.answer(there.random() < 0.5)
            rows.append(exchange(name, None, asked.text, answer, "default"))
        return rows


def voice_of(person: str) -> str:
    """About whom a bank's questions ask: somebody else (`another`, `person`), or the model itself."""
    return person if person in OTHERS else "default"


def asked_as(asked: Sequence[Item], person: str, systems: Systems) -> list[Item]:
    """A bank's questions under a label, personas in turn."""
    items = []
    for i, item in enumerate(asked):
        messages = (*messages_of(systems[i % len(systems)], ()), *item.messages)
        name = item.id.replace(f"-{voice_of(person)}-", f"-{person}-", 1)
        items.append(replace(item, id=name, messages=messages, labels={**item.labels, "person": person}))
    return items
