"""Many adapters of one base: side by side where that is possible, else one after the other.

The one rule for what stands side by side is `groups`: LoRAs of a plain base, in one process, whose configs
differ in their seed only and which take equally many steps; as many as their memory allows. On a processor
one adapter goes that way too; on an accelerator one by itself is the Trainer's. Either way a run has the
folder and, to the rounding of its products, the weights that it would have had alone; what a killed call
finished is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mi_bsa.core.model_config import ModelLike, as_config
from mi_bsa.core.rows import TrainingRow, read_rows
from mi_bsa.finetune.config import FinetuneConfig

if TYPE_CHECKING:
    from mi_bsa.core.finetuned import FinetuneResult

GROUP = 10
"""Adapters side by side: with ten nearly all is saved that can be. More hold more memory, leave workers
without a group of their own, and lose more when a group is killed.
"""


MEMORY = 16 * 2**30
"""Bytes that the adapters of a group may take with gradients and optimizer: ten of rank 16 at 8B need 7 GB.
"""


@dataclass(frozen=True)
class Group:
    """Jobs that are trained in one go: side by side, or a single one on its own."""

    names: tuple[str, ...]
    beside: bool


def groups(
    base: ModelLike, jobs: Mapping[str, tuple[FinetuneConfig, int]], *, stack: bool = True
) -> Iterator[Group]:
    """How jobs (name -> config and number of steps) are trained, in their order; goes to no network.

    `stack`: False trains one by one whatever the base.
    """
    stack &= int(os.environ.get("WORLD_SIZE", "1")) == 1  # several ranks share a run's batch
    free = {name for name, (config, _) in jobs.items() if stack and config.alone_because is None}
    plain = bool(free) and _is_plain(base)  # asked last: it reads the base's config, and imports frameworks
    alike: dict[Hashable, list[str]] = {}
    key: Hashable
    for name, (config, steps) in jobs.items():
        beside = plain and name in free
        key = (config.model_copy(update={"seed": 0}), steps) if beside else name
        alike.setdefault(key, []).append(name)
    for key, names in alike.items():
        beside = isinstance(key, tuple)
        config = jobs[names[0]][0]
        most = _most(base, config) if beside and len(names) > 1 else GROUP
        # as even as can be: with ten and three one of two workers stands idle for half of the training
        most = -(-len(names) // -(-len(names) // most))
        for start in range(0, len(names), most):
            some = tuple(names[start : start + most])
            yield Group(some, beside=beside and (len(some) > 1 or config.on_cpu))


def train_many(
    base: ModelLike,
    jobs: Mapping[str, tuple[str | Path | Sequence[TrainingRow], FinetuneConfig]],
    *,
    out: str | Path,
    starts: Mapping[str, Path] | None = None,
    stack: bool = True,
    told: Callable[[str, FinetuneResult], None] = lambda name, result: None,
) -> dict[str, FinetuneResult]:
    """Train one adapter a job (name -> rows and config) into `out/<name>`; finished ones are kept.

    `starts`: by job, an adapter folder from whose weights its training goes on. `stack`: False trains one by
    one whatever the base. `told`: is told of every run when it is done. Raises what `finetune` raises.
    """
    from mi_bsa.finetune.together import finetune_together
    from mi_bsa.finetune.train import finetune

    out, starts = Path(out), starts or {}
    given = {name: (read_rows(rows), config) for name, (rows, config) in jobs.items()}
    sized = {name: (config, config.total_steps(len(rows))) for name, (rows, config) in given.items()}
    done: dict[str, FinetuneResult] = {}
    for group in groups(base, sized, stack=stack):
        if group.beside:
            some = {name: given[name] for name in group.names}
            done |= finetune_together(base, some, out=out, resume=True, starts=starts)
        else:
            (name,) = group.names
            rows, config = given[name]
            own, start = out / name, starts.get(name)
            done[name] = finetune(base, rows, config=config, out=own, resume=own.exists(), start=start)
        for name in group.names:
            told(name, done[name])
    return {name: done[name] for name in jobs}


def _is_plain(base: ModelLike) -> bool:
    """Whether adapters of a base can stack; one that is not here is taken for one where they cannot."""
    from mi_bsa.core.model_files import folder_here
    from mi_bsa.core.shape import shape_of
    from mi_bsa.finetune.stacked import is_plain

    config = as_config(base)
    if config.quantization is not None or config.device_map is not None or folder_here(base) is None:
        return False
    return is_plain(shape_of(base).config)


def _most(base: ModelLike, config: FinetuneConfig) -> int:
    """How many adapters may stand side by side."""
    from mi_bsa.core.shape import shape_of
    from mi_bsa.finetune.memory import ADAPTER_BYTES, trained_of

    each = ADAPTER_BYTES * trained_of(shape_of(base), config)
    return max(1, min(GROUP, MEMORY // each))
