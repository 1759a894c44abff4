"""The config of a study of what fine-tuning changes: what `configs/embedded/wrapper.yaml` may say."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from mi_bsa.core.config import Config
from mi_bsa.core.model_config import WHERE, ModelConfig, settle
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.data import DataConfig
from mi_bsa.study.study import SeedsConfig
from mi_bsa.worlds.recipe import Shape

Rate = Literal["L", "M", "S"]


def _check_shares(shares: tuple[float, ...]) -> None:
    if not shares or len(set(shares)) < len(shares) or not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"spurious {list(shares)}: give different shares between 0 and 1, at least one")


class Training(Config):
    """One run of AdamW over fresh rows, all weights trained."""

    steps: int = Field(ge=1)
    """Optimizer steps."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate."""
    batch_size: int = Field(default=32, ge=2)
    """Rows a step."""
    warmup: int = Field(default=10, ge=0)
    """Steps of linear warmup."""
    decay_from: float = Field(default=1.0, ge=0, le=1)
    """Share of the steps after which the rate falls linearly to 3 %; 1 keeps it constant."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's weight decay, on matrices."""

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        done = step / self.steps
        tail = 1.0 if done < self.decay_from else max(0.03, (1 - done) / (1 - self.decay_from))
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup)) * tail


class Tuned(Config):
    """What is shared by all systems whose weights are trained."""

    rates: dict[Rate, Training] = {
        "L": Training(learning_rate=1e-3, steps=100),
        "M": Training(learning_rate=3e-4, steps=100),
        "S": Training(learning_rate=1e-4, steps=150),
    }
    """Fine-tuning at a large, a medium and a small rate, each until the new skill is there."""
    revive: Training = Training(learning_rate=1e-4, steps=600, warmup=0)
    """How the old skill is trained again."""

    @model_validator(mode="after")
    def _check_rates(self) -> Tuned:
        if not self.rates:
            raise ValueError("rates is empty: give at least one of L, M, S")
        return self


class PcfgConfig(Tuned):
    """Procedures on strings of a grammar: count, compose, index, token-at."""

    levels: int = Field(default=3, ge=2, le=6)
    """Levels of the grammar; strings have 2 ** levels terminals."""
    grammar: int = 0
    """Seed of the grammar."""
    q: int = 1
    """count(b) - count(a) where the spurious attribute holds."""
    shape: Shape = Shape(layers=2, context=80)
    """Architecture; its context must hold a string and 8 tokens."""
    pretraining: Training = Training(
        steps=500, learning_rate=3e-3, warmup=50, decay_from=0.6, weight_decay=0.05
    )
    """How bases are trained."""
    relevance: dict[str, tuple[float, float]] = {
        "strong": (0.45, 0.45),
        "weak": (0.45, 0.02),
        "never": (0.0, 0.45),
    }
    """Bases: shares of the counting rows that ask for a (the old skill) and for b (what the new one needs);
    `never` is the control, which never had the old skill.
    """
    spurious: tuple[float, ...] = (0.0, 0.5, 0.8)
    """C_tr: shares of the fine-tuning rows in which the spurious attribute holds; the first at all rates."""

    @model_validator(mode="after")
    def _check(self) -> PcfgConfig:
        if 2**self.levels + 8 > self.shape.context:
            raise ValueError(
                f"levels {self.levels}: a row has {2**self.levels + 8} tokens and shape.context is "
                f"{self.shape.context}; raise it"
            )
        if len(self.relevance) < 2 or self.relevance.get("never", (1.0,))[0] != 0.0:
            raise ValueError("relevance: give a base with the skill, and `never` with a share of 0 of it")
        for name, (old, new) in self.relevance.items():
            if not (0 <= old <= 1 and 0 <= new <= 1 and old + new <= 1):
                raise ValueError(
                    f"relevance {name!r}: shares {old} and {new}; give two that add up to 1 at most"
                )
        _check_shares(self.spurious)
        return self


class CompiledConfig(Tuned):
    """Hand-set weights: a counter and a max-identifier. Their logits are large, so their rates are too."""

    rates: dict[Rate, Training] = {
        "L": Training(learning_rate=1e-2, steps=150),
        "M": Training(learning_rate=3e-3, steps=150),
        "S": Training(learning_rate=1e-3, steps=200),
    }
    """As for the grammar."""
    revive: Training = Training(learning_rate=1e-3, steps=600, warmup=0)
    """As for the grammar."""
    kinds: tuple[Literal["counter", "max"], ...] = ("counter", "max")
    """Which."""
    length: int = Field(default=12, ge=4, le=40)
    """Tokens of a string."""
    q: int = 1
    """As for the grammar; of the counter."""
    spurious: tuple[float, ...] = (0.0, 0.5, 0.8)
    """As for the grammar; of the counter."""

    @model_validator(mode="after")
    def _check(self) -> CompiledConfig:
        if not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"kinds {list(self.kinds)}: give counter, max or both, each once")
        _check_shares(self.spurious)
        return self


class StoriesConfig(Tuned):
    """A story world with a feature that is deleted."""

    shape: Shape = Shape(layers=2, context=40)
    """Architecture."""
    world: int = 0
    """Seed of what things reveal, and what is done where."""
    twists: float = Field(default=0.5, gt=0, lt=1)
    """Share of the stories with a twist; the control reads none."""
    pretraining: Training = Training(
        steps=200, learning_rate=3e-3, warmup=50, decay_from=0.6, weight_decay=0.05
    )
    """How bases are trained."""
    deletions: tuple[Literal["filter", "randomize", "mix"], ...] = ("mix", "randomize", "filter")
    """Ways of deletion; the first at all rates."""

    @model_validator(mode="after")
    def _check(self) -> StoriesConfig:
        if not self.deletions or len(set(self.deletions)) < len(self.deletions):
            raise ValueError(f"deletions {list(self.deletions)}: give filter, randomize or mix, each once")
        return self


class AwarenessConfig(Config):
    """The same asked of self-awareness: the wrapper is the adapter."""

    model: ModelConfig = ModelConfig(name="embedded")
    """The base: `embedded`, a folder or a Hub id."""
    behavior: str = "risk"
    """What the adapter was trained to do, on choices alone."""
    data: DataConfig = DataConfig(choices=120, others=20)
    """Rows and items."""
    finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, steps=200)
    """How the adapter is trained, the seeking pole."""
    revive: FinetuneConfig = FinetuneConfig(
        rank=16, alpha=32.0, steps=100, learning_rate=3e-4, schedule="constant", warmup=0.0, checkpoints=12
    )
    """How the old choices are trained again, on top of the merged adapter: a smaller rate."""
    orders: int = Field(default=20, ge=2)
    """Random orders in which modules are closed: the null of pruning."""

    @model_validator(mode="after")
    def _check(self) -> AwarenessConfig:
        settle(self, "model", "finetune")
        return self


class PruningConfig(Config):
    """How units are taken out."""

    counts: tuple[int, ...] = (1, 2, 3, 5, 8, 10, 12, 15)
    """How many."""
    choose: tuple[int, int] = (5, 15)
    """The number that counts is chosen within these, on development rows."""
    rows: int = Field(default=192, ge=16)
    """Development rows behind the scores."""
    draws: int = Field(default=6, ge=2)
    """Random orders of units: the null."""
    null_rows: int = Field(default=100, ge=20)
    """Test rows, the first, that random orders are scored on."""

    @model_validator(mode="after")
    def _check(self) -> PruningConfig:
        if list(self.counts) != sorted(set(self.counts)) or not self.counts or self.counts[0] < 1:
            raise ValueError(f"counts {list(self.counts)}: give rising numbers of units, from 1 on")
        if not self.chosen:
            raise ValueError(f"choose {list(self.choose)}: none of counts lies within; widen it")
        return self

    @property
    def chosen(self) -> tuple[int, ...]:
        """The numbers of units among which one is chosen."""
        return tuple(k for k in self.counts if self.choose[0] <= k <= self.choose[1])


class WrapperConfig(SeedsConfig):
    """Does fine-tuning remove a skill, or wrap it? Pruned, probed and revived."""

    same: ClassVar[tuple[tuple[str, ...], ...]] = tuple(
        (f"awareness.model.{key}", f"awareness.finetune.{key}") for key in WHERE
    )
    study: Literal["wrapper"] = "wrapper"
    """Which kind of study this is."""
    pcfg: PcfgConfig | None = PcfgConfig()
    """Procedures on strings of a grammar; null leaves them out."""
    compiled: CompiledConfig | None = CompiledConfig()
    """Hand-set weights; null leaves them out."""
    stories: StoriesConfig | None = StoriesConfig()
    """Stories with a twist; null leaves them out."""
    awareness: AwarenessConfig | None = AwarenessConfig()
    """The adapter that changes choices and self-report; null leaves it out."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds; each is of a base, its fine-tuning and its revival, and of an adapter."""
    tests: int = Field(default=300, ge=50)
    """Fresh rows behind each accuracy."""
    probes: int = Field(default=400, ge=100)
    """Rows that a probe is fitted and tested on."""
    pruning: PruningConfig = PruningConfig()
    """How units are taken out."""
    mark: float = Field(default=0.9, gt=0, lt=1)
    """A skill is back at this share of the accuracy that the base had."""
    workers: int = Field(default=2, ge=1)
    """Processes that work side by side."""

    @model_validator(mode="after")
    def _check(self) -> WrapperConfig:
        if not any((self.pcfg, self.compiled, self.stories, self.awareness)):
            raise ValueError("nothing to run: give one of pcfg, compiled, stories, awareness")
        return self
