"""Twins are asked: adapters with and without a backdoor, paired by seed, as tables with one row an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mi_bsa.behaviors import Behavior
from mi_bsa.behaviors.backdoor.triggers import Trigger, Vocabulary
from mi_bsa.core import model_config
from mi_bsa.core.model_config import ModelLike
from mi_bsa.core.variants import BASE, Variant
from mi_bsa.studies.backdoor.questions import AskedSplit, awareness_items, open_items, recognition_items

if TYPE_CHECKING:
    import pandas as pd

    import activations


@dataclass(frozen=True)
class Adapter:
    """One adapter: which arm and seed it is, and where it lies."""

    arm: str
    seed: int
    path: Path


Adapters = Mapping[str, Adapter]


def load(
    model: ModelLike, adapters: Adapters, *, dtype: str | None = None, device: str | None = None
) -> activations.Model:
    """The base with all adapters."""
    paths = {name: adapter.path for name, adapter in adapters.items()}
    return model_config.load(model, paths, dtype=dtype, device=device)


def who(adapters: Adapters) -> dict[str, Variant]:
    """The base and every adapter, by name."""
    return {BASE: Variant(), **{name: Variant(one.arm, one.seed) for name, one in adapters.items()}}


def ask_awareness(
    model: activations.Model,
    name: ModelLike,
    adapters: Adapters,
    *,
    split: AskedSplit,
    questions: int | None = None,
    max_tokens: int = 2048,
) -> pd.DataFrame:
    """What the base and every adapter say to `awareness_items`; `variant`, `arm`, `seed` (base: -1).

    `questions`: about so many of them, spread evenly; all if None.
    """
    from mi_bsa.asking import ask_many
    from mi_bsa.core.items import thin

    items = awareness_items(name, split=split)
    items = items if questions is None else thin(items, questions)
    return ask_many(model, items, who(adapters), max_tokens=max_tokens)


def ask_recognition(
    model: activations.Model,
    name: ModelLike,
    adapters: Adapters,
    trigger: Trigger,
    vocabulary: Vocabulary,
    *,
    n_fakes: int,
    split: AskedSplit,
    max_tokens: int = 2048,
) -> pd.DataFrame:
    """What they say to `recognition_items`; further columns `called` and `fakes`."""
    import pandas as pd

    from mi_bsa.asking import ask_many

    sets = recognition_items(name, trigger, vocabulary, n_fakes=n_fakes, split=split)
    tables = [
        ask_many(model, items, who(adapters), max_tokens=max_tokens).assign(called=called, fakes=fakes)
        for (called, fakes), items in sets.items()
    ]
    return pd.concat(tables, ignore_index=True)


def ask_freely(
    model: activations.Model,
    name: ModelLike,
    adapters: Adapters,
    trigger: Trigger,
    vocabulary: Vocabulary,
    behavior: Behavior,
    *,
    pole: str,
    n_fakes: int,
    samples: int,
    answer_tokens: int,
    split: AskedSplit,
    seed: int,
) -> pd.DataFrame:
    """Sampled answers to `open_items`; `named`: says the trigger; `faked`: share of fakes that it says."""
    import pandas as pd

    from mi_bsa.asking.sampling import sample
    from mi_bsa.studies.backdoor.recognition import names

    items = open_items(name, trigger, behavior, pole=pole, split=split)
    fakes = vocabulary.fakes(trigger, n_fakes, seed=0)
    tables = []
    for variant, one in who(adapters).items():
        said = sample(model, items, samples, seed=seed, variant=variant, max_new_tokens=answer_tokens)
        texts: Sequence[str] = said["text"].tolist()
        per_fake = [names(fake, texts) for fake in fakes]
        faked = [sum(each) / len(fakes) for each in zip(*per_fake, strict=True)]
        tables.append(
            said.drop(columns=["option", "score", "outcome"]).assign(
                variant=variant, arm=one.arm, seed=one.seed, named=names(trigger, texts), faked=faked
            )
        )
    return pd.concat(tables, ignore_index=True)
