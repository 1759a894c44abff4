"""Work of training and asking in tokens, and the pace at which this machine does it, by a second of the real
work.

The law: what is timed is what a run calls (`ask`, conditions of the engine, `train_many`, `sample_texts`), on
the behavior's own rows and questions, so that whatever makes these faster makes the plan shorter. Seconds are
those of the processor: the clock of a machine that others use says little; how busy it is now is said beside.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mi_bsa.behaviors import behavior_for
from mi_bsa.core.items import thin
from mi_bsa.core.model_config import ModelConfig, ModelLike, as_config, tokenizer_of
from mi_bsa.core.shape import shape_of
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.many import groups
from mi_bsa.finetune.plan import CHARACTERS, FRAME, preview
from mi_bsa.finetune.preflight import is_here, loaded_small
from mi_bsa.study.pace import AROUND, SMALL, Pace, host, stated
from mi_bsa.study.study import models_of

if TYPE_CHECKING:
    from activations import Model
    from mi_bsa.core.items import Item
    from mi_bsa.core.rows import TrainingRow

SAMPLE = 24
"""Rows and questions whose tokens are counted for all."""
EMBEDDED = ModelConfig(name="embedded")
"""Stands for a base that is built by the study."""
STANDS = "risk"
"""Stands for a behavior of such a base."""
TOGETHER = 5
"""Adapters that are timed in one go, where a study trains them so."""
MANY, WRITTEN = 240, 96
"""Questions that a small model is timed on, and of which it generates."""
MEASURE = "MI_BSA_MEASURE"
"""Environment variable: 0 lets a dry run take the table's `cpu` for this machine, as tests do."""
SECOND = 0.5
"""Seconds of processor that each kind of work is timed for, at least, behind one call that is not timed."""


def row_tokens(model: ModelLike, rows: Sequence[TrainingRow]) -> float:
    """Mean tokens of training rows, estimated from characters where the tokenizer is not here."""
    some, shape = list(rows[:: max(1, len(rows) // SAMPLE)]), shape_of(model)
    tokenizer = tokenizer_of(model) if is_here(as_config(model)) else None
    context = int(shape.config.max_position_embeddings)
    found = preview(tokenizer, some, config=FinetuneConfig(steps=1), context=context, shown=0)
    return found.n_tokens / len(some)


def longest(sample: Sample) -> int:
    """Tokens of the longest of the sample's rows, estimated likewise."""
    some = list(sample.rows[:: max(1, len(sample.rows) // SAMPLE)])
    return max(round(row_tokens(sample.model, [row])) for row in some)


def item_tokens(model: ModelLike, items: Sequence[Item]) -> float:
    """Mean tokens of questions, likewise."""
    some = thin(list(items), SAMPLE)
    if not is_here(as_config(model)):
        sizes = [sum(FRAME + len(m["content"]) / CHARACTERS for m in item.messages) for item in some]
        return sum(sizes) / len(some)
    from activations.conversation import prompt_ids
    from activations.tokens import Template

    template = Template(tokenizer_of(model))
    return sum(len(prompt_ids(template, item.messages)) for item in some) / len(some)


@dataclass(frozen=True)
class Sample:
    """What a second of a study's work is measured on.

    Attributes:
        model: which.
        finetune: how adapters are trained.
        items, rows: of the study, from which some are taken.
        adapters: of the base that are loaded beside each other, at most.
        jobs: adapters that are trained in one step of the study, in one go where the model is small.
        together: whether the study lets them.
    """

    model: ModelConfig
    finetune: FinetuneConfig
    rows: Sequence[TrainingRow]
    items: Sequence[Item]
    adapters: int = 1
    jobs: int = 1
    together: bool = True

    @property
    def beside(self) -> int:
        """Adapters that are trained in one go."""
        jobs = {f"{n}": (self.finetune.model_copy(update={"seed": n}), 1) for n in range(self.jobs)}
        return max(len(group.names) for group in groups(self.model, jobs, stack=self.together))


def behavior_sample(config: Any) -> Sample:
    """Rows and questions of a config's behavior, or its first, on its model, or its first."""
    model = next(models_of(config), None)
    finetune = getattr(config, "finetune", FinetuneConfig(steps=1))
    named = getattr(config, "behavior", None) or next(iter(config.behaviors))
    if model is None:  # it is built by the study
        named, model = STANDS, EMBEDDED
    behavior = behavior_for(named, model)
    sets = behavior.study_sets(choices=SAMPLE, others=SAMPLE)
    return Sample(
        model,
        finetune,
        rows=behavior.rows("seeking", SAMPLE, seed=0),
        items=[item for own in sets.values() for item in own],
        adapters=len(getattr(config, "poles", ())) or 1,
        jobs=TOGETHER,
        together=getattr(config, "together", True),
    )


def pace_of(sample: Sample, *, on: str | None = None) -> Pace:
    """How long work on a model takes.

    Args:
        sample: the model, and what of it is timed.
        on: a machine of `machines.yaml`; None: this one, measured where the weights are here and small, else
            its entry `cpu`.
    """
    model, finetune, items, rows = sample.model, sample.finetune, sample.items, sample.rows
    here, beside = on is None and os.environ.get(MEASURE) != "0", sample.beside
    loaded = loaded_small(model.model_copy(update={"dtype": finetune.dtype})) if here else None
    if loaded is None:
        batch = row_tokens(model, rows) * finetune.batch_size * beside
        return stated(on or "cpu", shape_of(model), dtype=finetune.dtype, batch=batch)
    began, clock = time.process_time(), time.monotonic()
    asked, edited, read, generated = _reading(model, loaded, items)
    trained, fit = _training(model, finetune, rows, beside)
    own = host()
    spent = time.process_time() - began
    return Pace(
        "this machine",
        asked=asked,
        edited=edited,
        read=read,
        trained=trained,
        generated=generated,
        fit=fit,
        host=own,
        around=own * AROUND,
        busy=(time.monotonic() - clock) / spent,
        source=f"processor seconds; measured in {spent:.0f} s",
    )


def _rate(work: Callable[[], int]) -> float:
    """Tokens a processor second of something that says its tokens; once for what is made but once."""
    work()
    tokens, began = 0, time.process_time()
    while (spent := time.process_time() - began) < SECOND:
        tokens += work()
    return tokens / spent


def _reading(name: ModelConfig, model: Model, items: Sequence[Item]) -> tuple[float, float, float, float]:
    """Tokens a second asked, edited, read and generated."""
    import numpy as np

    from activations import engine
    from mi_bsa.asking import ask
    from mi_bsa.asking.sampling import sample_texts
    from probes import random_directions

    small = shape_of(name).parameters() < SMALL  # a call costs more there than what it reads
    some = thin(list(items), MANY if small else SAMPLE)
    rows = model.rows([list(item.messages) for item in some])
    inside = sum(len(row) for row in rows)
    ids = np.zeros((len(rows), 2), np.int64)
    few = rows[:SAMPLE]
    site = f"resid_post.{(model.n_layers - 1) // 2}"
    vectors = random_directions(8, model.d_model, rng=np.random.default_rng(0))
    added = engine.adding(site, vectors, None)

    def asking() -> int:
        ask(model, some)
        return inside

    def editing() -> int:
        engine.option_logits(model, few, added, tokens=ids[: len(few)])
        return len(vectors) * sum(len(row) for row in few)

    def reading() -> int:
        engine.option_logits(model, rows, tokens=ids)
        return inside

    def writing() -> int:
        said = [(item.id, item.messages) for item in some[:WRITTEN]]
        sample_texts(model, said, 1, seed=0, max_new_tokens=8)
        return 8 * len(said)

    return _rate(asking), _rate(editing), _rate(reading), _rate(writing)


def _training(
    model: ModelConfig, finetune: FinetuneConfig, rows: Sequence[TrainingRow], beside: int
) -> tuple[float, float]:
    """Tokens a second that are trained on, and seconds that an adapter takes besides: from a short training
    and a longer one."""
    from activations.devices import LARGE
    from mi_bsa.finetune.many import train_many

    base, each = model.model_copy(update={"device": "cpu"}), row_tokens(model, rows)
    # a large base is busy with the rows of one adapter, and a step of several takes a minute
    timed = 1 if shape_of(model).parameters() > LARGE else beside
    plain: dict[str, Any] = {"epochs": None, "checkpoints": 0, "stop_below": None, "schedule": "constant"}

    def spent(steps: int) -> float:
        own = finetune.model_copy(update={**plain, "steps": steps, "device": "cpu"})
        jobs = {f"{n}": (list(rows), own.model_copy(update={"seed": n})) for n in range(timed)}
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            train_many(base, jobs, out=folder)
            return time.process_time() - began

    spent(1)  # what is imported and made but once
    first, more = spent(1), 1
    while (longer := spent(1 + more)) - first < SECOND / 2 and more < 64:  # short steps are lost in the rest
        more *= 4
    step = max(longer - first, 1e-3) / more
    return each * finetune.batch_size * timed / step, max(first - step, 0.0) / beside
