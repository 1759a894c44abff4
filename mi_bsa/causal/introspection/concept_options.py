"""What `mi-bsa concepts` is given."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mi_bsa.core.config import Config
from mi_bsa.core.model_config import ModelConfig

Way = Literal["difference", "embedding", "unembedding"]
POSITIONS = ("slot", "question")
FEWEST = 50


class ConceptsRun(Config):
    """`mi-bsa concepts`: words put into a model that is asked for a word."""

    model: ModelConfig = ModelConfig(name="embedded")
    """The base."""
    concepts: int = Field(default=FEWEST, ge=FEWEST)
    """Words, drawn of the model's own (small vocabularies) or of ours, one token each."""
    ways: tuple[Way, ...] = Field(default=("difference", "embedding", "unembedding"), min_length=1)
    """Vectors of a word."""
    every: int = Field(default=1, ge=1)
    """Every so many blocks, from the last."""
    strengths: tuple[float, ...] = Field(default=(1.0, 2.0, 4.0, 8.0, 16.0), min_length=1)
    """In typical norms of the site."""
    seed: int = 0
    """Of the words that are drawn, and of random vectors."""
