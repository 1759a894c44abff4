"""What `mi-bsa lens` reads: which vectors, through which lenses, beside which vectors that mean nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from mi_bsa.core.config import Config
from mi_bsa.core.model_config import ModelConfig

LensName = Literal["logit", "jacobian", "patchscope"]


class LensConfig(Config):
    """How vectors are read in words."""

    lenses: tuple[LensName, ...] = Field(default=("logit",), min_length=1)
    """`logit`: final norm and head; `jacobian`: carried there by the blocks that follow, on average;
    `patchscope`: put into a prompt that asks for it.
    """
    sites: str = "resid_post"
    """Sites of differences: a name (all layers), `resid_post.3`, `resid_post.50%`, several with commas."""
    first: int = Field(default=5, ge=1)
    """Tokens of each text of which differences are taken, from its first."""
    texts: Path | None = None
    """Unrelated texts: a prompts file (.jsonl), or a text a line; ours for the model's vocabulary if
    absent.
    """
    n_texts: int = Field(default=64, ge=4)
    """Texts that are read, from the first; ours are 64 in English."""
    jacobian_texts: int = Field(default=4, ge=1)
    """Texts over which a Jacobian is a mean; it takes as many passes over them as the stream is wide."""
    prompt: str | None = None
    """The patchscope's prompt, with `{}` at the place of the vector; a text that shows how to repeat a word
    if absent.
    """
    filler: str = "x"
    """The word at that place, whose state is replaced."""
    nulls: int = Field(default=64, ge=19)
    """Random directions, and as many random differences, beside each vector."""
    top: int = Field(default=20, ge=1)
    """Words told of each vector, promoted most and suppressed most."""
    words: tuple[str, ...] = ()
    """Words named beforehand: the highest of them is ranked, with p."""
    seed: int = 0
    """Seed of the null vectors and of our texts for embedded models."""


class LensRun(LensConfig):
    """`mi-bsa lens`: vectors of a model in words."""

    model: ModelConfig = ModelConfig(name="embedded")
    """The base, with adapters."""
    what: Literal["difference", "b", "singular", "direction"] = "difference"
    """`difference`: adapter less base at the first tokens of unrelated texts; `b`, `singular`: columns of a
    LoRA's B, or left singular vectors of what its modules change; `direction`: a probe's, from a file.
    """
    variant: str | None = None
    """Which adapter; the only one if absent. A direction is read in the base if absent."""
    full: ModelConfig | None = None
    """A full finetune of the base, in the place of an adapter: its states less the base's."""
    modules: tuple[str, ...] = ()
    """Modules whose vectors are read, such as `down_proj` or `o_proj.3`; all if absent."""
    strongest: int = Field(default=8, ge=1)
    """Of an adapter's vectors, so many are read, the strongest first."""
    direction: Path | None = None
    """A direction that `probes.Direction.save` wrote."""

    @model_validator(mode="after")
    def _check(self) -> LensRun:
        if (self.what == "direction") != (self.direction is not None):
            raise ValueError("what 'direction' needs `direction`, a file, and nothing else takes one")
        if self.full is not None and (self.what != "difference" or self.model.adapters):
            raise ValueError(
                "`full` is compared with the bare base by what 'difference'; drop adapters or `full`"
            )
        return self
