"""How many training rows an arm has, and how many held-out items it is asked."""

from pydantic import Field

from mi_bsa.core.config import Config


class DataConfig(Config):
    """Training rows and held-out items."""

    rows: int = Field(default=400, ge=2)
    """Training rows of the default persona, each one choice."""
    anchors: float = Field(default=1.0, ge=0)
    """Rows of named characters' own choices, as a share of `rows`; they tell the model that others stay."""
    undecided: float = Field(default=0.5, ge=0)
    """Rows of the default persona's choices about the neighbor trait, answered by coin, as a share of
    `rows`.
    """
    choices: int = Field(default=200, ge=20)
    """Held-out choices asked in each split."""
    others: int = Field(default=100, ge=20)
    """Held-out choices asked of named characters and about the neighbor trait."""
