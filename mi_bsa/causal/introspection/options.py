"""What the introspection controls of a study are given."""

from __future__ import annotations

from pydantic import Field, field_validator

from mi_bsa.core.config import Config


class IntrospectionOptions(Config):
    """Does the report read the state, or follow the input, or notice that something is odd, or guess?"""

    items: int = Field(default=48, ge=6)
    """Report questions asked, of each split."""
    choices: int = Field(default=96, ge=4)
    """Choices of each split that acts are drawn from."""
    matched: int = Field(default=16, ge=4)
    """Choices asked under each wording of the pool."""
    random: int = Field(default=99, ge=50)
    """Random directions of the state's length."""
    wordings: int = Field(default=6, ge=2)
    """Wordings of the pool that are matched to each pole."""
    acts: tuple[int, ...] = (0, 1, 4)
    """Own choices that stand in the conversation before the question; readers see the same."""
    equal: int = Field(default=1, ge=0)
    """Of `acts`, the number at which privileged access is told: one choice costs what one report costs."""
    guesses: int = Field(default=999, ge=99)
    """Draws of guesses at the base's own frequencies."""

    @field_validator("acts")
    @classmethod
    def _few(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 0 or len(set(value)) < len(value):
            raise ValueError(f"acts {list(value)}: give numbers of choices, each once and none below 0")
        return value
