"""A whole self-report: a base and its finetuned arms asked about themselves, others and other traits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from mi_bsa.asking.ask_config import AskingConfig, HostedConfig
from mi_bsa.asking.bank import KINDS
from mi_bsa.core.errors import MissingError
from mi_bsa.core.items import Item
from mi_bsa.core.variants import Variant


class BatteryConfig(AskingConfig):
    """What `mi-bsa self-report` asks, and whom."""

    banks: tuple[str, ...] = ()
    """Question banks in English: names or YAML files; the first is about the trained trait."""
    behavior: str | None = None
    """A behavior of the embedded world: its questions, its neighbor's, and those about named characters."""
    items: Path | None = None
    """Items as JSONL, labeled like those of a bank."""
    trait: str | None = None
    """The trained trait; by default the first bank's, or the behavior's."""
    split: Literal["pretrain", "dev", "test"] = "dev"
    """Which wordings: dev to look, test once for the report."""
    kinds: tuple[str, ...] = KINDS
    """Kinds of question asked from banks."""
    persons: tuple[str, ...] = ("default", "another")
    """Whom banks ask about: `default` is the model itself; the others are the third person."""
    system: str | None = None
    """System message of every question from a bank."""
    personas: dict[str, str] = Field(default_factory=dict)
    """Name -> system line of personas that are asked about themselves, as persons of their own in the
    results; the trained trait only.
    """
    samples: int = Field(default=0, ge=0)
    """Sampled answers for each question about oneself, for a measured parse rate; 0 takes the option mass."""
    instead: int = Field(default=2, ge=0)
    """Sampled answers of each question of a kind whose options hold too little of the probability, which is
    read so where enough of them can be; 0 leaves such kinds unread.
    """
    answer_tokens: int = Field(default=16, ge=1)
    """Longest sampled answer, in tokens; raise it where free descriptions are judged."""
    judges: tuple[Literal["words", "model", "endpoint"], ...] = ()
    """Who judges sampled answers to open questions; the first counts, the others say how far they agree.
    `words`: the bank's words; `model`: a local model; `endpoint`: an OpenAI-compatible server.
    """

    hosted: HostedConfig | None = None
    """A base and its finetunes behind an OpenAI-compatible endpoint, asked instead of `model` and its
    adapters.
    """

    @model_validator(mode="after")
    def _check(self) -> BatteryConfig:
        if sum((bool(self.banks), self.behavior is not None, self.items is not None)) != 1:
            raise ValueError("give one of `banks`, `behavior` and `items`")
        if self.items is not None and self.trait is None:
            raise ValueError("items need `trait`: say which trait was trained")
        if self.judges and not self.samples:
            raise ValueError("judges read sampled answers: set `samples` to 1 or more")
        if self.hosted is not None:
            self._check_hosted()
        return self

    def _check_hosted(self) -> None:
        assert self.hosted is not None
        said = [name for name in ("finetuned", "adapters", "behavior") if getattr(self, name)]
        if said or "model" in self.model_fields_set:
            raise ValueError(
                f"`hosted` and `{(said or ['model'])[0]}`: a hosted model is asked at its endpoint, from "
                f"`banks` or "
                "`items`; drop one of them"
            )
        if not self.hosted.log_probs and not self.instead:
            raise ValueError("`hosted.log_probs: false` asks by sampling: set `instead` to 1 or more")
        if "model" in self.judges and self.judge_model is None:
            raise ValueError("the judge `model` needs `judge_model`: a hosted base judges nothing here")


def adapters_of(config: AskingConfig) -> dict[str, tuple[str, int, Path]]:
    """Every local adapter: name -> (arm, seed, folder). Raises `MissingError` where a folder holds none."""
    adapters = {
        f"{arm}-{n}": (arm, n, path) for arm, paths in config.adapters.items() for n, path in enumerate(paths)
    }
    for name, path in config.model.adapters.items():
        variant = Variant.parse(name)
        adapters[name] = (variant.arm, variant.seed, path)
    if config.finetuned is not None:
        folders = sorted((config.finetuned / "adapters").glob("*-*/adapter"))
        if not folders:
            raise MissingError(
                f"{config.finetuned}: no adapters/ARM-SEED/adapter in it; give a finetune's output"
            )
        for folder in folders:
            variant = Variant.parse(folder.parent.name)
            adapters[folder.parent.name] = (variant.arm, variant.seed, folder)
    return adapters


def split_of(config: BatteryConfig, items: Sequence[Item]) -> str:
    """The split that the questions are of: the config's of a bank, their own label of items from a file."""
    if config.items is None:
        return config.split
    splits = sorted({str(item.labels.get("split", "unsaid")) for item in items})
    return " + ".join(splits)
