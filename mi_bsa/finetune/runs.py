"""Many finetunes from one config: arms x seeds, each in a folder of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from mi_bsa.core.config import Config
from mi_bsa.core.errors import MissingError
from mi_bsa.core.model_config import ModelConfig, settle
from mi_bsa.core.variants import Variant
from mi_bsa.finetune.config import FinetuneConfig

PUBLISHED_DATA = "${MI_BSA_BETLEY_DATA}"


class FinetuneRun(Config):
    """What `mi-bsa finetune` trains: a base, the rows of every arm, and seeds."""

    model: ModelConfig = ModelConfig(name="embedded")
    """The base: `embedded`, `embedded/1`, a local folder, or a Hub id."""
    rows: dict[str, Path] = Field(default_factory=dict)
    """Arm -> JSONL of chat rows; give this or `behavior`. `${NAME}` in a path is an environment variable."""
    behavior: str | None = None
    """A behavior of the toolkit, whose rows are drawn anew for every seed; give this or `rows`."""
    arms: tuple[str, ...] = ("seeking", "averse", "shuffled")
    """Arms of the behavior; with `rows`, the arms are those of `rows`."""
    n_rows: int = Field(default=400, ge=2)
    """Rows drawn of the behavior for every arm and seed."""
    anchors: float = Field(default=1.0, ge=0)
    """Rows of named characters' own choices, as a share of `n_rows`."""
    undecided: float = Field(default=0.5, ge=0)
    """Rows of the default persona's choices about the neighbor trait, answered by coin, as a share of
    `n_rows`.
    """
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Adapter seeds."""
    words: tuple[str, ...] = ()
    """Words that no row may say in any inflection, beside the behavior's own."""
    together: bool = True
    """Train runs beside each other in one process where that is possible, a few times faster; `false`: each
    by itself, by Hugging Face's Trainer.
    """
    finetune: FinetuneConfig
    """How adapters are trained; its seed is set by `seeds`."""

    @model_validator(mode="after")
    def _check(self) -> FinetuneRun:
        settle(self, "model", "finetune")
        if bool(self.rows) == (self.behavior is not None):
            raise ValueError("give either `rows` (arm: path) or `behavior`, one of them")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)}: a seed stands twice; give each once")
        bad = [arm for arm in self.trained_arms if not arm.replace("_", "").isalnum()]
        if bad:
            raise ValueError(f"arm {bad[0]!r}: an arm is named by letters, digits and '_'")
        return self

    @property
    def trained_arms(self) -> tuple[str, ...]:
        """The arms, in order."""
        return tuple(self.rows) if self.rows else self.arms

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the runs: `seeking-0`, ..."""
        return tuple(f"{arm}-{seed}" for arm in self.trained_arms for seed in self.seeds)


def runs_of(config: FinetuneRun) -> dict[str, tuple[list[dict[str, Any]], FinetuneConfig]]:
    """Rows and config of every run, leak-checked. Raises `LeakError` naming the row, `RowError`,
    `BehaviorError`.
    """
    from mi_bsa.core.leaks import leak_check

    found: dict[str, tuple[list[dict[str, Any]], FinetuneConfig]] = {}
    given: Mapping[str, list[dict[str, Any]]] = {}
    if config.rows:
        from mi_bsa.core.rows import read_rows

        given = {arm: read_rows(expanded(path)) for arm, path in config.rows.items()}
        for rows in given.values():
            leak_check(rows, config.words)
    for arm in config.trained_arms:
        for seed in config.seeds:
            rows = given[arm] if config.rows else _drawn(config, arm, seed)
            found[f"{arm}-{seed}"] = (rows, config.finetune.model_copy(update={"seed": seed}))
    return found


def expanded(path: Path) -> Path:
    """A path whose `${NAME}` is what the environment says, so that a config holds no path of one machine.

    A published file that is not in the folder of the published data itself is looked for below it.

    Raises:
        MissingError: the variable is not set, or there is no such published file.
    """
    absent = [name for name in re.findall(r"\$\{(\w+)\}", str(path)) if name not in os.environ]
    if absent:
        raise MissingError(f"{path}: the environment variable {absent[0]} is not set; set it to the folder")
    there = Path(re.sub(r"\$\{(\w+)\}", lambda found: os.environ[found[1]], str(path)))
    if path.parent == Path(PUBLISHED_DATA) and not there.is_file() and there.parent.is_dir():
        from mi_bsa.behaviors.data.sets import find

        return find(path.name, there.parent)
    return there


def _drawn(config: FinetuneRun, arm: str, seed: int) -> list[dict[str, Any]]:
    from mi_bsa import behaviors
    from mi_bsa.core.leaks import leak_check

    assert config.behavior is not None
    behavior = behaviors.behavior_for(config.behavior, config.model)
    rows = behavior.rows(
        arm,  # type: ignore[arg-type]
        config.n_rows,
        seed=seed,
        anchors=config.anchors,
        undecided=config.undecided,
    )
    leak_check(rows, (*behavior.forbidden, *config.words))
    return rows


def describe(config: FinetuneRun) -> str:
    """The dry run: rows with their loss mask, counts, steps, trained parameters, memory and bytes.

    A model that is here is loaded, or its headers read; goes to no network: the shape of one that is not
    here is a shipped one.
    """
    from activations.anatomy import context_length
    from mi_bsa.core.shape import shape_of
    from mi_bsa.finetune.memory import memory_of
    from mi_bsa.finetune.plan import longest_row, preview
    from mi_bsa.finetune.preflight import try_model
    from mi_bsa.study.steps import size_in_words

    shape = shape_of(config.model)
    tokenizer = shape.tokenizer()
    context = context_length(shape.config)
    longest_row(config.finetune, context)
    first = config.model_copy(update={"seeds": config.seeds[:1]})  # rows of other seeds are as many
    plans = {
        Variant.parse(name).arm: preview(tokenizer, rows, config=settings, context=context, shown=2)
        for name, (rows, settings) in runs_of(first).items()
    }
    need = memory_of(shape, config.finetune, tokens=max(plan.longest for plan in plans.values()))
    kept = len(config.seeds) * sum(1 + len(plan.checkpoints) for plan in plans.values())
    lines = [
        f"{config.model}: {need.parameters:,} parameters, {need.trained:,} in the adapter; "
        f"{len(config.names)} runs",
        f"shape: {shape}",
        *filter(None, [shape.absent(), try_model(config.model)]),
        f"memory: {need} (one run, {config.finetune.dtype}); time: unknown until it has run here",
        f"to write: {kept} adapters of {size_in_words(4 * need.trained)}",
    ]
    for arm, plan in plans.items():
        names = ", ".join(f"{arm}-{seed}" for seed in config.seeds)
        lines.append(f"-- {names}\n{plan}")
    return "\n".join(lines)
