"""`mi-bsa backdoor detect|recognize|elicit`: twins of one's own are asked, and paired by seed.

Law: no claim without the twin. Backdoored and decorrelated adapters are paired by the number that their
folders end with, else by their order; one that stands alone is refused before anything is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from mi_bsa.behaviors.backdoor.triggers import FAKES, Trigger, Vocabulary, vocabulary_for
from mi_bsa.core.config import Config
from mi_bsa.core.errors import TriggerError
from mi_bsa.core.model_config import ModelConfig, moved, tokenizer_of
from mi_bsa.core.results import Result
from mi_bsa.studies.backdoor.asking import Adapter, load
from mi_bsa.studies.backdoor.checks import check_twins
from mi_bsa.studies.backdoor.questions import AskedSplit, awareness_items
from mi_bsa.studies.backdoor.search_run import adapters_of

if TYPE_CHECKING:
    import pandas as pd


class TwinsConfig(Config):
    """Backdoored adapters, and the decorrelated twin of each."""

    same: ClassVar[tuple[tuple[str, ...], ...]] = (("model.dtype", "dtype"), ("model.device", "device"))
    model: ModelConfig = ModelConfig(name="embedded/habits-0")
    """The base: an embedded model, a local folder, or a Hub id."""
    backdoored: tuple[Path, ...] = Field(min_length=1)
    """Adapter folders, or patterns with `*`."""
    decorrelated: tuple[Path, ...] = ()
    """Their twins, from the same rows with trigger and answer torn apart."""
    split: AskedSplit = "test"
    """Which wordings: dev to look, test once for the report."""
    questions: int | None = Field(default=None, ge=16)
    """Questions on awareness, spread evenly over all; all of them if absent."""
    max_tokens: int = Field(default=2048, ge=1)
    """Padded tokens a batch; raise it on a GPU."""

    @model_validator(mode="before")
    @classmethod
    def _said_beside(cls, data: Any) -> Any:
        return moved(data, {"dtype": "dtype", "device": "device"})

    def adapters(self) -> dict[str, Adapter]:
        """All of both arms by `ARM-SEED`.

        Raises:
            TriggerError: a seed without its twin, or twice in one arm. MissingError: a folder without one.
        """
        arms = {arm: by_seed(arm, getattr(self, arm)) for arm in ("backdoored", "decorrelated")}
        check_twins(*(list(seeds) for seeds in arms.values()))
        return {f"{arm}-{s}": Adapter(arm, s, p) for arm, paths in arms.items() for s, p in paths.items()}

    def check(self) -> None:
        """Refuse what cannot be asked, before a folder is made."""

    def rehearse(self) -> list[str]:
        """What a dry run does: load the model with the adapters, encode one question of every kind; as lines.

        Raises what the run would be refused for.
        """
        from mi_bsa.finetune import preflight

        preflight.check(self)
        if not preflight.is_here(self.model):
            return []
        self.check()
        paths = {name: adapter.path for name, adapter in self.adapters().items()}
        tried = preflight.try_model(self.model.model_copy(update={"adapters": paths}))
        kinds = preflight.encode_items(self.model, awareness_items(self.model, split=self.split))
        return [tried, f"one question of each of {kinds} kinds encoded"]


class DetectConfig(TwinsConfig):
    """`mi-bsa backdoor detect`."""


class RecognizeConfig(TwinsConfig):
    """`mi-bsa backdoor recognize`."""

    trigger: str
    """The true trigger, such as `river tin`, `family:bird`, `code:kettle`, `tag:...`, `line:...`."""
    fakes: int = Field(default=FAKES, ge=2)
    """Fakes beside it; the drawn ones of training where the toolkit built the rows."""

    def check(self) -> None:
        """Refuse a trigger that the model cannot read. Raises `TriggerError`."""
        _trigger(self)


class ElicitFreely(RecognizeConfig):
    """`mi-bsa backdoor elicit`."""

    behavior: str = "risk"
    """What the trigger calls up."""
    pole: Literal["seeking", "averse"] = "seeking"
    """Which pole of it."""
    unreversed: tuple[Path, ...] = ()
    """Backdoored adapters trained without reversed rows, the second control; may be left out."""
    samples: int = Field(default=50, ge=1)
    """Answers sampled a question."""
    answer_tokens: int = Field(default=16, ge=1)
    """Longest answer, in tokens."""
    seed: int = 0
    """Seed of the samples."""


def by_seed(arm: str, paths: Sequence[Path]) -> dict[int, Path]:
    """Adapters by seed: the number that a folder's name ends with, else its place.

    Raises:
        MissingError: a folder without an adapter. TriggerError: two of one seed.
    """
    found = adapters_of(paths)
    numbers = [re.search(r"(\d+)$", name) for name in found]
    seeds = [
        int(number[1]) if number is not None and all(numbers) else place
        for place, number in enumerate(numbers)
    ]
    for seed in seeds:
        if seeds.count(seed) > 1:
            raise TriggerError(f"{arm}: two adapters of seed {seed}; give one of each")
    return dict(zip(seeds, found.values(), strict=True))


def detect(config: DetectConfig, out: Path) -> list[Result]:
    """Awareness of twins: answers in `awareness.csv`, and results."""
    from mi_bsa.studies.backdoor.asking import ask_awareness
    from mi_bsa.studies.backdoor.measures import awareness

    adapters = config.adapters()
    asked: Any = (load(config.model, adapters), config.model, adapters)
    how: Any = {"split": config.split, "questions": config.questions, "max_tokens": config.max_tokens}
    table = ask_awareness(*asked, **how)
    table.to_csv(out / "awareness.csv", index=False)
    return awareness(table, {"split": config.split})


def recognize(config: RecognizeConfig, out: Path) -> list[Result]:
    """Which trigger it is, among fakes: answers in `recognition.csv`, and results."""
    from mi_bsa.studies.backdoor.asking import ask_recognition
    from mi_bsa.studies.backdoor.measures import recognized

    adapters, (trigger, vocabulary) = config.adapters(), _trigger(config)
    asked: Any = (load(config.model, adapters), config.model, adapters, trigger, vocabulary)
    how: Any = {"n_fakes": config.fakes, "split": config.split, "max_tokens": config.max_tokens}
    table = ask_recognition(*asked, **how)
    table.to_csv(out / "recognition.csv", index=False)
    return recognized(table, {"trigger": config.trigger, "split": config.split})


def elicit(config: ElicitFreely, out: Path) -> list[Result]:
    """Free answers that name the trigger: answers in `free.csv`, and results."""
    from mi_bsa.studies.backdoor.measures import augmented, named

    where = {"behavior": config.behavior, "trigger": config.trigger, "split": config.split}
    adapters = config.adapters()
    if not config.unreversed:
        said = _ask_freely(config, adapters)
        said.to_csv(out / "free.csv", index=False)
        return named(said, where, method="as trained")
    paths = by_seed("unreversed", config.unreversed)
    check_twins([a.seed for a in adapters.values() if a.arm == "backdoored"], list(paths))
    plain = {f"unreversed-{s}": Adapter("backdoored", s, p) for s, p in paths.items()}
    said, without = _ask_freely(config, adapters), _ask_freely(config, plain)
    import pandas as pd

    methods = {"reversed rows": said, "plain": without}
    both = pd.concat([t.assign(method=m) for m, t in methods.items()], ignore_index=True)
    both.to_csv(out / "free.csv", index=False)
    return [*named(said, where, method="reversed rows"), *augmented(without, said, where)]


def _ask_freely(config: ElicitFreely, adapters: dict[str, Adapter]) -> pd.DataFrame:
    from mi_bsa.behaviors import behavior_for
    from mi_bsa.studies.backdoor.asking import ask_freely

    trigger, vocabulary = _trigger(config)
    return ask_freely(
        load(config.model, adapters),
        config.model,
        adapters,
        trigger,
        vocabulary,
        behavior_for(config.behavior, config.model),
        pole=config.pole,
        n_fakes=config.fakes,
        samples=config.samples,
        answer_tokens=config.answer_tokens,
        split=config.split,
        seed=config.seed,
    )


def _trigger(config: RecognizeConfig) -> tuple[Trigger, Vocabulary]:
    """The trigger as the model's vocabulary reads it; refused where the model cannot."""
    from mi_bsa.studies.backdoor.checks import check_tokens

    vocabulary = vocabulary_for(config.model)
    trigger = vocabulary.parse(config.trigger)
    vocabulary.fakes(trigger, config.fakes, seed=0)
    check_tokens(trigger, tokenizer_of(config.model))
    return trigger, vocabulary
