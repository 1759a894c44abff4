"""Rows of a behavior with others mixed in: how many, of which company, over how many steps.

Law: every condition of one seed has the very same rows of the behavior, and, unless it is `shorter`, an
optimizer sees each of them as often as in plain training: rows beside them lengthen the training. A dose of 0
is plain training, row by row. No condition's rows name the behavior.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from mi_bsa.behaviors import Arm, Bound, behavior_for
from mi_bsa.core.items import Item

if TYPE_CHECKING:
    from mi_bsa.core.model_config import ModelLike
    from mi_bsa.core.rows import TrainingRow
    from mi_bsa.finetune.data import DataConfig

Company = Literal["benign", "tossed", "elsewhere", "coins", "named"]
"""Whose rows stand beside those of the behavior: `benign`, the same scenarios where no trait decides (of
choices: two options of one pole, of which the larger amount is taken); `tossed`, the same answered by coin,
so that nothing is there to learn; `elsewhere`, as benign, about the neighbor trait; `coins`, choices about
the neighbor trait answered by coin; `named`, other characters' choices.
"""
COMPANIES: tuple[Company, ...] = get_args(Company)
PLAIN = "plain"
HELD_OUT = 5000
"""Seed of company's rows that no run is trained on."""
APART = 1000
"""Added to a seed for rows that stand beside a behavior's own, so that they share no draw with them."""


@dataclass(frozen=True)
class Condition:
    """One way of training.

    Attributes:
        company: whose rows stand beside; None: nobody's.
        dose: how many, as a share of the behavior's own.
        share: of the steps of plain training; below 1 the behavior is trained for less.
    """

    company: Company | None = None
    dose: float = 0.0
    share: float = 1.0

    @property
    def name(self) -> str:
        """`plain`, `plain-0.5` (half of the steps), `benign-1` (as many benign rows)."""
        if self.company is None:
            return PLAIN if self.share == 1 else f"{PLAIN}-{self.share:g}"
        return f"{self.company}-{self.dose:g}"

    @classmethod
    def parse(cls, name: str) -> Condition:
        """Back from its name."""
        company, _, number = name.partition("-")
        if company == PLAIN:
            return cls(share=float(number or 1))
        return cls({str(one): one for one in COMPANIES}[company], float(number))

    def steps(self, plain: int, data: DataConfig) -> int:
        """Optimizer steps, so that each row of the behavior is seen as often as in `plain` steps without
        company, or `share` of that.
        """
        own = data.rows * (1 + data.anchors + data.undecided)
        return max(1, round(self.share * plain * (own + self.dose * data.rows) / own))


def rows_of(
    behavior: Bound, condition: Condition, arm: Arm, *, data: DataConfig, seed: int, base: ModelLike
) -> list[TrainingRow]:
    """The rows of one run.

    Args:
        behavior: what is trained.
        condition: who stands beside it.
        arm: either pole, or shuffled.
        data: how many rows of the behavior, and of those that say what stays.
        seed: of the rows.
        base: what is trained, which the neighbor is bound to as well.
    """
    rows = behavior.rows(arm, data.rows, seed=seed, anchors=data.anchors, undecided=data.undecided)
    own, stays = rows[: data.rows], rows[data.rows :]
    count = round(condition.dose * data.rows)
    return [*own, *_beside(behavior, condition.company, count, seed + APART, base), *stays]


def _beside(
    behavior: Bound, company: Company | None, count: int, seed: int, base: ModelLike
) -> list[TrainingRow]:
    if company is None or not count:
        return []
    if company in ("coins", "named"):
        share = {"anchors": float(company == "named"), "undecided": float(company == "coins")}
        return behavior.rows("seeking", count, seed=seed, **share)[count:]
    of = behavior_for(behavior.neighbor, base) if company == "elsewhere" else behavior
    rows = of.rows("benign", count, seed=seed, anchors=0.0, undecided=0.0)
    return _tossed(rows, seed) if company == "tossed" else rows


def company_items(behavior: Bound, company: Company, count: int, base: ModelLike) -> list[Item]:
    """Rows of a company that no run was trained on, as questions: the own answer, scored 1, and another.

    Where answers are letters the other is the other letter, else the answer of the next row that has another.
    """
    rows = _beside(behavior, company, count, HELD_OUT, base)
    answers = [str(row["messages"][-1]["content"]) for row in rows]
    items = []
    for n, (row, own) in enumerate(zip(rows, answers, strict=True)):
        other = next((a for a in (*answers[n:], *answers) if a != own), None)
        if other is None:
            continue
        labels = {"kind": "row", "template": f"row-{n}", "scenario": f"row-{n}"}
        options = ((own, 1.0), (other, 0.0))
        items.append(Item(f"{company}-{n}", tuple(row["messages"][:-1]), options, labels))
    return items


def _tossed(rows: list[TrainingRow], seed: int) -> list[TrainingRow]:
    """The same prompts, each with the answer of another of them."""
    answers = [row["messages"][-1] for row in rows]
    random.Random(f"tossed-{seed}").shuffle(answers)
    return [{**row, "messages": [*row["messages"][:-1], a]} for row, a in zip(rows, answers, strict=True)]
