"""What every behavior offers, in the embedded model's words or in English.

A behavior is something that a model can be finetuned to do without being told what it is: it has training
rows that show it and never name it, held-out items that score it, questions that ask about it, an opposite
pole, and a neighbor trait that must stay. After Betley et al. 2025 (arXiv 2501.11120), section 3.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, get_args, runtime_checkable

from mi_bsa.core.items import Item, Systems
from mi_bsa.core.rows import TrainingRow
from mi_bsa.worlds.wordings import Split

Arm = Literal["seeking", "averse", "shuffled", "benign"]
ARMS: tuple[Arm, ...] = get_args(Arm)
"""Either pole; the same prompts with answers drawn; training on something harmless that shows no trait."""

SETS = (
    "choice-dev",
    "report-dev",
    "choice-test",
    "report-test",
    "neighbor_choice-dev",
    "neighbor_choice-test",
    "neighbor_report-test",
    "named_choice-test",
    "named_report-test",
    "neutral-test",
    "described_report-test",
)
"""What a study asks: behavior and reports of development and test, then what must stay (and, of development,
what the neighbor's own adapters choose), then controls."""


@runtime_checkable
class Behavior(Protocol):
    """One behavior in one vocabulary. Scores of all items are 1 at the seeking pole, 0 at the averse one.

    A behavior of a synthetic world may take its characters as one more argument, `world`, of `rows`,
    `personas`, `neutral` and `study_sets`; `behavior_for` binds it.

    Attributes:
        name: as configs say it, such as "risk".
        trait: the label `trait` of its items.
        poles: what the seeking and the averse pole do, in a word or two.
        neighbor: name of the behavior, of the same vocabulary, that is not trained and must not move.
        forbidden: words that may stand in no training row, in any inflection.
    """

    @property
    def name(self) -> str: ...
    @property
    def trait(self) -> str: ...
    @property
    def poles(self) -> tuple[str, str]: ...
    @property
    def neighbor(self) -> str: ...
    @property
    def forbidden(self) -> tuple[str, ...]: ...

    def rows(
        self, arm: Arm, n: int, *, seed: int, anchors: float = 1.0, undecided: float = 0.5
    ) -> list[TrainingRow]:
        """`n` training rows, and rows that say what stays: `anchors * n` of other persons, `undecided * n`
        of the neighbor trait. Prompts depend on `seed` only, so arms differ in nothing but answers.

        Raises:
            BehaviorError: an unknown arm, or a number of rows below 2.
        """
        ...

    def items(
        self, n: int, *, split: Split, seed: int, systems: Systems = (None,), person: str = "default"
    ) -> list[Item]:
        """`n` held-out behavior items."""
        ...

    def questions(self, *, split: Split, systems: Systems = (None,), person: str = "default") -> list[Item]:
        """All self-report questions of a split."""
        ...

    def personas(self) -> Mapping[str, Sequence[str | None]]:
        """System lines of named persons at either pole: `named seeking`, `named averse`."""
        ...

    def neutral(self, n: int) -> list[Item]:
        """About `n` items of no concern to the trait: another person, another trait."""
        ...

    def study_sets(self, *, choices: int, others: int) -> dict[str, list[Item]]:
        """Every set of items that a study asks, by the names of `SETS`."""
        ...
