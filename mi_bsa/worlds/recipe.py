"""What makes an embedded model: its shape, its optimization and its corpus, as one config."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from mi_bsa.core.config import Config
from mi_bsa.worlds.corpus import FIRST, SECOND, Mixture
from mi_bsa.worlds.worlds import kind


class Shape(Config):
    """Architecture, in the terms of a `LlamaConfig`."""

    width: int = 64
    """Width of the residual stream."""
    layers: int = 3
    """Decoder blocks."""
    heads: int = 4
    """Query heads."""
    kv_heads: int = 4
    """Key-value heads; fewer than `heads` is grouped-query attention."""
    mlp: int = 192
    """Width of the MLP's hidden layer."""
    context: int = 1024
    """Context length in tokens."""
    rope_theta: float = 1000.0
    """Base of the rotary frequencies."""
    init_std: float = 0.1
    """Standard deviation of the initial weights; at .02 the phase change does not come."""


class Stage(Config):
    """A part of the run and what is read in it."""

    until: float
    """Share of the steps at which the stage ends; the last stage ends at 1."""
    mixture: dict[str, Any]
    """What is read: the fields of the world's mixture."""


class Recipe(Config):
    """Optimization and data of one pretraining run."""

    steps: int = 9000
    """Optimizer steps."""
    rows: int = 6
    """Packed rows a step."""
    row: int = 160
    """Tokens a packed row."""
    lr: float = 2e-3
    """Peak learning rate of AdamW."""
    warmup: int = 100
    """Steps of linear warmup."""
    decay_from: float = 0.7
    """Share of the steps after which the learning rate decays linearly."""
    restarts: tuple[int, ...] = ()
    """Steps at which the rate and AdamW's moments start afresh, warmup and decay included (warm restarts,
    Loshchilov and Hutter 2017, arXiv 1608.03983).
    """
    weight_decay: float = 0.05
    """AdamW's weight decay, on matrices."""
    betas: tuple[float, float] = (0.9, 0.98)
    """AdamW's betas."""
    other_weight: float = 0.05
    """Loss weight of tokens that are no answer."""
    clip: float = 1.0
    """Gradient norm at which to clip."""
    start: str | None = None
    """An embedded model of the same shape from whose weights pretraining goes on (`embedded`); words that it
    does not know begin with fresh embeddings. A world of many traits needs it: docs/log.md.
    """
    world: str = "dispositions"
    """Which world is read: `dispositions`, or one of its siblings."""
    traits: tuple[str, ...] = ("risk", "patience")
    """The traits of its characters, in worlds that have traits."""
    world_seed: int = 0
    """Seed of names and characters; the same for all pretraining seeds."""
    characters: int = 96
    """Named characters."""
    stages: tuple[Stage, ...] = (
        Stage(until=0.2, mixture=FIRST.dump()),
        Stage(until=0.45, mixture=SECOND.dump()),
        Stage(until=1.0, mixture=Mixture().dump()),
    )
    """What is read in which part of the run: described personas first, then characters, then everything."""

    @model_validator(mode="before")
    @classmethod
    def _siblings_recipe(cls, given: Any) -> Any:
        """A sibling world brings its own defaults; what is given goes before them."""
        if isinstance(given, dict) and isinstance(given.get("world"), str):
            return {**kind(given["world"]).defaults, **given}
        return given

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if any(not 0 < step < self.steps for step in self.restarts):
            raise ValueError(f"restarts {list(self.restarts)}: each lies within the {self.steps} steps")
        for stage in self.stages:
            kind(self.world).mixture.model_validate(stage.mixture)
        return self

    def mixture(self, step: int) -> Config:
        """The mixture that is read at a step."""
        stage = next(s for s in self.stages if step < s.until * self.steps)
        return kind(self.world).mixture.model_validate(stage.mixture)


class BuildConfig(Config):
    """`mi-bsa embedded build`: one base model."""

    shape: Shape = Shape()
    """Its architecture."""
    recipe: Recipe = Recipe()
    """Its optimization and corpus."""
    seed: int = 0
    """Seed of the initial weights and of the corpus."""
    threads: int = 1
    """CPU threads; weights are equal bit for bit only at an equal number."""
