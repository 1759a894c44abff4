"""What the turn-by-turn part of a study is given."""

from __future__ import annotations

from pydantic import Field, field_validator

from mi_bsa.core.config import Config


class TurnsOptions(Config):
    """Conversations in which the model acts, with a number and a reading of the state at every turn."""

    turns: int = Field(default=10, ge=4)
    """Turns of a conversation: a choice of its own each."""
    conversations: int = Field(default=8, ge=3)
    """Conversations of each run, and of the base under each steering vector."""
    doses: tuple[float, ...] = (-1.0, -0.5, 0.0, 0.5, 1.0)
    """Doses of the steering vector, in lengths of the vector trained on choices; one is drawn a turn."""
    random: int = Field(default=20, ge=10)
    """Random directions of the vector's length that steer instead."""
    shuffles: int = Field(default=999, ge=99)
    """Draws in which the reports of a conversation change places."""

    @field_validator("doses")
    @classmethod
    def _several(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(value)) < 3:
            raise ValueError(f"doses {list(value)}: give three or more, else nothing has a rank")
        return value
