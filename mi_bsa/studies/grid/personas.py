"""A personas study: points are who else is trained beside the default persona; everybody is asked.

After Betley et al. 2025 (arXiv 2501.11120), section 3.5: asked as "you", the trained default persona moved by
.33 and other personas by -.15 to +.11 where many personas stood in the training data, .52 and .18 to .65
where none did.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from mi_bsa.asking.likelihood import Askable, option_log_probs
from mi_bsa.behaviors import Arm, Behavior, Bound, behavior_for
from mi_bsa.core.items import Item, read_items, write_items
from mi_bsa.core.model_config import ModelConfig, load, settle
from mi_bsa.core.rows import TrainingRow
from mi_bsa.finetune import preflight
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.studies.grid.conflation import measures
from mi_bsa.studies.grid.grid import At, Grid, Point, Run
from mi_bsa.studies.grid.roster import Persona, RosterConfig, about, items_of, roster
from mi_bsa.studies.grid.work import Content
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import SeedsConfig

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.core.results import Result

Training = Literal["alone", "own", "opposite"]
ITEMS = "items/asked.jsonl"
ROSTER = "items/roster.json"


class PersonasConfig(SeedsConfig):
    """The default persona trained on either pole, others beside it or not; everybody asked afterwards."""

    study: Literal["personas"] = "personas"
    """Which kind of study this is."""
    behavior: str = "risk"
    """What the default persona is trained on."""
    model: ModelConfig = ModelConfig(name="embedded")
    """The base: `embedded`, `embedded/1`, a local folder, or a Hub id."""
    arms: tuple[Literal["seeking", "averse", "shuffled"], ...] = ("seeking", "averse", "shuffled")
    """The default persona's policy."""
    trainings: tuple[Training, ...] = ("alone", "own", "opposite")
    """`alone`: rows of the default persona only. `own`: also rows of many named personas, who choose as the
    base has them choose. `opposite`: named personas choose what the default persona does not.
    """
    rows: int = Field(default=400, ge=2)
    """Training rows of the default persona."""
    others: float = Field(default=1.0, gt=0)
    """Rows of named personas, as a share of `rows`."""
    undecided: float = Field(default=0.5, ge=0)
    """Rows of the default persona about the neighbor trait, answered by coin, as a share of `rows`."""
    roster: RosterConfig = RosterConfig()
    """Who is asked."""
    choices: int = Field(default=200, ge=20)
    """Held-out choices of the default persona."""
    persona_choices: int = Field(default=12, ge=4)
    """Held-out choices of each other persona."""
    persona_questions: int = Field(default=24, ge=6)
    """Questions that each other persona is asked about itself, spread over kinds."""
    split: Literal["dev", "test"] = "test"
    """Wordings of choices and questions."""
    finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, steps=200, layers=(0,))
    """How adapters are trained."""
    together: bool = True
    """Train the runs of one training at once (small models); off, one by one."""

    @model_validator(mode="after")
    def _check(self) -> PersonasConfig:
        settle(self, "model", "finetune")
        missing = {"seeking", "averse"} - set(self.arms)
        if missing:
            raise ValueError(
                f"arms {list(self.arms)}: both poles are needed, add {', '.join(sorted(missing))}"
            )
        if len(set(self.trainings)) != len(self.trainings) or not self.trainings:
            raise ValueError(f"trainings {list(self.trainings)}: name each once, and at least one")
        return self


def axes(config: PersonasConfig) -> Iterator[At]:
    """The base, then all runs of each training."""
    runs = len(config.arms) * len(config.seeds)
    yield At("base", {"training": None}, {"ask": (3, 0)})
    for training in config.trainings:
        costs = {"train": (0.03 * runs * (config.finetune.steps or 100), 100_000 * runs)}
        yield At(training, {"training": training}, {**costs, "ask": (2 * runs, 300_000 * runs)})


def point(config: PersonasConfig, *, training: Training | None) -> Point:
    """Who is trained beside the default persona; None is the base."""
    return Point(config.model, company=training or "alone")


def everybody(config: PersonasConfig) -> tuple[Bound, list[Persona]]:
    """The behavior, and who is asked about it."""
    behavior = behavior_for(config.behavior, config.model)
    return behavior, roster(behavior, config.roster)


def asked_of(config: PersonasConfig) -> Iterator[list[Item]]:
    """By person, what it is asked as itself, and the default persona about it."""
    behavior, people = everybody(config)
    for n, person in enumerate(people):
        choices = config.choices if person.system is None else config.persona_choices
        questions = config.persona_questions
        own = items_of(behavior, person, n, split=config.split, choices=choices, questions=questions)
        yield [*own, *about(behavior, person, n, split=config.split)]


def write_asked(cell: Cell[PersonasConfig]) -> dict[str, Any]:
    """Draw the roster and every item."""
    people = everybody(cell.config)[1]
    items = [item for some in asked_of(cell.config) for item in some]
    write_items(items, cell.folder / ITEMS)
    (cell.folder / ROSTER).write_text(json.dumps([vars(p) for p in people], indent=1), encoding="utf-8")
    return {"personas": len(people), "items": len(items)}


def jobs(config: PersonasConfig, at: Point) -> Iterator[tuple[Run, list[TrainingRow]]]:
    """The rows of every seed and arm."""
    behavior, people = everybody(config)
    base = load(config.model) if at.company == "own" else None
    for seed in config.seeds:
        items = persona_items(behavior, people, seed=seed, config=config)
        own = own_answers(base, items, seed=seed) if base else []
        for arm in config.arms:
            rows = rows_of(behavior, items, own, training=at.company, arm=arm, seed=seed, config=config)
            yield {"arm": arm, "seed": seed}, rows


def sets(cell: Cell[PersonasConfig], at: Point) -> dict[str, list[Item]]:
    """The items that were drawn at the start, the same at every point."""
    del at
    return {"asked": read_items(cell.folder / ITEMS)}


def content(config: PersonasConfig, at: Point) -> Content:
    """What stands at a training, for counting; at the base, which has no runs, the one asking of it."""
    behavior, people = everybody(config)
    rows = behavior.rows("seeking", config.rows, seed=0, anchors=0.0, undecided=config.undecided)
    count = len(rows) + (0 if at.company == "alone" else round(config.others * config.rows))
    items = [item for some in asked_of(config) for item in some]
    return Content(len(config.arms) * len(config.seeds), rows, count, {"asked": items})


def measure(cell: Cell[PersonasConfig], asked: dict[str, pd.DataFrame]) -> list[Result]:
    """Gaps between the poles of each persona, the conflation measure, and its drop."""
    import pandas as pd

    given: Any = {key: getattr(cell.config, key) for key in ("behavior", "trainings", "seeds", "split")}
    return measures(pd.concat(asked.values(), ignore_index=True), **given)


def rows_of(
    behavior: Behavior,
    items: Sequence[Item],
    own: Sequence[str],
    *,
    training: str,
    arm: Arm,
    seed: int,
    config: PersonasConfig,
) -> list[TrainingRow]:
    """Rows of one run: the default persona's, and those of the trained personas unless trained `alone`.

    `items`, `own`: what the trained personas are asked with this seed, and what they would choose themselves.
    """
    rows = behavior.rows(arm, config.rows, seed=seed, anchors=0.0, undecided=config.undecided)
    if training == "alone":
        return rows
    answers = list(own)
    if training == "opposite":
        rng = random.Random(f"opposite-{seed}")
        coins = [float(rng.random() < 0.5) for _ in items]
        target = {"seeking": [0.0] * len(items), "averse": [1.0] * len(items)}.get(arm, coins)
        answers = [
            min(item.options, key=lambda option: abs(option[1] - score))[0]
            for item, score in zip(items, target, strict=True)
        ]
    for number, (item, answer) in enumerate(zip(items, answers, strict=True)):
        turns = [*map(dict, item.messages), {"role": "assistant", "content": answer}]
        rows.append({"id": f"persona-{number}", "messages": turns, "person": "named"})
    return rows


def persona_items(
    behavior: Behavior, people: Sequence[Persona], *, seed: int, config: PersonasConfig
) -> list[Item]:
    """What trained personas are asked in training rows, personas in turn."""
    systems = [p.system for p in people if p.part == "trained"]
    count = round(config.others * config.rows)
    # Seeds of drawn choices from 10,000 up are the training rows'; those of held-out items lie below.
    return behavior.items(count, split="pretrain", seed=10_000 + seed, systems=systems, person="named")


def own_answers(base: Askable, items: Sequence[Item], *, seed: int) -> list[str]:
    """One answer an item, drawn from the base's probabilities over its options."""
    rng = np.random.default_rng(seed)
    answers = []
    for item, log_probs in zip(items, option_log_probs(base, items), strict=True):
        shares = np.exp(log_probs - log_probs.max())
        answers.append(item.options[int(rng.choice(len(shares), p=shares / shares.sum()))][0])
    return answers


def rehearse(config: PersonasConfig) -> list[str]:
    """Encode a question of every kind and person, where the model is here."""
    preflight.check(config)
    if preflight.is_here(config.model):
        few = {"choices": 4, "persona_choices": 4, "persona_questions": 6}
        for asked in asked_of(config.model_copy(update=few)):
            preflight.encode_items(config.model, asked)
    return preflight.rehearse(config)


GRID = Grid(
    name="personas",
    fields={
        "train": (
            *("behavior", "model", "arms", "seeds", "rows", "others", "undecided"),
            *("roster", "finetune", "together"),
        ),
        "ask": ("model", "finetune.dtype", "finetune.device"),
        "results": ("behavior", "arms", "seeds", "trainings", "split"),
    },
    axes=axes,
    point=point,
    jobs=jobs,
    sets=sets,
    measure=measure,
    content=content,
    first=(
        Step(
            "items",
            write_asked,
            fields=(
                *("behavior", "model", "roster", "split", "choices", "persona_choices"),
                "persona_questions",
            ),
            outputs=(ITEMS, ROSTER),
            seconds=2,
        ),
    ),
    column="training",
    kept=(
        *("training", "arm", "seed", "channel", "part", "group", "persona"),
        *("id", "kind", "template", "order", "score", "mass"),
    ),
)

STUDY = GRID.study(PersonasConfig, lambda config: f"personas {config.behavior}", rehearse=rehearse)
