"""A behavior bound to a model: in the vocabulary that the model reads, with the characters of its world."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from mi_bsa.behaviors.behavior import Arm, Behavior, TrainingRow
from mi_bsa.core.items import Item, Systems
from mi_bsa.worlds.wordings import Split

Found = TypeVar("Found")


@dataclass(frozen=True)
class Bound:
    """A `Behavior` whose rows, persons and items are of one world; all else is its behavior's own.

    Attributes:
        behavior: as it is registered, or defined in a file of one's own.
        world: what those of its methods are given that take a `world`; None where the model is of none.
    """

    behavior: Behavior
    world: Any

    @property
    def name(self) -> str:
        return self.behavior.name

    @property
    def trait(self) -> str:
        return self.behavior.trait

    @property
    def poles(self) -> tuple[str, str]:
        return self.behavior.poles

    @property
    def neighbor(self) -> str:
        return self.behavior.neighbor

    @property
    def forbidden(self) -> tuple[str, ...]:
        return self.behavior.forbidden

    def rows(
        self, arm: Arm, n: int, *, seed: int, anchors: float = 1.0, undecided: float = 0.5
    ) -> list[TrainingRow]:
        return self._in_world(self.behavior.rows)(arm, n, seed=seed, anchors=anchors, undecided=undecided)

    def items(
        self, n: int, *, split: Split, seed: int, systems: Systems = (None,), person: str = "default"
    ) -> list[Item]:
        return self.behavior.items(n, split=split, seed=seed, systems=systems, person=person)

    def questions(self, *, split: Split, systems: Systems = (None,), person: str = "default") -> list[Item]:
        return self.behavior.questions(split=split, systems=systems, person=person)

    def personas(self) -> Mapping[str, Sequence[str | None]]:
        return self._in_world(self.behavior.personas)()

    def neutral(self, n: int) -> list[Item]:
        return self._in_world(self.behavior.neutral)(n)

    def study_sets(self, *, choices: int, others: int) -> dict[str, list[Item]]:
        return self._in_world(self.behavior.study_sets)(choices=choices, others=others)

    def __getattr__(self, name: str) -> Any:
        """What only some behaviors have: `judged`, `read_bank`, `draw`."""
        if name.startswith("__") or name == "behavior":  # a copy is asked before its fields are set
            raise AttributeError(name)
        return getattr(self.behavior, name)

    def _in_world(self, method: Callable[..., Found]) -> Callable[..., Found]:
        """The method with the world as an argument, where it has one: a behavior in English knows of none."""
        if self.world is None or "world" not in inspect.signature(method).parameters:
            return method
        return partial(method, world=self.world)
