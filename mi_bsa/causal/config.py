"""Configs of `mi-bsa patch` and `mi-bsa steer`: which model, which items, what is moved, what it is held
against.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from mi_bsa.core.config import Config
from mi_bsa.core.items import AskedSplit
from mi_bsa.core.model_config import ModelConfig

READ_OUTS = ("behavior", "self_report")


class ItemsConfig(Config):
    """Where the items of each read-out come from: a behavior of the embedded world, or files."""

    behavior: str | None = None
    """A behavior of the toolkit; its choices and its self-report questions are the items."""
    files: dict[str, Path] = Field(default_factory=dict)
    """Instead of a behavior: read-out -> JSONL of items (`{"id", "messages", "options": [[text, score],
    ...]}`).
    """
    development: dict[str, Path] = Field(default_factory=dict)
    """With `files`: the development items of each read-out, for steering."""
    neutral: Path | None = None
    """Prompts file of no concern to the behavior; a behavior of the toolkit brings its own."""
    n: int = Field(default=24, ge=2)
    """Items of each read-out, thinned evenly."""
    first_token: bool = False
    """Where an option has several tokens, let its first one stand for it."""

    @model_validator(mode="after")
    def _check(self) -> ItemsConfig:
        if (self.behavior is None) == (not self.files):
            raise ValueError("give either `behavior` or `files` (read-out: path), one of them")
        if self.files and self.development and set(self.files) != set(self.development):
            raise ValueError("`files` and `development` name different read-outs; give both the same")
        return self


class GatesConfig(Config):
    """Attribution of the effect to the source adapter's modules."""

    permutations: int = Field(default=32, ge=4)
    """Orders in which gates are opened, in pairs; even."""
    constancy: bool = True
    """Also measure how constant each module's addition is, and replace it by its constant."""
    seed: int = 0
    """Of the permutations and the bootstrap."""

    @field_validator("permutations")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError(
                f"{value} permutations: they come in pairs with their reverse, give an even number"
            )
        return value


class PatchRun(Config):
    """What `mi-bsa patch` does: values of a source run put into a target run, cell by cell."""

    model: ModelConfig = ModelConfig(name="embedded")
    """The model and its adapters."""
    items: ItemsConfig | None = None
    """Items that both runs read (base <-> fine-tune); give this or `pairs`."""
    pairs: Path | None = None
    """JSONL of clean <-> corrupt pairs: `{"id", "source": [messages], "target": [messages], "answer": "A",
    "other": "B"}`; a string instead of messages is plain text, and its answer begins with its space.
    """
    source: str | None = None
    """Variant that values come from: `base`, an adapter, `name@alpha`; the only adapter by default."""
    target: str | None = None
    """Variant that they are put into; `base` by default, and with `pairs` the source's."""
    split: AskedSplit = "test"
    """Which of the behavior's items are read."""
    site: str = "resid_post"
    """Kind of site, with layers if not all: `resid_post`, `head_z`, `mlp_out.0:2`, `lora_out.down_proj`."""
    by_head: bool = False
    """With `head_z`: every head alone."""
    positions: Literal["each", "role", "together"] = "each"
    """Every token alone, the tokens of a role, or all together (a layer x head map, with `by_head`)."""
    align: Literal["position", "end", "roles"] = "roles"
    """How tokens are paired; `roles` for prompts of different lengths."""
    mode: Literal["denoising", "noising"] = "denoising"
    """Source values into the target run, or target values into the source run."""
    metric: Literal["log_odds", "probability", "kl"] = "log_odds"
    """Read at the answer slot: log-odds of the score (with `pairs`: the logit difference), probability of the
    answer (`pairs`), KL.
    """
    attribution: bool = True
    """Also estimate the map by gradients, and report the rank agreement with exact patching."""
    gates: GatesConfig | None = None
    """Attribute the source adapter's effect to its modules."""

    @model_validator(mode="after")
    def _check(self) -> PatchRun:
        if (self.items is None) == (self.pairs is None):
            raise ValueError("give either `items` or `pairs`, one of them")
        if self.metric == "probability" and self.pairs is None:
            raise ValueError("metric 'probability' is of one answer, which `pairs` name; use log_odds or kl")
        return self


class SteerRun(Config):
    """What `mi-bsa steer` does: a direction added at growing strength, against null directions."""

    model: ModelConfig = ModelConfig(name="embedded")
    """The model and its adapters."""
    items: ItemsConfig
    """Development items choose layer and strength, test items report."""
    directions: tuple[Path, ...] = ()
    """Direction files (`.safetensors`), one for each layer that may be chosen; give these or `contrast`."""
    contrast: tuple[str, str] | None = None
    """Two variants: the mean difference of their activations on the development items, at every layer."""
    others: dict[str, tuple[Path, ...]] = Field(default_factory=dict)
    """Wrong-behavior directions: name -> direction files at the same sites."""
    variant: str = "base"
    """What is steered."""
    site: str = "resid_post"
    """With `contrast`: the site, at every layer."""
    strengths: tuple[float, ...] = (-4.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 4.0)
    """In typical norms of the site."""
    choose_by: str = "behavior"
    """Read-out by whose shift layer and strength are chosen."""
    max_kl: float = Field(default=0.5, gt=0)
    """Coherence gate: KL on neutral text in nats a token."""
    n_random: int = Field(default=50, ge=50)
    """Random directions of the drawn band."""
    n_difference: int = Field(default=20, ge=20)
    """Random-difference directions of the drawn band."""
    n_test: int = Field(default=999, ge=999)
    """Random directions behind the p value."""
    positions: Literal["all", "slot"] = "all"
    """Where directions are added: at every token, or at the answer slot alone (a twentieth of the time)."""
    seed: int = 0
    """Of the null directions."""

    @model_validator(mode="after")
    def _check(self) -> SteerRun:
        if bool(self.directions) == (self.contrast is not None):
            raise ValueError("give either `directions` (files) or `contrast` (two variants), one of them")
        odd = [dose for dose in self.strengths if not math.isfinite(dose)]
        if odd or not self.strengths:
            raise ValueError(f"strengths {list(self.strengths)}: give one or more finite numbers")
        if self.items.files and not self.items.development:
            raise ValueError(
                "steering with `items.files` needs `items.development` for its choices; give them"
            )
        if self.items.files and self.items.neutral is None:
            raise ValueError(
                "steering with `items.files` needs `items.neutral` prompts for its coherence gate; give them"
            )
        return self
