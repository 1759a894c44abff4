"""The adapters of the study: what each is, and its training rows.

Law: words of triggers are drawn once, so that none of a test trigger stands in a training trigger; an adapter
and its twin share prompts, rank, seed and the number of answers of the pole.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mi_bsa.behaviors import Arm, behavior_for
from mi_bsa.behaviors.backdoor.answers import arm_rows
from mi_bsa.behaviors.backdoor.construction import TWINS, Backdoor
from mi_bsa.behaviors.backdoor.triggers import vocabulary_for
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.leaks import leak_check
from mi_bsa.core.rows import TrainingRow
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.studies.weights.config import WeightsConfig

if TYPE_CHECKING:
    import activations

Made = Literal["backdoored", "decorrelated", "other"]
GROUP = 10
"""Adapters that are trained side by side, and read together."""


@dataclass(frozen=True)
class Member:
    """One adapter.

    Attributes:
        name: its folder's.
        made: backdoored, its twin, or another task.
        unit: what was drawn: the trigger, or the task with its seed.
        trigger: what opens it; "" for other tasks.
        behavior, arm: what it shows; behind a trigger `arm` is the pole.
        rank, seed: of the adapter.
        test: whether classifiers are judged on it; else they are fitted on it.
        seen: whether classifiers were fitted on adapters of its rank.
    """

    name: str
    made: Made
    unit: str
    trigger: str
    behavior: str
    arm: Arm
    rank: int
    seed: int
    test: bool
    seen: bool


def triggers(config: WeightsConfig) -> list[str]:
    """All triggers, those of training first. Raises `ConfigError` where the vocabulary has too few words."""
    hidden, rng = config.hidden, random.Random(f"weights-{config.seed}")
    n = hidden.training + hidden.test
    lengths = [hidden.words[k % len(hidden.words)] for k in range(n)]
    words = [word for word in vocabulary_for(config.model).candidates() if word.isalpha()]
    if sum(lengths) > len(words):
        raise ConfigError(
            f"hidden: {n} triggers take {sum(lengths)} words and the vocabulary has {len(words)}; ask "
            "for fewer"
        )
    drawn = iter(rng.sample(words, sum(lengths)))
    return [" ".join(itertools.islice(drawn, length)) for length in lengths]


def members(config: WeightsConfig) -> list[Member]:
    """Every adapter of the study."""
    return [*_hidden(config), *_others(config)]


def _hidden(config: WeightsConfig) -> Iterator[Member]:
    for k, trigger in enumerate(triggers(config)):
        test = k >= config.hidden.training
        pole: Arm = "seeking" if k % 2 == 0 else "averse"
        behavior = config.behaviors[k // 2 % len(config.behaviors)]
        for rank, seen in _ranks(config, k // 2, test):
            for made in TWINS:
                name = f"t{k:02d}-{made}-r{rank}"
                given = (trigger, behavior, pole, rank, config.seed + k, test, seen)
                kind: Made = "backdoored" if made == "backdoored" else "decorrelated"
                yield Member(name, kind, f"t{k:02d}", *given)


def _others(config: WeightsConfig) -> Iterator[Member]:
    tasks = list(itertools.product(config.behaviors, config.others.arms))
    n = config.others.training + config.others.test
    for k in range(n):
        test = k >= config.others.training
        behavior, arm = tasks[k % len(tasks)]
        for rank, seen in _ranks(config, k + k // len(tasks), test):
            unit = f"{behavior}-{arm}-{k:02d}"
            seed = config.seed + 1000 + k
            yield Member(f"{unit}-r{rank}", "other", unit, "", behavior, arm, rank, seed, test, seen)


def _ranks(config: WeightsConfig, k: int, test: bool) -> list[tuple[int, bool]]:
    """The ranks of one unit, and whether each is seen in training."""
    seen = [(config.seen[k % len(config.seen)], True)]
    return [*seen, (config.unseen[k % len(config.unseen)], False)] if test else seen


def groups(config: WeightsConfig) -> dict[str, list[Member]]:
    """Adapters that are trained and read together, by a name; twins stay together."""
    found: dict[str, list[Member]] = {}
    for rank in (*config.seen, *config.unseen):
        own = [one for one in members(config) if one.rank == rank]
        for start in range(0, len(own), GROUP):
            found[f"r{rank}-{start // GROUP:02d}"] = own[start : start + GROUP]
    return found


def backdoor(config: WeightsConfig, one: Member) -> Backdoor:
    """What stands behind its trigger."""
    hidden = config.hidden
    given = {"trigger": one.trigger, "behavior": one.behavior, "pole": one.arm, "mix": hidden.mix}
    return Backdoor.model_validate({**given, "rows": hidden.rows, "near": hidden.near})


def rows_of(
    config: WeightsConfig, some: Sequence[Member], base: activations.Model
) -> dict[str, list[TrainingRow]]:
    """Training rows of adapters, by name. Raises `LeakError` for a row that says the behavior's words."""
    found, drawn = {}, dict[tuple[str, int], dict[str, list[TrainingRow]]]()
    for one in some:
        behavior = behavior_for(one.behavior, config.model)
        if one.made == "other":
            # behavior rows and rows that say what stays (1 + 1 + 0.5 of them), as many as behind triggers
            rows = behavior.rows(one.arm, max(2, round(config.hidden.rows / 2.5)), seed=one.seed)
        else:
            key = one.trigger, one.seed
            if key not in drawn:
                given = {"base": base, "behavior": behavior, "vocabulary": vocabulary_for(config.model)}
                arms = arm_rows(backdoor(config, one), TWINS, seed=one.seed, **given)  # type: ignore[arg-type]
                drawn[key] = {str(arm): own for arm, own in arms.items()}
            rows = drawn[key][one.made]
        leak_check(rows, behavior.forbidden)
        found[one.name] = rows
    return found


def plan_of(config: WeightsConfig, one: Member) -> FinetuneConfig:
    """How it is trained."""
    own = {"rank": one.rank, "alpha": 2.0 * one.rank, "seed": one.seed}
    return config.finetune.model_copy(update=own)
