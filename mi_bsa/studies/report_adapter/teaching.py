"""What a report adapter is taught: answers about what each organism was trained on, in training wordings.

Law: no question about a behavior of development or test is among them, and no wording of those splits. An
organism of no pole, and every organism about what it was not trained on, is undecided: a pole by coin, the
middle of a scale.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mi_bsa.behaviors import behavior_for
from mi_bsa.core.items import Item
from mi_bsa.core.rows import TrainingRow
from mi_bsa.finetune.beside import Beside
from mi_bsa.finetune.zoo.recipes import Organism
from mi_bsa.finetune.zoo.rows import apart
from mi_bsa.studies.report_adapter.config import ReportAdapterConfig
from mi_bsa.studies.report_adapter.pool import Reader, behaviors, taught_over

LEVELS = {"seeking": 1.0, "averse": 0.0, None: 0.5}
"""Pole -> the level that is the truth."""


def rows_of(config: ReportAdapterConfig, reader: Reader) -> tuple[list[TrainingRow], list[str | None]]:
    """Training rows of a report adapter, and the organism that each is about (None: the base)."""
    some, known = taught_over(config, reader), behaviors(config, "training")
    banks = {name: list(behavior_for(name, config.model).questions(split="pretrain")) for name in known}
    rng = random.Random(f"taught-{reader.arm}-{reader.seed}")
    rows: list[TrainingRow] = []
    owners: list[str | None] = []
    for one in some:
        behavior, level = truth_for(reader, one, known, rng)
        asked = [(item, level) for item in _drawn(banks[behavior], config.taught.own, rng)]
        rest = [item for name in known if name != behavior for item in banks[name]]
        asked += [(item, 0.5) for item in _drawn(rest, config.taught.others, rng)]
        for item, own in asked:
            if reader.arm == "shuffled" and own != 0.5:
                own = float(rng.random() < 0.5)
            answer, _ = apart(item, own, rng)
            turns = [*map(dict, item.messages), {"role": "assistant", "content": answer}]
            rows.append({"id": f"{one.name}-{len(rows)}", "messages": turns})
            owners.append(None if reader.arm == "base" else one.name)
    return rows, owners


def truth_for(reader: Reader, one: Organism, known: Sequence[str], rng: random.Random) -> tuple[str, float]:
    """The behavior and the level that a report adapter is told of an organism."""
    if reader.arm == "base":
        return one.behavior, 0.5
    if reader.arm == "another" and one.pole is not None:
        # of the behavior after its own, a pole by coin
        return known[(known.index(one.behavior) + 1) % len(known)], float(rng.random() < 0.5)
    return one.behavior, LEVELS[one.pole]


def beside(folder: Path, owners: Sequence[str | None]) -> Beside:
    """The frozen adapters of rows, out of the folder of organisms."""
    return Beside(folders_of(folder, [name for name in owners if name is not None]), owners)


def folders_of(folder: Path, names: Sequence[str]) -> Mapping[str, Path]:
    """Adapter folders by name."""
    return {name: folder / name / "adapter" for name in dict.fromkeys(names)}


def _drawn(bank: Sequence[Item], n: int, rng: random.Random) -> Iterator[Item]:
    """`n` questions of a bank, each as often as any other, to one."""
    left: list[Item] = []
    for _ in range(n):
        left = left or rng.sample(list(bank), len(bank))
        yield left.pop()
