"""How much is read and asked for a triangulation. Light to import."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from mi_bsa.core.config import Config
from mi_bsa.studies.backdoor.search_config import SearchConfig

FEWEST = 3
"""Seeds below which nothing is paired."""


class TriangulationConfig(Config):
    """How much is read and asked for the triangulation."""

    messages: int = Field(default=60, ge=10)
    """Messages of each class and split behind every probe."""
    items: int = Field(default=60, ge=6)
    """Items of each read-out in steering, ablation and mediation."""
    search: SearchConfig = SearchConfig()
    """The search, where none is given; `messages` are of each behavior."""
    searched: Path | None = None
    """Folder in which `mi-bsa backdoor search` has searched these models already."""
    random: int = Field(default=99, ge=19)
    """Random directions beside the condition's."""
    shuffles: int = Field(default=199, ge=19)
    """Shuffles of the outcomes behind calibration."""
    fakes: int = Field(default=7, ge=1)
    """Fakes among which the trigger is recognized."""
    seed: int = 0
    """Seed of null directions and shuffles."""
