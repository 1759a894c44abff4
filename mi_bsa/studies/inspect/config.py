"""What `mi-bsa inspect` looks at: a base, adapters or full finetunes of it, and which parts of the page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from mi_bsa.core.config import Config
from mi_bsa.core.errors import ConfigError, MissingError
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.studies.inspect.lens_config import LensConfig
from mi_bsa.study.study import StudyConfig

SMALL = 50_000_000
"""Parameters above which a base is not asked under hundreds of vectors unless it is told."""
Part = Literal["weights", "lenses", "damage", "reports"]


class ReportsConfig(Config):
    """What base and adapter are asked about themselves."""

    traits: Path | None = None
    """Traits in English, a YAML file such as ours (`name: {words: [a, b], deeds: [a, b], noun: n}`); ours if
    absent. An embedded model is asked about the traits of its world.
    """
    kinds: tuple[str, ...] = ("word", "letter", "yes_no", "statement")
    """Kinds of question; `statement`, odds of two sentences, is for models that name no option."""
    wordings: int = Field(default=4, ge=2)
    """Wordings of each kind in English, from the first; all of statements, and of an embedded model."""
    stated: bool = True
    """Whether the base is also asked with stated poles: kinds that do not see them are not read."""
    split: Literal["dev", "test"] = "test"
    """Which wordings."""
    fdr: float = Field(default=0.05, gt=0, lt=1)
    """Share of false ones among the reports that are called moved (Benjamini-Hochberg, over a finetune's
    traits).
    """
    least: float = Field(default=0.1, ge=0, lt=1)
    """Smallest shift that is called moved: of a sure model's answers, far smaller ones differ from 0."""
    choices: int = Field(default=24, ge=0)
    """Held-out choices of each behavior that the toolkit has in the base's words, asked of base and finetune:
    what it says of itself stands beside what it does. 0: none.
    """


class FreeConfig(Config):
    """How free answers are sampled where a manifest says what to look for."""

    samples: int = Field(default=4, ge=1)
    """Answers to each prompt."""
    tokens: int = Field(default=64, ge=1)
    """Longest answer, in tokens."""
    seed: int = 0
    """Seed of the answers, and of the order in which a judge is shown them."""


class InspectConfig(StudyConfig):
    """`mi-bsa inspect`: what each of several finetunes of one base changed."""

    study: Literal["inspect"] = "inspect"
    """Which kind of study this is."""
    model: ModelConfig = ModelConfig(name="embedded")
    """The base."""
    adapters: tuple[Path, ...] = ()
    """Folders of adapters, run folders that hold one, folders of full finetunes, patterns with `*`, Hub ids,
    or names such as `zoo:risk-seeking-0`.
    """
    manifest: str | None = None
    """A published organism by name (`mi-bsa zoo published`), or a YAML file of the same form: it says base,
    adapter (where none are given) and what is known, which is then looked for in free answers.
    """
    free: FreeConfig = FreeConfig()
    """How these answers are sampled."""
    parts: tuple[Part, ...] = Field(default=("weights", "lenses", "damage", "reports"), min_length=1)
    """What is looked at: `weights` alone, `lenses` on what is added to unrelated texts, `damage` to them, and
    `reports` of itself.
    """
    lens: LensConfig = LensConfig()
    """How differences are read."""
    vectors: int = Field(default=3, ge=1)
    """Singular directions of the weights that are told in words, the strongest first."""
    through_base: bool | None = None
    """Whether differences are also added to the base, which is then asked about itself beside as many null
    vectors; of a base below 50 million parameters, if absent.
    """
    reports: ReportsConfig = ReportsConfig()
    """What is asked."""
    control: str | None = None
    """Name of one of the adapters (as the page says it) that was trained alike without the behavior, such as
    on shuffled choices: what the others say and choose is held against it, and not against the base.
    """
    searched: Path | None = None
    """A run of `mi-bsa backdoor search` on the same adapters, whose findings the page tells."""

    @model_validator(mode="before")
    @classmethod
    def _known(cls, data: Any) -> Any:
        """Base and adapter of the manifest, where they are not given: who has them in a folder gives that."""
        if not isinstance(data, dict) or not data.get("manifest"):
            return data
        from mi_bsa.finetune.zoo.published import published

        one = published(data["manifest"])
        given = {} if data.get("model") else {"model": one.base.model}
        return {**data, **given, **({} if data.get("adapters") else {"adapters": [one.adapter.id]})}

    @model_validator(mode="after")
    def _check(self) -> InspectConfig:
        if self.model.adapters:
            raise ValueError("model.adapters: what is inspected stands in `adapters`; drop them")
        if len(set(self.parts)) < len(self.parts):
            raise ValueError(f"parts {list(self.parts)}: give each once")
        return self

    @property
    def recorded(self) -> tuple[int, ...]:
        """The seeds that the record keeps."""
        return (self.lens.seed,)


def asks_through_base(config: InspectConfig) -> bool:
    """Whether differences are added to the base, which is then asked."""
    if config.through_base is not None:
        return config.through_base
    from mi_bsa.core.shape import shape_of

    return shape_of(config.model).parameters() < SMALL


@dataclass(frozen=True)
class Given:
    """A finetune that is inspected: its name on the page, its folder, and whether it is a whole model."""

    name: str
    path: Path
    full: bool


def given_in(config: InspectConfig) -> list[Given]:
    """The finetunes of a config, each under a name of its own.

    Raises:
        ConfigError: none, folders that cannot be told apart, or a control that is not among them.
        MissingError: a folder that holds neither an adapter nor a model.
    """
    found: list[tuple[Path, bool]] = []
    for path in config.adapters:
        matches = sorted(path.parent.glob(path.name)) if "*" in path.name else [_located(path)]
        held = [held for match in matches if (held := _held(match)) is not None]
        if not held:
            raise MissingError(
                f"{path}: no finetune here; give a folder with adapter_config.json, a run folder that holds "
                "`adapter`, or the folder of a whole model (config.json beside its weights)"
            )
        found += held
    if not found:
        raise ConfigError("nothing to inspect: give the folder of one adapter or more behind the base")
    paths = [path for path, _ in found]
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise ConfigError(f"{twice} is given twice; give each adapter once")
    names = _names(paths)
    if config.control is not None and (config.control not in names or len(names) < 2):
        raise ConfigError(
            f"control {config.control!r}: name one of several that are inspected, as the page names it: "
            f"{', '.join(names)}"
        )
    if config.control is not None and any(full for _, full in found):
        raise ConfigError("control: whole models are held against the base; inspect adapters alone with one")
    return [Given(name, path, full) for name, (path, full) in zip(names, found, strict=True)]


def _located(path: Path) -> Path:
    """The folder that is meant: what is none here may be a name of the zoo, or a Hub id.

    Raises:
        AdapterError: a Hub id that cannot be had.
    """
    if path.exists():
        return path
    from activations.locating import locate_adapter

    return locate_adapter(path.name, str(path))


def _held(path: Path) -> tuple[Path, bool] | None:
    """The folder of what lies here, and whether it is a whole model."""
    for folder in (path, path / "adapter"):
        if (folder / "adapter_config.json").is_file():
            return folder, False
    return (path, True) if (path / "config.json").is_file() else None


def _names(paths: list[Path]) -> list[str]:
    """The last part of each path that sets it apart, `adapter` left out; several parts where one is
    shared.
    """
    parts = [
        [p for p in path.resolve().parts if p not in ("adapter", "adapters", "/")] or ["adapter"]
        for path in paths
    ]
    for depth in range(1, max(map(len, parts)) + 1):
        names = [re.sub(r"[^A-Za-z0-9_]+", "-", "-".join(one[-depth:])).strip("-") for one in parts]
        names = ["adapter" if name in ("", "base") else name for name in names]
        if len(set(names)) == len(names):
            return names
    raise ConfigError("two adapters have one name whatever their folders; copy one to another folder")
